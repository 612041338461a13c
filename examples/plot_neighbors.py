"""
Nearest neighbours and odd images
=================================

What lies near an image in the representations is what the encoder takes for alike.
BYOL is trained on digits without their labels; then nearest neighbours show three
things: what it has learned, which images are like no others, and which labels are
likely to be wrong. Thirty labels are made wrong on purpose, to see how many are found
where the neighbours disagree with the label: 27, and 27 as well by raw pixels, since
digits are centred and of one size. Prints it and saves two pictures.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from sklearn_byol import BYOLTransformer
from sklearn_byol.inspection import NeighborsDisplay

N_WRONG = 30
N_NEIGHBORS = 10


def with_wrong_labels(y):
    """Make some labels wrong; returns the labels and which ones are."""
    rng = np.random.default_rng(0)
    wrong = rng.choice(len(y), N_WRONG, replace=False)
    labels = y.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, N_WRONG)) % 10
    return labels, wrong


def oddness(rows):
    """Mean cosine distance to the nearest others: large for what is like nothing."""
    search = NearestNeighbors(n_neighbors=N_NEIGHBORS, metric="cosine").fit(rows)
    distances, _ = search.kneighbors()  # of the rows themselves, which do not count
    return distances.mean(axis=1)


def doubt(rows, labels):
    """Share of the neighbours that have another label than the image."""
    search = NearestNeighbors(n_neighbors=N_NEIGHBORS, metric="cosine").fit(rows)
    _, indices = search.kneighbors()
    return (labels[indices] != labels[:, np.newaxis]).mean(axis=1)


def main():
    """Train, look for neighbours, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-epochs", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path())
    arguments = parser.parse_args()

    X, y = load_digits(return_X_y=True)
    labels, wrong = with_wrong_labels(y)
    byol = BYOLTransformer(max_epochs=arguments.max_epochs, random_state=0).fit(X)
    for name, rows in {"raw pixels": X, "BYOL": byol.transform(X)}.items():
        suspects = np.argsort(-doubt(rows, labels), kind="stable")[:N_WRONG]
        n_found = len(np.intersect1d(suspects, wrong))
        print(f"{name}: {n_found} of {N_WRONG} wrong labels among {N_WRONG} suspects.")

    rows = byol.transform(X)
    suspects = np.argsort(-doubt(rows, labels), kind="stable")[:4]
    display = NeighborsDisplay.from_estimator(byol, X, labels, queries=suspects)
    display.ax_.set_title("Labels that their neighbours doubt")
    display.figure_.savefig(arguments.folder / "neighbors_labels.png", dpi=100)

    odd = np.argsort(-oddness(rows), kind="stable")[:4]
    display = NeighborsDisplay.from_estimator(byol, X, y, queries=odd)
    display.ax_.set_title("Digits that are like no others")
    display.figure_.savefig(arguments.folder / "neighbors_odd.png", dpi=100)
    print("Pictures: neighbors_labels.png, neighbors_odd.png.")


if __name__ == "__main__":
    main()
