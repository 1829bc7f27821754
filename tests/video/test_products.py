"""Products in pieces equal plain ones, whatever the pieces."""

import numpy as np
import pytest

from video import products


@pytest.mark.parametrize("size", [1, 50, 700, 1 << 18])
def test_pieces_equal_the_whole(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(products, "_SIZE", size)
    rng = np.random.default_rng(0)
    for left, right in (((5, 7), (3, 7, 11)), ((2, 3, 13, 20), (2, 3, 20, 31))):
        a, b = rng.random(left, np.float32), rng.random(right, np.float32)
        np.testing.assert_allclose(products.product(a, b), a @ b, rtol=1e-5)
