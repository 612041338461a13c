"""
A search without labels, and what it is worth
=============================================

A grid over momentum and learning rate, scored by the effective rank of the
representations, so that no label is needed to choose. The same search asks how well a
linear probe does with five labels a class, and prints the rank correlation of each
label-free score, and of the loss, with that accuracy.

Here the search chooses badly: the correlation of the effective rank is -0.86. After six
epochs the encoders that have learned least have the highest rank, since training first
forgets what differs between views. So the effective rank shows collapse, but compares
encoders only once all are trained, as its source does on ImageNet; where a few labels
can be had, score by them. Saves a heat map of both.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    ShuffleSplit,
    StratifiedShuffleSplit,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_byol import BYOLTransformer
from sklearn_byol.metrics import (
    alignment_scorer,
    effective_rank_scorer,
    uniformity_scorer,
)

MOMENTA = [0.5, 0.9, 0.99, 0.999]


def loss_scorer(estimator, X, y=None):
    """Minus the loss of the last epoch: what not to search by."""
    return -estimator.history_["loss"][-1]


def both_scorer(estimator, X, y=None):
    """Alignment and uniformity together: each alone can be had for nothing."""
    return alignment_scorer(estimator, X) + uniformity_scorer(estimator, X)


def linear_scorer(estimator, X, y):
    """Accuracy from five labels a class, which the search does not use."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    draws = StratifiedShuffleSplit(10, train_size=50, random_state=0)
    return cross_val_score(probe, estimator.transform(X), y, cv=draws).mean()


SCORERS = {
    "effective rank": effective_rank_scorer,
    "uniformity": uniformity_scorer,
    "alignment": alignment_scorer,
    "alignment + uniformity": both_scorer,
    "loss": loss_scorer,
    "linear accuracy": linear_scorer,
}


def search(max_epochs, lrs, n_jobs):
    """Train every setting once, on 640 digits, and score it on 700 others."""
    X, y = load_digits(return_X_y=True)
    return GridSearchCV(
        BYOLTransformer(max_epochs=max_epochs, random_state=0),
        {"momentum": MOMENTA, "lr": lrs},
        scoring=SCORERS,
        refit="effective rank",
        cv=ShuffleSplit(1, train_size=640, test_size=700, random_state=0),
        n_jobs=n_jobs,
    ).fit(X, y)


def print_worth(results):
    """Print what each score would have chosen, and its rank correlation."""
    accuracy = results["mean_test_linear accuracy"]
    print(f"{len(accuracy)} settings, linear accuracy {accuracy.min():.3f} to ", end="")
    print(f"{accuracy.max():.3f}, median {np.median(accuracy):.3f}.")
    print(f"{'score':<24}{'Spearman':>9}{'accuracy of its choice':>25}")
    for name in list(SCORERS)[:-1]:
        score = results[f"mean_test_{name}"]
        rho = spearmanr(score, accuracy).statistic
        print(f"{name:<24}{rho:>9.2f}{accuracy[np.argmax(score)]:>25.3f}")


def draw(axis, results, lrs, name, form):
    """Draw one score as a heat map, its best setting framed."""
    shape = len(lrs), len(MOMENTA)
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
    axis.set_xticks(range(shape[1]), MOMENTA)
    axis.set_yticks(range(shape[0]), lrs)
    axis.set(title=name, xlabel="momentum", ylabel="learning rate")


def main():
    """Search, compare with labels, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-epochs", type=int, default=6)
    parser.add_argument(
        "--lrs", type=float, nargs="+", default=[1e-4, 3e-4, 1e-3, 3e-3, 1e-2]
    )
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path())
    arguments = parser.parse_args()

    found = search(arguments.max_epochs, arguments.lrs, arguments.n_jobs)
    print(f"Chosen without labels: {found.best_params_}.")
    print_worth(found.cv_results_)

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
    draw(axes[0], found.cv_results_, arguments.lrs, "effective rank", "{:.1f}")
    draw(axes[1], found.cv_results_, arguments.lrs, "linear accuracy", "{:.3f}")
    figure.savefig(arguments.folder / "search.png", dpi=100)
    print("Picture: search.png.")


if __name__ == "__main__":
    main()
