"""The protocols of evaluation at the end of a retraining on real videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.evaluate import RECORD, evaluation
from training.run import read_json

if TYPE_CHECKING:
    from video.asked import Videos

CHEAP = 0.25
"""Share of the training's multiply-accumulates that a protocol may take and be run without being asked for (ours)."""


def judge(run: Path, summary: dict[str, Any]) -> None:
    """Judges a run's best network on the videos that it was validated on, as `nas evaluate` does.

    One centred clip always; many clips and the whole video as a stream where they are cheap beside the training, many
    clips also where the recipe scores by more than one. The built-in data has one clip a video, and is left out.

    Args:
        run: a finished run of `nas retrain`.
        summary: the content of its summary.json.
    """
    config = read_json(run / "config.json")
    if config["data"] is None or stored(run):
        return
    import networks
    import searchspace
    from training.protocols import PROTOCOLS, VIEWS, work

    trained = networks.load(run)
    architecture = trained.network.architecture
    trained.network.to(config["device"])
    own = config["evaluation.views"]
    views = (own, 1) if own > 1 else VIEWS
    most = CHEAP * 3 * searchspace.cost(architecture).macs * summary["members"][0]["clips"]

    def choose(videos: Videos) -> list[str]:
        chosen = ["clip"]
        for name in PROTOCOLS[1:]:
            if name == "stream" and not trained.network.streams:
                continue
            if (name == "multiclip" and own > 1) or work(architecture, videos, name, views) <= most:
                chosen.append(name)
        return chosen

    evaluation(trained, choose, views=views, workers=config["workers"], device=config["device"])


def stored(run: Path) -> list[dict[str, Any]]:
    """What `judge` found, by protocol; nothing where it found none. An evaluation that was stopped has no record."""
    first = min(run.glob(f"evaluation-*/{RECORD}"), key=lambda path: path.stat().st_mtime_ns, default=None)
    return [] if first is None else list(read_json(first)["protocols"])
