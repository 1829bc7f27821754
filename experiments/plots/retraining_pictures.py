"""The pictures of a finished retraining, those that are not there yet."""

from __future__ import annotations

from experiments import evaluation_pictures
from experiments.plots import confusion, curves
from searchspace.stored import read_counts
from training.retrain.run_retrain import CONFUSION
from training.run import RetrainRun

PICTURE = "confusion.png"


def plot_retraining(found: RetrainRun) -> None:
    """Draws curves, the confusion matrix and the pictures of its evaluation into the folder of a run."""
    folder, summary = found.folder, found.summary
    if not all((folder / name).exists() for name in (curves.PNG, curves.HTML)):
        curves.draw(folder)
    if not (folder / PICTURE).exists():
        classes, counts = read_counts(folder / CONFUSION)
        title = f"{folder.name}: {summary['accuracy']:.1%} of {summary['clips']:,} test clips"
        confusion.draw(counts, classes, folder / PICTURE, title)
    evaluation_pictures.draw_missing(folder)
