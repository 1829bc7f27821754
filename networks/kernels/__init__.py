"""Operations on the CPU: each one function, behind it kernels of ours and their dispatch, beside it the library's call.

Nothing here knows of layers or networks. `formulation("reference")` turns all kernels off.
"""

from networks.kernels.activations import ACTIVATIONS, GATES, Activation
from networks.kernels.depthwise_convolution import depthwise
from networks.kernels.dispatch import (
    OPERATIONS,
    CpuKernel,
    Operation,
    Shape,
    current,
    formulation,
    is_fast,
    otherwise,
)
from networks.kernels.layouts import channels_last, same_padding
from networks.kernels.ops import gated, global_pool, pointwise, pointwise_shape, skip_pool, spatial_conv

__all__ = [
    "ACTIVATIONS",
    "GATES",
    "OPERATIONS",
    "Activation",
    "CpuKernel",
    "Operation",
    "Shape",
    "channels_last",
    "current",
    "depthwise",
    "formulation",
    "gated",
    "global_pool",
    "is_fast",
    "otherwise",
    "pointwise",
    "pointwise_shape",
    "same_padding",
    "skip_pool",
    "spatial_conv",
]
