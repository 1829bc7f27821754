"""Networks for inference only: weights folded, layers fused, streamed frames as prepared programs."""

from networks.inference.fused import FusedMoViNet

__all__ = ["FusedMoViNet"]
