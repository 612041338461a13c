"""
More unlabelled images, the same labels
=======================================

Ten labels for each of ten digits, and a pool of unlabelled digits that grows from none
to a thousand. The pipeline is fitted on the labelled images, and the transformer in it
on the pool as well, for forty epochs each time. As an epoch of more images has more
steps, the second curve trains as many steps as the whole pool takes, whatever the
pool: what is left between the curves is training, what rises in both is images. With
the same epochs accuracy rose from .90 to .97, with the same steps from .957 to .966.
Prints accuracies on test images and saves a picture.
"""

import argparse
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_byol import BYOLTransformer, UnlabeledPool

N_LABELLED = 100
BATCH_SIZE = 128


def accuracy(n_unlabelled, max_epochs, seed):
    """Test accuracy with this many unlabelled images."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=0
    )
    X_labelled, X_pool, y_labelled, _ = train_test_split(
        X, y, train_size=N_LABELLED, stratify=y, random_state=seed
    )
    byol = BYOLTransformer(
        batch_size=BATCH_SIZE, max_epochs=max_epochs, random_state=seed
    )
    pipe = Pipeline(
        [
            ("byol", byol),
            ("scale", StandardScaler()),
            ("clf", LogisticRegression(max_iter=1000)),
        ]
    )
    pool = UnlabeledPool(X_pool[:n_unlabelled]) if n_unlabelled else None
    pipe.fit(X_labelled, y_labelled, byol__X_unlabeled=pool)
    return pipe.score(X_test, y_test)


def n_batches(n_unlabelled):
    """Count the steps of an epoch."""
    return math.ceil((N_LABELLED + n_unlabelled) / BATCH_SIZE)


def main():
    """Let the pool grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path())
    arguments = parser.parse_args()

    sizes = [0, 100, 300, 1157]
    n_steps = arguments.epochs * n_batches(sizes[-1])
    curves = {
        "the same epochs": [arguments.epochs for _ in sizes],
        "the same steps": [n_steps // n_batches(n) for n in sizes],
    }
    figure, axis = plt.subplots(figsize=(6, 4))
    print("unlabelled images   test accuracy, mean and range")
    for (name, epochs), colour in zip(curves.items(), ("C0", "C1"), strict=True):
        scores = np.array(
            [
                [accuracy(n, n_epochs, seed) for seed in range(arguments.seeds)]
                for n, n_epochs in zip(sizes, epochs, strict=True)
            ]
        )
        print(f"{name}:")
        for n, row in zip(sizes, scores, strict=True):
            print(f"{n:>17}   {row.mean():.3f}, {row.min():.3f} to {row.max():.3f}")
        axis.plot(sizes, scores.mean(axis=1), "o-", color=colour, label=name)
        axis.fill_between(
            sizes, scores.min(axis=1), scores.max(axis=1), color=colour, alpha=0.2
        )
    axis.set(
        xlabel="unlabelled images besides the 100 that have labels",
        ylabel="test accuracy",
        title="Digits, 10 labels a class",
    )
    axis.legend()
    axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(arguments.folder / "unlabelled_pool.png", dpi=150)
    print("Picture: unlabelled_pool.png.")


if __name__ == "__main__":
    main()
