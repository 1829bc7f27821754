"""Weights that others trained, or our own, as a safetensors file of one of our networks.

Reads a state_dict of the PyTorch port MoViNet-pytorch, a checkpoint or SavedModel of the authors' TensorFlow code (of
2021 or later; TensorFlow is not needed), TensorFlow Lite files of their networks, float or quantised, whose graph shows
which network it is, and our own safetensors. No code in a file is ever run.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.arguments import STREAM_HELP, one_of, whole
from searchspace import is_published
from searchspace.commands import RUNS, command
from searchspace.form import WORDS
from searchspace.labels import read_labels
from training.run import accept

if TYPE_CHECKING:
    from networks import Imported

EXAMPLE = """  nas import modelA0_statedict_v3 --arch a0 -o a0.safetensors
  nas import movinet_a2_stream/ --arch a2 --stream        a folder of a TensorFlow checkpoint or SavedModel
  nas import movinet_int8.tflite --labels kinetics600_label_map.txt -o k600.safetensors
  nas import a0.safetensors --classes 10 -o mine.safetensors"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas import`."""
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, help="a file, or a folder of TensorFlow")
    parser.add_argument(
        "--arch",
        metavar="ARCH",
        help="a published name, an arch.json or a run (default: what the file carries or shows)",
    )
    parser.add_argument("--stream", action="store_true", help=STREAM_HELP)
    parser.add_argument(
        "--classes", type=whole(1, 1_000_000), metavar="N", help="classes; another number than the file's starts afresh"
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="names of the classes, one a line (default: a file beside the weights whose name says so, and that fits)",
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
    architecture = None
    if args.arch is not None:
        architecture = accept("import", args.arch, Path(RUNS)).architecture(args.stream)
    output = args.output or Path(f"{architecture.name if architecture else args.weights.stem}.safetensors")
    if output.exists():
        raise ValueError(f"{output} exists; give another name with -o, or remove it")
    if not output.parent.is_dir():
        raise ValueError(f"{output.parent}: no such folder; make it first, or give another name with -o")
    if not args.weights.exists() and not Path(f"{args.weights}.index").is_file():
        raise ValueError(f"{args.weights}: no such file or folder; give the path of weights that you have downloaded")
    if args.labels is not None:
        read_labels(args.labels)

    import networks

    found = networks.import_weights(
        args.weights, architecture, classes=args.classes, gate=args.gate, labels=args.labels
    )
    own = found.network.architecture
    print(f"read     {args.weights}: {found.file}")
    if "source" in found.origin:
        print(f"source   {found.origin['source']}; licence {found.origin['licence']}")
    if found.file.ignored:
        names = found.file.ignored
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        print(f"ignored  {len(names)} that belong to no layer: {', '.join(names[:4])}{more}")
    if found.replaced_classes is not None:
        print(
            f"replaced the classifier of {found.replaced_classes} classes by a new one of {own.classes}, "
            "which knows nothing yet"
        )
    values = sum(tensor.numel() for tensor in found.network.state_dict().values())
    gates = any(position.layer.squeeze for position in own.layers())
    words = f"gate {own.form.gate}" if gates else "no squeeze-excitation"
    print(f"network  {own.name}: {values:,} values, {own.classes} classes, {words}")
    if gates and found.assumed_gate is not None and own.causal:
        others = " or ".join(f"--gate {word}" for word in WORDS["gate"] if word != found.assumed_gate)
        print(
            f"gate     {found.assumed_gate} was assumed: the file does not say with which gate its stream weights were "
            f"trained, and {_whence(args.arch)}; with another one, answers are wrong: give {others}"
        )
    for line in _told(found):
        print(line)
    networks.save_weights(found.network, output, found.classes)
    print(f"wrote    {output}: {output.stat().st_size / 1e6:.1f} MB, with its architecture")
    print(f"next: {command('predict', output, 'VIDEO') if found.classes else command('show', output)}")
    return 0


def _told(found: Imported) -> list[str]:
    """What the file does not say by its tensors: names of classes, frame rate, where BatchNorm is."""
    lines = []
    own = found.network.architecture
    if found.classes is not None:
        where = f", from {found.labels}" if found.labels is not None else ""
        lines.append(f"classes  {own.classes} names{where}: {', '.join(found.classes[:3])}, ...")
    elif found.file.architecture is not None or found.note:
        why = found.note or "none lie beside the file"
        lines.append(f"classes  {own.classes} without names; {why}: give them with --labels FILE")
    if found.file.architecture is not None:
        published = "source" in found.file.architecture.provenance
        rate = "as published" if published else "assumed, since such a file does not tell"
        lines.append(f"clip     {own.clip}: {own.clip.fps:g} frames a second, {rate}")
    if found.origin.get("batch_norm"):
        lines.append("folded   BatchNorm is part of its convolutions; nas retrain --init unfolds it on the data first")
    return lines
