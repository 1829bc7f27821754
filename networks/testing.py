"""What every family of networks must do, for tests of one's own: inherit `FamilyConformance` and set `spec`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch

import networks
from networks import states
from networks.checks import RGB
from searchspace import Ensemble, NetworkSpec, cost, load_spec, read_spec
from searchspace.layer_specs import check_kind
from searchspace.spec import FAMILIES

CLOSE = 1e-4


class FamilyConformance:
    """A family's data is saved, counted and changed, its network is built, called, trained a step and stored.

    Attributes:
        spec: a small network of the family.
    """

    spec: ClassVar[NetworkSpec]

    def network(self) -> networks.Network:
        """The network with weights of one seed, in evaluation mode."""
        return networks.build(self.spec, torch.Generator().manual_seed(0)).eval()

    def clip(self, batch: int = 2) -> torch.Tensor:
        """Clips of the spec's shape, [batch, 3, T, H, W]."""
        clip = self.spec.clip
        return torch.rand(batch, RGB, clip.frames, clip.height, clip.width, generator=torch.Generator().manual_seed(1))

    def test_it_is_listed(self) -> None:
        assert FAMILIES[self.spec.family] is type(self.spec)
        check_kind(self.spec, NetworkSpec, "spec")

    def test_arch_json_gives_it_back(self, tmp_path: Path) -> None:
        assert read_spec(self.spec.to_json()) == self.spec
        self.spec.save(tmp_path / "arch.json")
        assert load_spec(tmp_path / "arch.json") == self.spec
        data = {**self.spec.to_dict(), "nonsense": 1}
        with pytest.raises(ValueError, match="nonsense"):
            type(self.spec).from_dict(data)

    def test_keys_name_what_is_computed(self) -> None:
        assert self.spec.key() == read_spec(self.spec.to_json()).key()
        assert self.spec.from_origin({"seed": 1}).key() == self.spec.key()
        assert self.spec.with_classes(self.spec.classes + 1).key() != self.spec.key()

    def test_a_single_network_is_an_ensemble_of_one(self) -> None:
        (member,) = self.spec.members
        clip = self.spec.clip
        assert (member.architecture, member.offset) == (self.spec, 0)
        assert (self.spec.stride(0), self.spec.frames(0, clip.frames)) == (1, clip.frames)
        assert self.spec.size(0, clip.height, clip.width) == (clip.height, clip.width)

    def test_parts_add_up(self) -> None:
        counted = cost(self.spec)
        assert sum(own.macs for _, own in self.spec.parts(self.spec.clip)) == counted.macs > 0
        assert counted.clip == self.spec.clip
        twice = cost(self.spec, (2 * self.spec.clip.frames, self.spec.clip.height, self.spec.clip.width))
        assert twice.macs > counted.macs and twice.params == counted.params

    def test_parameters_are_those_of_the_network(self) -> None:
        trainable = sum(p.numel() for p in self.network().parameters() if p.requires_grad)
        assert cost(self.spec).params == trainable

    def test_logits_have_the_classes(self) -> None:
        network = self.network()
        logits = network.logits(self.clip())
        assert logits.shape == (2, self.spec.classes) and bool(logits.isfinite().all())
        other = networks.create(self.spec, classes=self.spec.classes + 2)
        assert other.eval().logits(self.clip()).shape == (2, self.spec.classes + 2)

    def test_clips_do_not_see_each_other_in_evaluation(self) -> None:
        network, clip = self.network(), self.clip()
        torch.testing.assert_close(network.logits(clip)[:1], network.logits(clip[:1]), atol=CLOSE, rtol=CLOSE)

    def test_the_fused_network_answers_alike(self) -> None:
        network, clip = self.network(), self.clip()
        network.start_residuals(0.5)
        torch.testing.assert_close(network.fuse().logits(clip), network.logits(clip), atol=CLOSE, rtol=CLOSE)

    def test_a_step_of_training_changes_it(self) -> None:
        network = self.network().train()
        network.start_residuals(0.5)
        before = {name: tensor.clone() for name, tensor in network.named_parameters()}
        loss = torch.nn.functional.cross_entropy(network.logits(self.clip()), torch.zeros(2, dtype=torch.int64))
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        with torch.no_grad():
            for parameter in network.parameters():
                assert parameter.grad is not None
                parameter.sub_(0.1 * parameter.grad)
        assert any(not torch.equal(before[name], tensor) for name, tensor in network.named_parameters())

    def test_frames_one_by_one_answer_as_the_clip(self) -> None:
        network, clip = self.network(), self.clip()
        network.start_residuals(0.5)
        height, width = clip.shape[3:]
        if not self.spec.causal:
            with pytest.raises(ValueError, match="not causal"):
                network.initial_state(2, height, width)
            return
        state = network.initial_state(2, height, width)
        shapes = {name: tuple(tensor.shape[1:]) for name, tensor in state.items()}
        assert shapes == dict(states.shapes(self.spec, height, width))
        whole, _ = network(clip)
        for frame in torch.split(clip, 1, 2):
            logits, state = network(frame, state)
        torch.testing.assert_close(logits, whole, atol=CLOSE, rtol=CLOSE)

    def test_weights_are_stored_and_found_again(self, tmp_path: Path) -> None:
        network = self.network()
        path = tmp_path / "weights.safetensors"
        networks.save_weights(network, path)
        again = networks.create(path, weights=path).eval()
        assert again.architecture == self.spec
        torch.testing.assert_close(again.logits(self.clip()), network.logits(self.clip()), atol=0, rtol=0)

    def test_it_takes_turns_in_an_ensemble(self) -> None:
        pair = Ensemble.interleave([self.spec, self.spec])
        network = networks.build(pair, torch.Generator().manual_seed(0)).eval()
        clip = pair.clip
        frames = torch.rand(1, RGB, clip.frames, clip.height, clip.width)
        assert network.logits(frames).shape == (1, self.spec.classes)
        assert read_spec(pair.to_json()) == pair
        assert cost(pair).params == 2 * cost(self.spec).params
