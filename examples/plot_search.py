"""
Search momentum and learning rate: grid, random, halving
========================================================

Twenty labels for each of ten digits and a pool of unlabelled ones. The pipeline is
fitted on half of the labels and scored on the others, and every fit sees the whole
pool.
"""

# %%
# The pipeline and three searches over it
# ---------------------------------------
# The grid trains nine settings to the end; the random search draws four; successive
# halving gives all nine an epoch, the best three of them three, and the best of these
# all nine. ``max_epochs`` is the resource that it spends.

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
    StratifiedShuffleSplit,
    train_test_split,
)
from sklearn.pipeline import Pipeline

from sklearn_byol import BYOLTransformer, UnlabeledPool

MAX_EPOCHS = 9
N_JOBS = 2

pipe = Pipeline(
    [
        ("byol", BYOLTransformer(max_epochs=MAX_EPOCHS, batch_size=64, random_state=0)),
        ("clf", LogisticRegression(max_iter=1000)),
    ]
)
momenta, lrs = [0.5, 0.9, 0.99], [1e-3, 3e-3, 1e-2]
grid = {"byol__momentum": momenta, "byol__lr": lrs}
drawn = {"byol__momentum": uniform(0.5, 0.49), "byol__lr": loguniform(1e-3, 1e-2)}
half = StratifiedShuffleSplit(1, test_size=0.5, random_state=0)
options = {"cv": half, "n_jobs": N_JOBS}
searches = {
    "grid": GridSearchCV(pipe, grid, **options),
    "random": RandomizedSearchCV(pipe, drawn, n_iter=4, random_state=0, **options),
    "halving": HalvingGridSearchCV(
        pipe,
        grid,
        resource="byol__max_epochs",
        min_resources=max(1, MAX_EPOCHS // 9),
        max_resources=MAX_EPOCHS,
        factor=3,
        **options,
    ),
}

# %%
# Search, with a pool that is passed on whole
# -------------------------------------------
# Cross-validation slices whatever is as long as X; `UnlabeledPool` keeps it from that.
# The cost of a search is the epochs of all of its trainings but the last.

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
X, X_pool, y, _ = train_test_split(X, y, train_size=200, stratify=y, random_state=0)
pool = UnlabeledPool(X_pool[:150])

costs, accuracies = {}, {}
print("search     epochs   test accuracy   chosen")
for name, search in searches.items():
    search.fit(X, y, byol__X_unlabeled=pool)
    results = search.cv_results_
    spent = results.get("n_resources", np.full(len(results["params"]), MAX_EPOCHS))
    costs[name] = int(np.sum(spent)) * search.n_splits_
    accuracies[name] = search.score(X_test, y_test)
    chosen = {
        key.removeprefix("byol__"): f"{search.best_params_[key]:.2g}" for key in grid
    }
    print(f"{name:<8} {costs[name]:>8} {accuracies[name]:>15.3f}   {chosen}")

# %%
# What the grid has seen, and what each search has cost
# -----------------------------------------------------
# Left, accuracy on the other half of the labels for every setting of the grid; its
# standard error is about .03. Right, the epochs that each search has trained, with the
# accuracy of its choice on 540 test digits; its standard error is about .01.

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
scores = searches["grid"].cv_results_["mean_test_score"].reshape(len(lrs), len(momenta))
image = left.imshow(scores, cmap="viridis", origin="lower")
for (row, column), score in np.ndenumerate(scores):
    is_bright = score > (scores.min() + scores.max()) / 2
    colour = "black" if is_bright else "white"
    left.text(column, row, f"{score:.3f}", ha="center", va="center", color=colour)
left.set_xticks(range(len(momenta)), [f"{momentum:g}" for momentum in momenta])
left.set_yticks(range(len(lrs)), [f"{lr:g}" for lr in lrs])
left.set(
    xlabel="momentum", ylabel="learning rate", title="Accuracy on 100 held-out labels"
)
figure.colorbar(image, ax=left, shrink=0.8)
right.bar(list(costs), list(costs.values()), color="#56b4e9")
for place, (name, cost) in enumerate(costs.items()):
    text = f"test accuracy\n{accuracies[name]:.3f}"
    right.text(place, cost, text, ha="center", va="bottom")
right.margins(y=0.2)
right.set(ylabel="epochs trained", title="The cost of each search")
figure.savefig("search_with_labels.png")

# %%
# The three choices are level. Halving has trained a third of the epochs of the grid.
