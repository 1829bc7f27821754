"""What commit 1f665d9 said of its own runs: logits of its checkpoints, and the answers of its commands for scripts.

make.sh runs this with that commit's code, in the folder of the runs.
"""

import contextlib
import io
import json

import numpy as np
import torch

import networks
from experiments.cli import main
from searchspace import load_spec

CHECKPOINTS = (
    "retrain/checkpoints/best",
    "retrain/checkpoints/last",
    "from-search/checkpoints/last",
    "pair/checkpoints/best",
    "videos-retrain/checkpoints/best",
    "family/retrained-1/A2-seed1/checkpoints/best",
)
COMMANDS = {
    "show search": "show runs/search --json",
    "show retrain": "show runs/retrain --json",
    "show pair": "show runs/pair --json",
    "show family A1": "show runs/family/A1.json --json",
    "cost search": "cost runs/search --json",
    "cost retrain": "cost runs/retrain --json",
    "cost pair": "cost runs/pair --json",
    "report": "report runs/retrain runs/videos-retrain --json",
    "report family": "report runs/family --json",
    "predict": "predict runs/retrain videos/val --format json --threads 1",
    "predict stream": "predict runs/retrain videos/val --stream --format json --threads 1",
    "evaluate": "evaluate runs/videos-retrain --protocol clip --threads 1 --workers 0 --out judged --json",
}
ARCHITECTURES = ("search/best", "retrain/checkpoints/best", "pair/checkpoints/best", "family/A1.json", "family/A3.json")


def said(words: str) -> object:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(words.split())
    assert code == 0, (words, out.getvalue())
    return json.loads(out.getvalue())


generator = torch.Generator().manual_seed(0)
clips = torch.rand(2, 3, 4, 16, 16, generator=generator)
arrays = {"clips": clips.numpy()}
for name in CHECKPOINTS:
    network = networks.load(f"runs/{name}").network
    with torch.no_grad():
        answer = network(clips)
    arrays[name] = (answer[0] if isinstance(answer, tuple) else answer).numpy()
np.savez_compressed("logits.npz", **arrays)
keys = {}
for name in ARCHITECTURES:
    path = f"runs/{name}" if name.endswith(".json") else f"runs/{name}/arch.json"
    keys[name] = load_spec(path).key()
with open("said.json", "w") as file:
    json.dump({"keys": keys, **{name: said(words) for name, words in COMMANDS.items()}}, file, indent=1)
    file.write("\n")
