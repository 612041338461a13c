"""The small pictures on the cards of the landing page and of some examples.

    python docs/pictures/cards.py

Figures are those of benchmarks/*.json; the digits are trained for half a minute.
"""

import json
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from sklearn_byol import BYOLTransformer, RandomViews
from sklearn_byol.objective import momentum_at

HERE = Path(__file__).parent
BENCHMARKS = HERE.parents[1] / "benchmarks"
BLUE, ORANGE, GREEN, PURPLE, GRAY = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "0.6"
LABELS = ("1", "5", "10", "100")


class Digits(NamedTuple):
    """Digits, their labels, what was learned of them, and how that went."""

    X: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    history: dict


def bare(axis):
    """Leave nothing but what is drawn."""
    axis.set_axis_off()


def picture(axis, image, left, top, size=1.0):
    """Put a gray image at a place of an axis whose unit is a picture."""
    axis.imshow(
        image, cmap="gray", extent=(left, left + size, top + size, top), vmin=0, vmax=1
    )


def draw_start(axis, digits):
    """Draw a map of the digits by what was learned without labels."""
    places = TSNE(random_state=0).fit_transform(digits.rows)
    axis.scatter(*places.T, c=digits.y, cmap="tab10", s=3)
    bare(axis)


def draw_guide(axis, digits):
    """Draw six digits, and two views of each below."""
    images = torch.from_numpy(digits.X.reshape(-1, 1, 8, 8)[:6] / 16).float()
    views = RandomViews("digits", random_state=3).sample(images)
    for column in range(6):
        for row, part in enumerate((images, *views)):
            picture(axis, part[column, 0], column * 1.1, row * 1.1 + 0.2 * (row > 0))
    axis.set(xlim=(-0.1, 6.6), ylim=(3.5, -0.1), aspect="equal")
    bare(axis)


def draw_gallery(axis, digits):
    """Draw digits, and to the right of each those that are nearest."""
    search = NearestNeighbors(n_neighbors=7, metric="cosine").fit(digits.rows)
    queries = [2, 8, 3]
    for row, found in enumerate(search.kneighbors(digits.rows[queries])[1]):
        for column, place in enumerate(found):
            left = column * 1.1 + 0.5 * (column > 0)
            picture(axis, digits.X[place].reshape(8, 8) / 16, left, row * 1.1)
    axis.set(xlim=(-0.1, 8.3), ylim=(3.3, -0.1), aspect="equal")
    bare(axis)


def draw_comparison(axis, digits):
    """Draw seconds and accuracy of three libraries on one set."""
    records = json.loads((BENCHMARKS / "time_to_accuracy.json").read_text())
    colours = {"sklearn_byol": BLUE, "lightly": ORANGE, "byol-pytorch": GREEN}
    for name, colour in colours.items():
        points = [
            (record["seconds"], record["few"])
            for record in records
            if (record["set"], record["contender"]) == ("steel64", name)
        ]
        axis.plot(*zip(*sorted(points), strict=True), "o-", color=colour, label=name)
    axis.set(xlabel="seconds", ylabel="accuracy", ylim=(0.6, 0.9))
    axis.legend(fontsize=8, loc="lower right")


def draw_numbers(axis, digits):
    """Draw accuracy over labels on one set."""
    records = json.loads((BENCHMARKS / "quality.json").read_text())
    methods = {"BYOL": BLUE, "HOG + colours": GREEN, "raw pixels": GRAY}
    for method, colour in methods.items():
        (record,) = (
            record
            for record in records
            if (record["set"], record["method"]) == ("hand_signs64", method)
        )
        means = [np.mean(record["accuracies"]["linear"][n]) for n in LABELS]
        axis.plot(LABELS, means, "o-", color=colour, label=method)
    axis.set(xlabel="labels per class", ylabel="accuracy")
    axis.legend(fontsize=8, loc="lower right")


def draw_questions(axis, digits):
    """Draw loss and spread of a training."""
    history = digits.history
    axis.plot(history["epoch"], history["loss"], color=BLUE)
    axis.set(xlabel="epoch")
    axis.set_ylabel("loss", color=BLUE)
    other = axis.twinx()
    other.plot(history["epoch"], history["spread"], color=ORANGE)
    other.set(ylim=(0, 1.05))
    other.set_ylabel("spread", color=ORANGE)


def draw_notebook(axis, digits):
    """Draw the momentum of a training, which rises to 1."""
    steps = range(401)
    for start, colour in ((0.9, BLUE), (0.95, GREEN), (0.99, ORANGE)):
        taus = [momentum_at(step, 400, start) for step in steps]
        axis.plot(steps, taus, color=colour, label=f"momentum={start}")
    axis.set(xlabel="step", ylabel="tau")
    axis.legend(fontsize=8, loc="lower right")


def draw_api(axis, digits):
    """Write the names that are used most."""
    lines = "BYOLTransformer\nBYOLClassifier\nRandomViews\nUnlabeledPool\n..."
    axis.text(0.06, 0.5, lines, family="monospace", fontsize=13, va="center")
    bare(axis)


def framed(axis, left, top, name, size=1.0):
    """Frame a picture, and write its label into the corner."""
    box = plt.Rectangle((left, top), size, size, fill=False, color=ORANGE, lw=3)
    axis.add_patch(box)
    axis.text(left + 0.1, top + 0.38, name, color=ORANGE, weight="bold", fontsize=13)


def draw_few_labels(axis, digits):
    """Draw many digits, three of them with a label."""
    for place in range(40):
        left, top = place % 8 * 1.1, place // 8 * 1.1
        picture(axis, digits.X[place].reshape(8, 8) / 16, left, top)
        if place in {10, 21, 32}:
            framed(axis, left, top, str(digits.y[place]))
    axis.set(xlim=(-0.1, 8.9), ylim=(5.5, -0.1), aspect="equal")
    bare(axis)


def draw_pool(axis, digits):
    """Draw two digits with a label, beside a heap of others."""
    for place in range(2):
        picture(axis, digits.X[place].reshape(8, 8) / 16, 0, place * 2.6 + 0.3, 2)
        framed(axis, 0, place * 2.6 + 0.3, str(digits.y[place]), 2)
    for place in range(180):
        left, top = 3 + place // 15 * 0.37, place % 15 * 0.37
        picture(axis, digits.X[2 + place].reshape(8, 8) / 16, left, top, 0.34)
    axis.set(xlim=(-0.1, 7.5), ylim=(5.6, -0.1), aspect="equal")
    bare(axis)


def draw_saving(axis, digits):
    """Draw one encoder and three kinds of files."""
    style = {"boxstyle": "round,pad=0.5", "fc": "white", "lw": 2}
    for height, name in zip((0.85, 0.5, 0.15), FILES, strict=True):
        axis.annotate(
            name,
            (0.3, 0.5),
            (0.72, height),
            ha="center",
            va="center",
            fontsize=13,
            bbox=style | {"ec": BLUE},
            arrowprops={"arrowstyle": "<-", "lw": 2, "color": GRAY},
        )
    text = {"ha": "center", "va": "center", "fontsize": 15, "weight": "bold"}
    axis.text(0.18, 0.5, "encoder", bbox=style | {"ec": ORANGE}, **text)
    bare(axis)


FILES = (".joblib", ".onnx", ".safetensors")
THUMBNAILS = {
    "few_labels": draw_few_labels,
    "unlabelled_pool": draw_pool,
    "saving_and_serving": draw_saving,
}
CARDS = {
    "start": draw_start,
    "guide": draw_guide,
    "gallery": draw_gallery,
    "comparison": draw_comparison,
    "numbers": draw_numbers,
    "questions": draw_questions,
    "notebook": draw_notebook,
    "api": draw_api,
}


def main():
    """Train on the digits, and draw each card."""
    mpl.use("agg")
    X, y = load_digits(return_X_y=True)
    byol = BYOLTransformer(max_epochs=40, random_state=0).fit(X)
    digits = Digits(X, y, byol.transform(X), byol.history_)
    for kind, drawn, size in (
        ("card", CARDS, (3.6, 2)),
        ("thumbnail", THUMBNAILS, (4, 2.8)),
    ):
        for name, draw in drawn.items():
            figure, axis = plt.subplots(figsize=size, layout="constrained")
            draw(axis, digits)
            figure.savefig(HERE / f"{kind}_{name}.png", dpi=110)


if __name__ == "__main__":
    main()
