"""Every family passes the conformance suite: ours in both forms, and one that a plugin would bring."""

from __future__ import annotations

import dataclasses

import pytest

import networks
import searchspace
from networks.testing import FamilyConformance
from searchspace import Clip, NetworkSpec
from searchspace.spec import register
from tests.networks.toy_family import Toy
from tests.training.networks_of_seconds import architecture


class TestMoViNet(FamilyConformance):
    spec = architecture()


class TestCausalMoViNet(FamilyConformance):
    spec = architecture().streaming()


class TestToy(FamilyConformance):
    spec = Toy("toy", Clip(4, 8, 8), classes=5, width=6)


def test_a_name_is_given_once_and_to_frozen_data() -> None:
    with pytest.raises(ValueError, match="family 'toy': there is one of this name"):
        register(Toy)

    class Loose(NetworkSpec):
        family = "loose"

    with pytest.raises(ValueError, match="must be a frozen dataclass"):
        register(Loose)

    @dataclasses.dataclass(frozen=True)
    class Unknown(NetworkSpec):
        family = "unknown"

    with pytest.raises(ValueError, match="is not registered"):
        networks.register(Unknown)
    with pytest.raises(ValueError, match="family 'unknown' has no network"):
        networks.build(Unknown())


def test_a_family_that_is_not_there_is_named() -> None:
    text = Toy("toy", Clip(4, 8, 8), 5, 6).to_json().replace('"family": "toy"', '"family": "tyo"')
    with pytest.raises(ValueError, match=r"family is 'tyo'; did you mean 'toy'.*a plugin may bring it"):
        searchspace.read_spec(text)
