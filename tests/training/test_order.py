"""Batches without state: every item once an epoch, the same whenever asked."""

import numpy as np
import pytest

from training.batch_order import Order
from training.seeds import generator


@pytest.mark.parametrize(("size", "batch"), [(12, 4), (13, 4), (3, 8), (1, 1)])
def test_an_epoch_holds_every_item_at_most_once(size, batch):
    order = Order("weights", size, batch, seed=3)
    per_epoch = size // min(size, batch)
    for epoch in range(3):
        seen = [order.at(epoch * per_epoch + i) for i in range(per_epoch)]
        assert {e for e, _ in seen} == {epoch}
        items = [i for _, indices in seen for i in indices]
        assert len(items) == len(set(items)) == per_epoch * min(size, batch)
        assert set(items) <= set(range(size))


def test_a_batch_is_a_function_of_its_number():
    one, two = Order("a", 100, 8, 5), Order("a", 100, 8, 5)
    backwards = [two.at(i) for i in reversed(range(40))][::-1]
    assert [one.at(i) for i in range(40)] == backwards


def test_parts_seeds_and_epochs_shuffle_differently():
    batches = {Order(part, 1000, 32, seed).at(number)[1] for part in "ab" for seed in (0, 1) for number in (0, 31)}
    assert len(batches) == 8


def test_purposes_are_independent_streams():
    draws = [generator(0, purpose, n).random(4).tolist() for purpose in ("x", "y") for n in (0, 1)]
    assert len({tuple(d) for d in draws}) == 4
    assert np.allclose(generator(0, "x", 1).random(4), draws[1])
