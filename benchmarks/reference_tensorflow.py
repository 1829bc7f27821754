"""One network of the authors' TensorFlow code: random weights as a checkpoint, a clip, and what the network says of it.

Runs in an environment of its own (see `benchmarks/reference.py`, which calls it) and imports nothing of ours:

    python benchmarks/reference_tensorflow.py FOLDER a0 [stream] [saved] FRAMES SIZE

The network `small` is no published one: it wrote the checkpoint and the SavedModel in tests/assets/tensorflow.
"""

import os
import sys
import zlib
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # the authors' code is written for Keras 2
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from official.projects.movinet.modeling import movinet, movinet_model

STREAM = {
    "causal": True,
    "conv_type": "2plus1d",
    "se_type": "2plus3d",
    "activation": "hard_swish",
    "gating_activation": "hard_sigmoid",
}
WITH_POSITIONS = ("a3", "a4", "a5", "small")


SMALL = (
    movinet.StemSpec(filters=8, kernel_size=(1, 3, 3), strides=(1, 2, 2)),
    movinet.MovinetBlockSpec(8, (16,), ((1, 5, 5),), ((1, 2, 2),)),
    movinet.MovinetBlockSpec(16, (24, 32), ((5, 3, 3), (3, 3, 3)), ((1, 2, 2), (1, 1, 1))),
    movinet.MovinetBlockSpec(24, (40,), ((3, 3, 3),), ((1, 1, 1),)),
    movinet.HeadSpec(project_filters=32, head_filters=48),
)


def live_value(name: str, shape: list[int]) -> np.ndarray:
    """Random weights with which every layer matters: residual scalars not zero, statistics not those of the start."""
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    last = name.split("/")[-1]
    if last in ("beta", "moving_mean", "bias"):
        return 0.1 * z
    if last == "moving_variance":
        return np.exp(0.1 * z)
    if last == "gamma":
        return 1 + 0.1 * z
    if last == "scale":
        return 0.5 + 0.1 * z
    return z * np.sqrt(2 / np.prod(shape[:-1] if last == "kernel" else shape[:2]))


def main(folder: Path, name: str, options: list[str], frames: int, size: int) -> None:
    form = {}
    if "stream" in options:
        form = STREAM | {"use_positional_encoding": name in WITH_POSITIONS}
    if name == "small":
        movinet.BLOCK_SPECS[name] = SMALL
    backbone = movinet.Movinet(model_id=name, **form)
    model = movinet_model.MovinetClassifier(backbone, num_classes=5 if name == "small" else 600)
    model.build([1, frames, size, size, 3])
    for number, variable in enumerate(model.variables):  # names alone are not unique
        variable.assign(live_value(f"{number}/{variable.name.removesuffix(':0')}", variable.shape.as_list()))
    tf.train.Checkpoint(model=model).write(str(folder / "ckpt"))
    if "saved" in options:
        tf.saved_model.save(model, str(folder / "saved_model"))
    clip_NTHWC = np.random.default_rng(0).random((2, frames, size, size, 3), dtype=np.float32)
    logits = model({"image": clip_NTHWC}, training=False).numpy()
    np.savez(folder / "logits.npz", logits=logits, input_shape=clip_NTHWC.shape)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0]), words[1], words[2:-2], int(words[-2]), int(words[-1]))
