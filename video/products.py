"""Matrix products that stay on the calling thread."""

import numpy as np
from numpy.typing import NDArray

_SIZE = 1 << 18
"""Multiply-accumulates up to which OpenBLAS, inside NumPy, does not hand out work to threads (65536 x 4). Above, its
threads wait for one another by spinning: with other processes on the cores we measured products of 1 ms take 200.

Pieces, and no setting: OpenBLAS has another waiting policy than OpenMP, OPENBLAS_THREAD_TIMEOUT, read when NumPy is
imported, long before a user comes here. threadpoolctl would change the number of threads of the whole process during a
call, also for the user's other threads; and pieces give the same bits on any number of cores."""


def product(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """left @ right for stacks of matrices [..., M, K] and [..., K, N], in pieces of at most `_SIZE`."""
    M, K, N = left.shape[-2], left.shape[-1], right.shape[-1]
    columns = max(1, min(N, _SIZE // K))
    rows = max(1, min(M, _SIZE // (K * columns)))
    stack = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    out = np.empty((*stack, M, N), np.float32)
    for top in range(0, M, rows):
        for side in range(0, N, columns):
            np.matmul(
                left[..., top : top + rows, :],
                right[..., side : side + columns],
                out=out[..., top : top + rows, side : side + columns],
            )
    return out
