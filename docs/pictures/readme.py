"""The picture of the README: views of digits, and accuracy over labels on four sets.

    python docs/pictures/readme.py

readme_phone.png is the same for the documentation on a phone, one part below the other.

Accuracies are those of benchmarks/quality.json.
"""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits

from sklearn_byol import RandomViews

ROOT = Path(__file__).parents[2]
METHODS = {
    "BYOL": ("#0072b2", "o-"),
    "frozen network": ("#cc79a7", "v-"),
    "labels only": ("#e69f00", "s--"),
    "HOG + colours": ("#009e73", "D:"),
    "raw pixels": ("#666666", "^-."),
}
SETS = {
    "digits": "digits, 8 px gray",
    "steel64": "steel, 64 px gray",
    "hand_signs64": "hands, 64 px",
    "tiny10": "things (tiny10), 64 px",
}
LABELS = ("1", "5", "10", "100")


def accuracies(records, name, method):
    """Mean test accuracy of the linear probe, or of the network trained on labels."""
    (record,) = (r for r in records if (r["set"], r["method"]) == (name, method))
    draws = record["accuracies"].get("linear") or record["accuracies"]["network"]
    return [np.mean(draws[n]) for n in LABELS]


def draw_views(figure):
    """Four digits, and two views of each."""
    images = torch.from_numpy(load_digits().images[:4, None] / 16).float()
    rows = [images, *RandomViews("digits", random_state=1).sample(images)]
    axes = figure.subplots(4, 3)
    for row, pictures in zip(axes.T, rows, strict=True):
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture[0], cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
    for axis, title in zip(axes[0], ("image", "view 1", "view 2"), strict=True):
        axis.set_title(title, fontsize=10)
    figure.suptitle("Learn: views of one image agree", fontsize=11)


def draw_accuracies(figure, records, n_columns):
    """One panel for each set."""
    panels = figure.subplots(2, 2, sharex=True)
    for axis, (name, title) in zip(panels.flat, SETS.items(), strict=True):
        for method, (colour, style) in METHODS.items():
            means = accuracies(records, name, method)
            axis.plot(means, style, color=colour, label=method, markersize=4)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(range(len(LABELS)), LABELS)
        axis.grid(alpha=0.3)
    for axis in panels[1]:
        axis.set_xlabel("labels per class")
    for axis in panels[:, 0]:
        axis.set_ylabel("test accuracy")
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        *handles,
        ncols=n_columns,
        loc="outside lower center",
        fontsize=8.5,
        columnspacing=1,
    )
    figure.suptitle("Then few labels go further", fontsize=11)


def draw(records, name, size, dpi, *, is_stacked):
    """Draw both parts beside or below each other."""
    figure = plt.figure(figsize=size, layout="constrained")
    if is_stacked:
        first, second = figure.subfigures(2, 1, height_ratios=(1, 1.4))
    else:
        first, second = figure.subfigures(1, 2, width_ratios=(1, 2.1))
    draw_views(first)
    draw_accuracies(second, records, n_columns=3 if is_stacked else 5)
    figure.savefig(Path(__file__).with_name(name), dpi=dpi)
    plt.close(figure)


def main():
    """Draw the picture for the README and for a phone."""
    mpl.use("agg")
    records = json.loads((ROOT / "benchmarks" / "quality.json").read_text())
    records = [record for record in records if record["budget"] == "small"]
    draw(records, "readme.png", (8.3, 4.2), 100, is_stacked=False)
    draw(records, "readme_phone.png", (4, 6.6), 150, is_stacked=True)


if __name__ == "__main__":
    main()
