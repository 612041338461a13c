"""What the figures of a training say of whether it went well: a grid of both kinds.

    python benchmarks/health.py --data DIR --sets fashion_mnist,steel64,cifar10

Trains encoders by settings that are known to go well, and by settings that are known to
go wrong, on training images without labels, and compares the accuracy of a kNN probe
with that of the same encoder before training. Prints one line of JSON a training;
`--table FILE` reads such lines and says which the warnings of `BYOLTransformer` name.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from image_sets import load_set

from sklearn_byol import BYOLTransformer, RandomViews
from sklearn_byol.exceptions import CollapseWarning
from sklearn_byol.metrics import effective_rank, knn_accuracy
from sklearn_byol.networks._image_encoder import LEARNS
from sklearn_byol.training._health import Distance, warn_of_collapse

N_TRAIN, N_LABELLED, N_SCORED = 1000, 500, 500
GOOD = {
    "default 3": {"max_epochs": 3},
    "default 10": {"max_epochs": 10},
    "default 30": {"max_epochs": 30},
    "lr third": {"lr": 1e-3, "max_epochs": 10},
    "lr twice": {"lr": 6e-3, "max_epochs": 10},
    "momentum .8": {"momentum": 0.8, "max_epochs": 10},
    "momentum .99": {"momentum": 0.99, "max_epochs": 20},
    "batch 32": {"batch_size": 32, "max_epochs": 10},
    "batch 256": {"batch_size": 256, "max_epochs": 20},
    "sgd": {"optimizer": "sgd", "max_epochs": 20},
    "lars": {"optimizer": "lars", "max_epochs": 20},
    "mild": {"views": "mild", "max_epochs": 10},
    "byol": {"views": "byol", "max_epochs": 10},
    "resnet18": {"encoder": "resnet18", "max_epochs": 5},
    "heads 64": {"projection_dim": 64, "hidden_dim": 256, "max_epochs": 10},
}
CONSTANT = "constant views"
BAD = {
    "lr x10": {"lr": 0.03, "max_epochs": 10},
    "lr x30": {"lr": 0.1, "max_epochs": 10},
    "lr x100": {"lr": 0.3, "max_epochs": 10},
    "momentum 1": {"momentum": 1.0, "max_epochs": 10},
    "momentum 0": {"momentum": 0.0, "max_epochs": 10},
    "momentum .999": {"momentum": 0.999, "max_epochs": 10},
    "decay 1": {"weight_decay": 1.0, "max_epochs": 30},
    "decay 10": {"weight_decay": 10.0, "max_epochs": 10},
    "decay 100": {"weight_decay": 100.0, "max_epochs": 10},
    "batch 2": {"batch_size": 2, "max_epochs": 1},
    "batch 4": {"batch_size": 4, "max_epochs": 2},
    "batch 8": {"batch_size": 8, "max_epochs": 5},
    "sgd x10": {"optimizer": "sgd", "lr": 0.6, "max_epochs": 20},
    "sgd x100": {"optimizer": "sgd", "lr": 6.0, "max_epochs": 10},
    "lars x10": {"optimizer": "lars", "lr": 5.0, "max_epochs": 20},
    "lars x100": {"optimizer": "lars", "lr": 50.0, "max_epochs": 10},
    "adam's as sgd's": {"optimizer": "sgd", "lr": 1e-4, "max_epochs": 5},
    "no views": {"views": lambda images: images, "max_epochs": 10},
    "noise views": {"views": torch.rand_like, "max_epochs": 10},
    CONSTANT: {"views": lambda images: images * 0 + 0.5, "max_epochs": 10},
    "tiny crops": {
        "views": RandomViews(crop_scale=(0.01, 0.02)),
        "max_epochs": 10,
    },
    "resnet18 x30": {"encoder": "resnet18", "lr": 0.1, "max_epochs": 5},
}


def images_of(name, data):
    """Return images to train on, and labelled ones that are not among them."""
    n = N_TRAIN + N_LABELLED + N_SCORED
    X, y = load_set(name, "train", data, n)
    if len(X) < n:  # all are trained on; labels are not looked at
        half = len(X) // 2
        return X[:N_TRAIN], X[: 2 * half], y[: 2 * half], half
    return X[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:], N_LABELLED


def looked_at(byol, labelled, y, half):
    """Return the accuracy of a kNN probe, and the effective rank of rows."""
    rows = byol.transform(labelled)
    score = knn_accuracy(rows[:half], y[:half], rows[half:], y[half:])
    return float(score), float(effective_rank(rows)), rows


@torch.no_grad()
def learned(byol, X):
    """Represent images by what an encoder learns, without what goes beside it."""
    return byol.encoder_.take(LEARNS)(byol.read_images(X)).numpy()


def similarity(first, second):
    """Linear CKA of two representations of the same images."""
    first, second = first - first.mean(0), second - second.mean(0)
    cross = np.linalg.norm(first.T @ second) ** 2
    own = np.linalg.norm(first.T @ first) * np.linalg.norm(second.T @ second)
    return float(cross / own) if own else 1.0


def measure(name, data, seed, settings):
    """Train once, and say what became of it."""
    X, labelled, y, half = images_of(name, data)
    common = {"hog": 0, "random_state": seed, **settings}
    start = BYOLTransformer(**common | {"max_epochs": 0}).fit(X)
    knn_0, rank_0, rows_0 = looked_at(start, labelled, y, half)
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            byol = BYOLTransformer(**common).fit(X)
        except FloatingPointError as error:
            return {"error": str(error), "knn_0": knn_0}
    knn, rank, rows = looked_at(byol, labelled, y, half)
    distance = Distance.between(*(learned(it, X[:256]) for it in (start, byol)))
    figures = ("loss", "spread", "effective_rank")
    return {
        "knn_0": knn_0,
        "knn": knn,
        "rank_0": rank_0,
        "rank": rank,
        "cka": similarity(rows_0, rows),
        "share": round(distance.share, 3),
        "similarity": round(distance.similarity, 3),
        "start": {k: start.history_[k][0] for k in figures},
        **{k: np.round(byol.history_[k], 4).tolist() for k in figures},
        "n_batch": min(byol.batch_size, N_TRAIN),
        "warned": [
            str(w.message)[:60] for w in caught if w.category is CollapseWarning
        ],
        "seconds": round(time.perf_counter() - began, 1),
    }


def table(path):
    """Print a line a training: what became of it, and the figures it is judged by."""
    print("| set | training | kNN before, after | spread | rank | share | CKA | said |")
    print("|---|---|---|---|---|---|---|---|")
    for line in Path(path).read_text().splitlines():
        row = json.loads(line)
        if "error" in row:
            continue
        distance = Distance(row["share"], row["similarity"])
        history = {name: row[name] for name in ("spread", "effective_rank")}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_of_collapse(history, row["n_batch"], distance)
        cells = [
            *(row["set"], row["kind"], f"{row['knn_0']:.2f}, {row['knn']:.2f}"),
            *(f"{row['spread'][-1]:.2f}", f"{row['effective_rank'][-1]:.1f}"),
            *(f"{row['share']:.2f}", f"{row['similarity']:.2f}"),
            "yes" if caught else "",
        ]
        print(f"| {' | '.join(cells)} |")


def main():
    """Train by each setting, on each set, or print a table of what was trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", default="digits")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", help="parts of names of settings, with commas")
    parser.add_argument("--table", type=Path, help="lines of JSON of trainings")
    parser.add_argument("--epochs", type=int, help="of all, in place of their own")
    given = parser.parse_args()
    if given.table is not None:
        table(given.table)
        return
    torch.set_num_threads(1)
    for seed in range(given.seeds):
        for kind, settings in [*GOOD.items(), *BAD.items()]:
            if given.only and not any(k in kind for k in given.only.split(",")):
                continue
            few = {} if given.epochs is None else {"max_epochs": given.epochs}
            for name in given.sets.split(","):
                found = measure(name, given.data, seed, settings | few)
                row = {"set": name, "kind": kind, "is_good": kind in GOOD}
                print(json.dumps(row | {"seed": seed} | found), flush=True)


if __name__ == "__main__":
    main()
