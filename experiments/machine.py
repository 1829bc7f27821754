"""What this machine decides for a new run: threads, workers, the device."""

from __future__ import annotations

from typing import Any

from training.machine.resources import cores


def machine_defaults(given: dict[str, Any]) -> dict[str, Any]:
    """Settings that were given, with threads for all cores, and workers for all where there are videos to decode.

    Raises:
        ValueError: a device that is not there.
    """
    if given.get("device", "cpu") != "cpu":
        from training.machine.device import check_device  # with torch, only where a GPU is asked for

        check_device(given["device"])
    machine: dict[str, Any] = {"threads": min(cores(), 1024)}
    if given.get("data") is not None:
        machine["workers"] = min(cores(), 16)
    return {**machine, **given}


def best_device() -> str:
    """A GPU where torch can use one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
