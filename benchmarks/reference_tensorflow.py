"""One network of the authors' TensorFlow code: random weights as a checkpoint, a clip, and what the network says of it.

Runs in an environment of its own (see `benchmarks/reference.py`, which calls it) and imports nothing of ours:

    python benchmarks/reference_tensorflow.py FOLDER a0 [stream] FRAMES SIZE
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
WITH_POSITIONS = ("a3", "a4", "a5")


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


def main(folder: Path, name: str, stream: bool, frames: int, size: int) -> None:
    form = STREAM | {"use_positional_encoding": name in WITH_POSITIONS} if stream else {}
    backbone = movinet.Movinet(model_id=name, **form)
    model = movinet_model.MovinetClassifier(backbone, num_classes=600)
    model.build([1, frames, size, size, 3])
    for number, variable in enumerate(model.variables):  # names alone are not unique
        variable.assign(live_value(f"{number}/{variable.name.removesuffix(':0')}", variable.shape.as_list()))
    tf.train.Checkpoint(model=model).write(str(folder / "ckpt"))
    clip_NTHWC = np.random.default_rng(0).random((2, frames, size, size, 3), dtype=np.float32)
    logits = model({"image": clip_NTHWC}, training=False).numpy()
    np.savez(folder / "logits.npz", clip_NTHWC=clip_NTHWC, logits=logits)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0]), words[1], "stream" in words, int(words[-2]), int(words[-1]))
