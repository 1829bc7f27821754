"""The network whose checkpoint and SavedModel TensorFlow wrote into tests/assets/tensorflow."""

import dataclasses
from pathlib import Path

from searchspace import STREAM, Architecture, Block, Clip, Form, Head, Kernel, Layer, Stem

ASSETS = Path(__file__).parents[1] / "assets" / "tensorflow"


def small_reference(form: Form | None = None) -> Architecture:
    """`SMALL` of benchmarks/reference_tensorflow.py; by default in the form of its checkpoint."""
    form = form or dataclasses.replace(STREAM, position_encoding=True, gate="hard_sigmoid")

    def layer(kernel: str, stride: int, expand: int) -> Layer:
        return Layer(Kernel.parse(kernel), stride, expand, form.squeeze_width(expand))

    return Architecture(
        name="small",
        clip=Clip.parse("4x32x32@5"),
        classes=5,
        stem=Stem(8),
        blocks=(
            Block(8, (layer("1x5x5", 2, 16),)),
            Block(16, (layer("5x3x3", 2, 24), layer("3x3x3", 1, 32))),
            Block(24, (layer("3x3x3", 1, 40),)),
        ),
        head=Head(32, 48),
        form=form,
    )
