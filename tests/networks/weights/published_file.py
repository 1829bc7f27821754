"""The released file of weights that may lie beside the repository."""

from __future__ import annotations

from pathlib import Path

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "weights"


FILE = "movinet_a0_stream_k600_int8.tflite"
