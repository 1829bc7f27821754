"""Weights that others trained, or our own, as a safetensors file of one of our networks.

Reads a state_dict of the PyTorch port MoViNet-pytorch, a checkpoint or SavedModel of the authors' TensorFlow code (of
2021 or later; TensorFlow is not needed), and our own safetensors. No code in a file is ever run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.arguments import one_of, whole
from experiments.targets import STREAM_HELP, resolve_architecture
from searchspace import is_published
from searchspace.commands import command
from searchspace.form import WORDS

EXAMPLE = """  nas import modelA0_statedict_v3 --arch a0 -o a0.safetensors
  nas import movinet_a2_stream/ --arch a2 --stream        a folder of a TensorFlow checkpoint or SavedModel
  nas import a0.safetensors --classes 10 -o mine.safetensors"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas import`."""
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help="a file, or a folder of TensorFlow")
    parser.add_argument(
        "--arch", metavar="ARCH", help="a published name, an arch.json or a run (default: what the file carries)"
    )
    parser.add_argument("--stream", action="store_true", help=STREAM_HELP)
    parser.add_argument(
        "--classes", type=whole(1, 1_000_000), metavar="N", help="classes; another number than the file's starts afresh"
    )
    parser.add_argument(
        "--gate",
        help="with which the weights were trained (default: the architecture's; of published stream networks "
        "hard_sigmoid_2021, as released; networks that were trained with the reference since 2022 have hard_sigmoid)",
        **one_of(*WORDS["gate"]),
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where to write (default: the name, then .safetensors)"
    )


def _whence(arch: str) -> str:
    """Why that gate."""
    if not is_published(arch):
        return f"{arch} has this one"
    return "the published ones were released with this one (the reference has hard_sigmoid since 2022)"


def run(args: argparse.Namespace) -> int:
    """Reads, translates, writes, and says what came of it."""
    if args.stream and args.arch is None:
        raise ValueError("--stream goes with --arch: without it the file's own architecture counts")
    architecture = resolve_architecture(args.arch, stream=args.stream) if args.arch is not None else None
    output = args.output or Path(f"{architecture.name if architecture else args.weights.stem}.safetensors")
    if output.exists():
        raise ValueError(f"{output} exists; give another name with -o, or remove it")
    if not output.parent.is_dir():
        raise ValueError(f"{output.parent}: no such folder; make it first, or give another name with -o")
    if not args.weights.exists() and not Path(f"{args.weights}.index").is_file():
        raise ValueError(f"{args.weights}: no such file or folder; give the path of weights that you have downloaded")

    import networks

    found = networks.import_weights(args.weights, architecture, classes=args.classes, gate=args.gate)
    own = found.network.architecture
    print(f"read     {args.weights}: {found.file}")
    if found.file.ignored:
        print(f"ignored  {len(found.file.ignored)} that are no weights, such as {found.file.ignored[0]}")
    if found.replaced_classes is not None:
        print(
            f"replaced the classifier of {found.replaced_classes} classes by a new one of {own.classes}, "
            "which knows nothing yet"
        )
    values = sum(tensor.numel() for tensor in found.network.state_dict().values())
    print(f"network  {own.name}: {values:,} values, {own.classes} classes, gate {own.form.gate}")
    if found.assumed_gate is not None and own.causal:
        others = " or ".join(f"--gate {word}" for word in WORDS["gate"] if word != found.assumed_gate)
        print(
            f"gate     {found.assumed_gate} was assumed: the file does not say with which gate its stream weights were "
            f"trained, and {_whence(args.arch)}; with another one, answers are wrong: give {others}"
        )
    networks.save_weights(found.network, output)
    print(f"wrote    {output}: {output.stat().st_size / 1e6:.1f} MB, with its architecture")
    print(f"next: {command('show', output)}")
    return 0
