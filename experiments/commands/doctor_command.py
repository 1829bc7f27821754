"""Versions, devices, threads, memory, disk, and what is missing for which feature."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from experiments import allocator
from experiments.errors import PACKAGE
from experiments.text import terminal as tables
from searchspace.commands import command
from training.machine import openmp
from training.machine.resources import cores

EXAMPLE = """  nas doctor
  nas doctor --json > machine.json"""

NEEDS = {
    "search": ("torch", "numpy", "safetensors", "yaml"),
    "videos in files (nas search --data, nas data)": ("av", "PIL"),
    "pictures (nas plot, the end of nas search)": ("matplotlib",),
}
LITTLE_MEMORY, LITTLE_DISK = 4e9, 1e9


@dataclasses.dataclass(frozen=True, slots=True)
class Library:
    """Whether a library works.

    Attributes:
        version: installed, or empty.
        problem: why it cannot be imported, in a line, or empty.
    """

    version: str
    problem: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas doctor`."""
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Prints what was found; 1 where something is missing, else 0."""
    found = {module: library(module) for modules in NEEDS.values() for module in modules}
    machine = system()
    if not found["torch"].problem:
        machine |= torch_facts()
    features = {
        feature: [f"{m}: {found[m].problem}" for m in modules if found[m].problem] for feature, modules in NEEDS.items()
    }
    if args.json:
        versions = {PACKAGE.get(module, module): item.version or None for module, item in found.items()}
        tables.print_json({"versions": versions, "machine": machine, "missing": features})
        return int(any(features.values()))
    tables.show(tables.facts(machine.items()), "this machine")
    print()
    rows = [(PACKAGE.get(m, m), item.version or "-", item.problem or "works") for m, item in found.items()]
    tables.show(tables.grid(("library", "version", ""), rows))
    for feature, problems in features.items():
        print(f"{'missing' if problems else 'ok':>8}  {feature}" + (f": {'; '.join(problems)}" if problems else ""))
    for remark in remarks(machine):
        print(f"    note  {remark}")
    broken = [PACKAGE.get(m, m) for m, item in found.items() if item.problem]
    print(f"next: pip install {' '.join(broken)}" if broken else f"next: {command('search', budget='600MFLOPs')}")
    return int(bool(broken))


def library(module: str) -> Library:
    """Tries a library: one that is installed but does not load is a common trouble, and any exception tells of it."""
    try:
        version = metadata.version(PACKAGE.get(module, module))
    except metadata.PackageNotFoundError:
        return Library("", "not installed")
    try:
        importlib.import_module(module)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return Library(version, " ".join(str(error).split())[:120] or type(error).__name__)
    return Library(version, "")


def system() -> dict[str, Any]:
    """What the operating system says; sizes in GB of 10^9 bytes."""
    total, free = memory()
    here = shutil.disk_usage(Path.cwd())
    return {
        "movinas": _own_version(),
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cores": cores(),
        "memory GB": None if total is None else round(total / 1e9, 1),
        "memory free GB": None if free is None else round(free / 1e9, 1),
        "disk free GB": round(here.free / 1e9, 1),
        "allocator": allocator.described(),
    }


def memory() -> tuple[int | None, int | None]:
    """Bytes of memory in all and free, a container's limit included; None where the system does not say."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        total = 1024 * int(lines["MemTotal"].split()[0])
        free = 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, ValueError, KeyError):
        return None, None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no limit: the file says "max"
        return total, free
    return min(total, limit), min(free, max(0, limit - used))


def torch_facts() -> dict[str, Any]:
    """What torch says of threads, devices and bfloat16."""
    import torch

    flags = _cpu_flags()
    fast = [flag for flag in ("avx512_bf16", "amx_bf16", "bf16") if flag in flags]
    facts: dict[str, Any] = {
        "torch threads": torch.get_num_threads(),
        "OpenMP": openmp.described(openmp.library()),
        "bfloat16 on the CPU": f"fast ({', '.join(fast)})" if fast else "works, without hardware support",
    }
    if not torch.cuda.is_available():
        built = torch.version.cuda
        return facts | {"GPU": f"none that torch can use ({f'built for CUDA {built}' if built else 'CPU build'})"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        facts[f"GPU {index}"] = f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"
    facts["bfloat16 on the GPU"] = "yes" if torch.cuda.is_bf16_supported() else "no"
    return facts


def remarks(machine: dict[str, Any]) -> list[str]:
    """What may go wrong later."""
    lines = []
    free = machine["memory free GB"]
    if free is not None and free * 1e9 < LITTLE_MEMORY:
        lines.append(f"{free} GB of memory are free: lower --search-resolution if a search runs out of it")
    if machine["disk free GB"] * 1e9 < LITTLE_DISK:
        lines.append(f"{machine['disk free GB']} GB of disk are free: the checkpoints of a search take some 0.5 GB")
    threads = machine.get("torch threads")
    if threads is not None and threads != machine["cores"]:
        lines.append(f"torch computes on {threads} threads, {machine['cores']} cores are free to use: OMP_NUM_THREADS")
    if machine.get("bfloat16 on the CPU", "").startswith("fast"):
        lines.append("this CPU computes bfloat16: network.fuse(torch.bfloat16) is the fastest form for inference")
    if openmp.is_ours():
        listed = " ".join(f"{name}={text}" for name, text in openmp.given().items())
        lines.append(f"programs of your own stay fast beside other ones with {listed}, set before torch is imported")
    if allocator.is_glibc() and allocator.chosen() is None:
        lines.append(f"programs of your own run faster with GLIBC_TUNABLES={allocator.TUNABLES}")
    return lines


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    return {
        flag for line in text.splitlines() if line.lower().startswith(("flags", "features")) for flag in line.split()
    }


def _own_version() -> str:
    try:
        return metadata.version("movinas")
    except metadata.PackageNotFoundError:
        return "not installed (run from a checkout)"
