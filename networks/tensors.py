"""What is no tensor where one is taken, said in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor


def check_tensor(value: object, name: str) -> None:
    """Refuses what is no tensor, such as a NumPy array, and says how to make one of it.

    Raises:
        ValueError: anything but a `torch.Tensor`.
    """
    if isinstance(value, Tensor):
        return
    what, remedy = f"a {type(value).__name__}", ""
    if isinstance(value, np.ndarray):
        what = f"a NumPy array of shape {list(value.shape)} and {value.dtype}"
        remedy = f", such as torch.from_numpy({name}.copy())"
        if value.dtype == np.uint8:
            remedy += " / 255"
        elif value.dtype == np.float64:
            remedy += ".float()"
    raise ValueError(f"{name} is {what}; give a torch.Tensor{remedy}")


def check_tensors(state: object) -> None:
    """Refuses a state that is no mapping from names to tensors (raises `ValueError`)."""
    if not isinstance(state, Mapping):
        raise ValueError(
            f"state is a {type(state).__name__}; give the dictionary of tensors that network.initial_state or the call "
            "with the frames before gave"
        )
    for name, tensor in state.items():
        check_tensor(tensor, f"state[{name!r}]")
