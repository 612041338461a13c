"""The README's tables say what benchmarks have measured."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETS = {
    "digits": "digits",
    "surfaces of steel": "steel64",
    "fashion_mnist": "fashion_mnist",
    "hands": "hand_signs64",
    "things, 32 px": "cifar10",
    "things, 64 px": "tiny10",
    "cifar10": "cifar10",
}


def rows_below(heading):
    """Yield the cells of a table's rows, with the name of their set."""
    table = README.partition(heading)[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        name, *cells = (cell.strip(" *") for cell in line.strip("|").split("|"))
        (key,) = (key for key in SETS if name.startswith(key))
        yield SETS[key], [cell.replace("*", "") for cell in cells]


def records(name):
    return json.loads((ROOT / "benchmarks" / name).read_text(encoding="utf-8"))


def test_accuracies_are_those_of_quality_json():
    heading = "| 10 labels per class / all |"
    methods = ("raw pixels", "HOG + colours", "labels only", "frozen network", "BYOL")
    measured = {
        (r["set"], r["method"]): r["accuracies"].get("linear", r["accuracies"])
        for r in records("quality.json")
        if r["budget"] == "small"
    }
    rows = list(rows_below(heading))
    assert len(rows) == 6
    for name, cells in rows:
        for method, cell in zip(methods, cells, strict=True):
            draws = measured[name, method]
            draws = draws.get("network", draws)
            means = [np.mean(draws[n]) for n in ("10", "all")]
            told = [float(figure) for figure in cell.split("/")]
            assert told == pytest.approx(means, abs=6e-4), (name, method)


def test_seconds_are_those_of_time_to_accuracy_json():
    heading = "| accuracy with 10 labels per class |"
    measured = records("time_to_accuracy.json")
    rows = list(rows_below(heading))
    assert len(rows) == 4
    for name, cells in rows:
        names = ("sklearn_byol", "lightly", "byol-pytorch")
        for contender, cell in zip(names, cells, strict=True):
            accuracy, seconds = map(float, re.findall(r"\.?\d+", cell))
            points = [
                (record["few"], record["seconds"])
                for record in measured
                if (record["set"], record["contender"]) == (name, contender)
            ]
            first = min(points, key=lambda point: point[1])
            expected = first if contender == "sklearn_byol" else max(points)
            assert accuracy == pytest.approx(expected[0], abs=6e-4), (name, contender)
            assert seconds == pytest.approx(expected[1], abs=0.6), (name, contender)
