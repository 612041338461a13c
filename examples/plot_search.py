"""
Search momentum and learning rate: grid, random, halving
========================================================

Ten labels for each of ten digits and a pool of unlabelled ones. The pipeline is scored
by cross-validation on the labels, while every fit sees the whole pool. A grid of nine
settings trains each to the end; a random search tries four; successive halving gives
all nine an epoch, the best three of them three, and the best of these all nine.
`max_epochs` is the resource that it spends. Prints the epochs that each search has cost
and the test accuracy of its choice, and saves a heat map of the grid.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform, uniform
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    train_test_split,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_byol import BYOLTransformer, UnlabeledPool

MOMENTA, LRS = [0.5, 0.9, 0.99], [1e-3, 3e-3, 1e-2]
GRID = {"byol__momentum": MOMENTA, "byol__lr": LRS}


def searches(max_epochs, n_jobs):
    """Make the three searches over the same pipeline."""
    pipe = Pipeline(
        [
            ("byol", BYOLTransformer(max_epochs=max_epochs, random_state=0)),
            ("scale", StandardScaler()),
            ("clf", LogisticRegression(max_iter=1000)),
        ]
    )
    options = {"cv": 2, "n_jobs": n_jobs}
    drawn = {
        "byol__momentum": uniform(0.5, 0.49),
        "byol__lr": loguniform(1e-3, 1e-2),
    }
    return {
        "grid": GridSearchCV(pipe, GRID, **options),
        "random": RandomizedSearchCV(pipe, drawn, n_iter=4, random_state=0, **options),
        "halving": HalvingGridSearchCV(
            pipe,
            GRID,
            resource="byol__max_epochs",
            min_resources=max(1, max_epochs // 9),
            max_resources=max_epochs,
            factor=3,
            **options,
        ),
    }


def n_epochs(search, max_epochs):
    """Count the epochs of all trainings of a search, but for the last."""
    results = search.cv_results_
    spent = results.get("n_resources", np.full(len(results["params"]), max_epochs))
    return int(np.sum(spent)) * search.n_splits_


def draw(results, path):
    """Draw the scores of the grid, the best one framed."""
    shape = len(LRS), len(MOMENTA)
    scores = results["mean_test_score"].reshape(shape)
    figure, axis = plt.subplots(figsize=(5, 4), layout="constrained")
    axis.imshow(scores, cmap="cividis", aspect="auto")
    for (row, column), score in np.ndenumerate(scores):
        colour = "white" if score < (scores.min() + scores.max()) / 2 else "black"
        axis.text(column, row, f"{score:.2f}", color=colour, ha="center", va="center")
    row, column = np.unravel_index(scores.argmax(), shape)
    corner = column - 0.47, row - 0.47
    axis.add_patch(
        plt.Rectangle(corner, 0.94, 0.94, fill=False, color="#d55e00", linewidth=3)
    )
    axis.set_xticks(range(shape[1]), MOMENTA)
    axis.set_yticks(range(shape[0]), LRS)
    axis.set(
        xlabel="momentum",
        ylabel="learning rate",
        title="accuracy in cross-validation, 10 labels a class",
    )
    figure.savefig(path, dpi=150)


def main():
    """Search in three ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-epochs", type=int, default=9)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path())
    arguments = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=0
    )
    X, X_pool, y, _ = train_test_split(X, y, train_size=100, stratify=y, random_state=0)
    pool = UnlabeledPool(X_pool)
    print("search     epochs   test accuracy   chosen")
    for name, search in searches(arguments.max_epochs, arguments.n_jobs).items():
        search.fit(X, y, byol__X_unlabeled=pool)
        chosen = {
            key.removeprefix("byol__"): f"{value:.2g}"
            for key, value in search.best_params_.items()
            if key in GRID
        }
        cost = n_epochs(search, arguments.max_epochs)
        print(f"{name:<8} {cost:>8} {search.score(X_test, y_test):>15.3f}   {chosen}")
        if name == "grid":
            draw(search.cv_results_, arguments.folder / "search_with_labels.png")
    print("Picture: search_with_labels.png.")


if __name__ == "__main__":
    main()
