"""What label-free scores say about accuracy: rank correlations over a grid.

    python benchmarks/label_free.py --data DIR --sets digits,fashion_mnist,cifar10

Trains one encoder for every momentum and learning rate of a grid on unlabelled training
images, scores it without labels, and probes it with labels, both on other training
images; test images are not read. The last training has "auto" for both. Prints one line
of JSON a training; `--table FILE` reads such lines and prints Spearman's correlation of
each score with each accuracy, and the accuracy of what each score would have chosen.
"""

import argparse
import itertools
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from image_sets import load_set
from probes import draw_labels, linear_accuracy
from scipy.stats import spearmanr

from sklearn_byol import BYOLTransformer
from sklearn_byol.metrics import (
    alignment_scorer,
    effective_rank_scorer,
    uniformity_scorer,
)

MOMENTA = (0.0, 0.9, 0.97, 0.99, 0.999)
LRS = (3e-4, 1e-3, 3e-3, 1e-2)
N_DRAWS = 10
SCORES = (
    "effective rank",
    "uniformity",
    "alignment",
    "alignment + uniformity",
    "spread",
    "loss",
)
ACCURACIES = ("10 a class", "all")


def halved(X):
    """Average every 2x2 pixels, so that a training takes a quarter of the time."""
    n, height, width, *channels = X.shape
    blocks = X.reshape(n, height // 2, 2, width // 2, 2, *channels)
    return blocks.mean(axis=(2, 4)).round().astype(X.dtype)


def label_free_scores(byol, X):
    """Score a fitted transformer without labels; greater is better by each name."""
    scores = {
        "effective rank": effective_rank_scorer(byol, X),
        "uniformity": uniformity_scorer(byol, X),
        "alignment": alignment_scorer(byol, X),
        "spread": byol.history_["spread"][-1],
        "loss": -byol.history_["loss"][-1],
    }
    scores["alignment + uniformity"] = scores["alignment"] + scores["uniformity"]
    return scores


def accuracies(rows, y):
    """Probe half of the rows with 10 labels a class and with all, score the others."""
    half = len(y) // 2
    given, y_given, rest, y_rest = rows[:half], y[:half], rows[half:], y[half:]
    few = [
        linear_accuracy(given[drawn], y_given[drawn], rest, y_rest)
        for drawn in draw_labels(y_given, 10, N_DRAWS)
    ]
    return {
        "10 a class": float(np.mean(few)),
        "all": linear_accuracy(given, y_given, rest, y_rest, C=1e-2),
    }


def measure(X, y, n_train, **settings):
    """Train on the first images and look at the others."""
    start = time.perf_counter()
    byol = BYOLTransformer(random_state=0, **settings).fit(X[:n_train])
    return {
        "seconds": round(time.perf_counter() - start),
        **accuracies(byol.transform(X[n_train:]), y[n_train:]),
        **label_free_scores(byol, X[n_train:]),
    }


def print_table(lines):
    """Print correlations and choices of each set."""
    rows = [json.loads(line) for line in lines]
    for name in dict.fromkeys(row["set"] for row in rows):
        ours = [row for row in rows if row["set"] == name and row["lr"] != "auto"]
        autos = [row for row in rows if row["set"] == name and row["lr"] == "auto"]
        print(f"\n{name}, {len(ours)} settings")
        for accuracy in ACCURACIES:
            reached = np.array([row[accuracy] for row in ours])
            print(
                f"{accuracy}: {reached.min():.3f} to {reached.max():.3f}, "
                f"median {np.median(reached):.3f}"
                + "".join(f', "auto" {row[accuracy]:.3f}' for row in autos)
            )
            for score in SCORES:
                values = np.array([row[score] for row in ours])
                rho = spearmanr(values, reached).statistic
                print(f"  {score:<24}{rho:>6.2f}{reached[values.argmax()]:>8.3f}")


def main():
    """Go through sets and settings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", default="digits")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--halve", action="store_true", help="average 2x2 pixels")
    parser.add_argument("--train", type=float, default=0.5, help="share to train on")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--momenta", type=float, nargs="+", default=MOMENTA)
    parser.add_argument("--lrs", type=float, nargs="+", default=LRS)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--table", type=Path, help="lines of an earlier run")
    arguments = parser.parse_args()
    if arguments.table:
        print_table(arguments.table.read_text().splitlines())
        return
    torch.set_num_threads(arguments.threads)
    for name in arguments.sets.split(","):
        X, y = load_set(name, "train", arguments.data, arguments.images)
        if arguments.halve:
            X = halved(X)
        n_train = int(arguments.train * len(X))
        grid = itertools.product(arguments.momenta, arguments.lrs)
        for momentum, lr in itertools.chain(grid, [("auto", "auto")]):
            settings = {"momentum": momentum, "lr": lr, "max_epochs": arguments.epochs}
            row = {"set": name, "side": X.shape[1], "images": n_train, **settings}
            row |= measure(X, y, n_train, **settings)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
