"""NAS-Bench-Macro (github.com/xiusu/NAS-Bench-Macro, Apache-2.0) as a table that `nas benchmark` reads.

Run: python benchmarks/nas_bench_macro.py nas-bench-macro_cifar10.json tests/assets/tables/nas_bench_macro.csv

Eight layers, each 0 (identity), 1 (inverted bottleneck, expansion 3, kernel 3) or 2 (expansion 6, kernel 5); CIFAR-10
test accuracy of three copies after 50 epochs; the cost is FLOPs as published. Kept are choices, cost and the three
accuracies at four digits, which is all that 10,000 test images give; the other columns are dropped. In the table an
identity in the fourth or fifth layer, or in the last two, may change places with its partner and nothing else changes:
both orders are one network, so they bear one name.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LAYERS = 8
PARTNERS = ((3, 4), (6, 7))


def network(code: str) -> str:
    """The name that all encodings of one network share: identities behind their partner."""
    for first, second in PARTNERS:
        if code[first] == "0":
            code = code[:first] + code[second] + "0" + code[second + 1 :]
    return code


def convert(published: str) -> str:
    """The published JSON as CSV text."""
    table = json.loads(published)
    copies = len(next(iter(table.values()))["test_acc"])
    names = [f"layer{i}" for i in range(1, LAYERS + 1)]
    lines = [",".join([*names, "cost", *(f"accuracy{i}" for i in range(1, copies + 1)), "network"])]
    for code in sorted(table):
        row = table[code]
        accuracies = [f"{percent / 100:.4f}" for percent in row["test_acc"]]
        lines.append(",".join([*code, str(row["flops"]), *accuracies, network(code)]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Path(sys.argv[2]).write_text(convert(Path(sys.argv[1]).read_text()))
