"""
A search without labels
=======================

A grid over momentum and learning rate, scored by the effective rank of the
representations, so that no label is needed to choose. The same search also asks how
well a linear probe does with labels, to see what the choice is worth: the rank
correlation of each score with the accuracy is printed, that of the loss among them.
Saves a heat map of the grid.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_byol import BYOLTransformer
from sklearn_byol.metrics import (
    alignment_scorer,
    effective_rank_scorer,
    uniformity_scorer,
)

GRID = {"momentum": [0.5, 0.9, 0.99, 0.999], "lr": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]}


def loss_scorer(estimator, X, y=None):
    """Minus the loss of the last epoch: what not to search by."""
    return -estimator.history_["loss"][-1]


def linear_scorer(estimator, X, y):
    """Accuracy of a linear probe with labels, which the search does not use."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return cross_val_score(probe, estimator.transform(X), y, cv=3).mean()


SCORERS = {
    "effective rank": effective_rank_scorer,
    "uniformity": uniformity_scorer,
    "alignment": alignment_scorer,
    "loss": loss_scorer,
    "linear accuracy": linear_scorer,
}


def search(max_epochs, n_jobs):
    """Train every setting once, on 800 digits, and score it on the others."""
    X, y = load_digits(return_X_y=True)
    return GridSearchCV(
        BYOLTransformer(max_epochs=max_epochs, random_state=0),
        GRID,
        scoring=SCORERS,
        refit="effective rank",
        cv=ShuffleSplit(1, train_size=800, random_state=0),
        n_jobs=n_jobs,
    ).fit(X, y)


def print_worth(results):
    """Print what each score would have chosen, and its rank correlation."""
    accuracy = results["mean_test_linear accuracy"]
    print(f"{len(accuracy)} settings, linear accuracy {accuracy.min():.3f} to ", end="")
    print(f"{accuracy.max():.3f}, median {np.median(accuracy):.3f}.")
    print(f"{'score':<17}{'Spearman':>9}{'accuracy of its choice':>25}")
    for name in list(SCORERS)[:-1]:
        score = results[f"mean_test_{name}"]
        rho = spearmanr(score, accuracy).statistic
        print(f"{name:<17}{rho:>9.2f}{accuracy[np.argmax(score)]:>25.3f}")


def draw(axis, results, name, form):
    """Draw one score as a heat map, its best setting framed."""
    shape = len(GRID["lr"]), len(GRID["momentum"])
    values = results[f"mean_test_{name}"].reshape(shape)
    axis.imshow(values, cmap="cividis", aspect="auto")
    middle = (values.min() + values.max()) / 2
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value < middle else "black"
        axis.text(
            column, row, form.format(value), color=colour, ha="center", va="center"
        )
    row, column = np.unravel_index(values.argmax(), shape)
    frame = plt.Rectangle(
        (column - 0.47, row - 0.47),
        0.94,
        0.94,
        fill=False,
        color="#d55e00",
        linewidth=3,
    )
    axis.add_patch(frame)
    axis.set_xticks(range(shape[1]), GRID["momentum"])
    axis.set_yticks(range(shape[0]), GRID["lr"])
    axis.set(title=name, xlabel="momentum", ylabel="learning rate")


def main():
    """Search, compare with labels, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-epochs", type=int, default=6)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path())
    arguments = parser.parse_args()

    found = search(arguments.max_epochs, arguments.n_jobs)
    print(f"Chosen without labels: {found.best_params_}.")
    print_worth(found.cv_results_)

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
    draw(axes[0], found.cv_results_, "effective rank", "{:.1f}")
    draw(axes[1], found.cv_results_, "linear accuracy", "{:.3f}")
    figure.savefig(arguments.folder / "search.png", dpi=100)
    print("Picture: search.png.")


if __name__ == "__main__":
    main()
