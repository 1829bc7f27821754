"""Weights as other projects have them, and networks that are small enough for each of their formats."""

from __future__ import annotations

import dataclasses
import re

import torch

from benchmarks.port_network import Port
from searchspace import Architecture, Block, Head, Layer, Stem
from tests.networks.live_networks import randomise_


def live_port(architecture: Architecture) -> Port:
    port = Port(architecture)
    randomise_(port)
    with torch.no_grad():
        for name, tensor in port.named_parameters():
            if name.endswith("alpha"):
                tensor.fill_(0.5)
    return port.eval()


def thin(architecture: Architecture) -> Architecture:
    def layer(whole: Layer) -> Layer:
        return dataclasses.replace(whole, expand=whole.expand // 8, squeeze=whole.squeeze // 8)

    blocks = [Block(block.width // 8, tuple(map(layer, block.layers))) for block in architecture.blocks]
    return dataclasses.replace(architecture, stem=Stem(3), blocks=tuple(blocks), head=Head(8, 16), classes=4)


def of_2021(variable: str) -> str:
    """A variable as TensorFlow Hub's networks of 2021 call it."""
    name = re.sub(r"^block(\d+)_layer(\d+)/", r"b\1/l\2/", variable)
    return re.sub(r"conv2d(_temporal)?/(bn\w*)/", r"\2/", name) + ":0"
