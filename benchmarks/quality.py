"""Accuracy with few labels: BYOL's defaults against what users could have for less.

    python benchmarks/quality.py --data DIR --sets digits,cifar10 --out quality

For each set and method: representations from the unlabelled images of the budget, then
logistic regression (C by cross-validation on the labels given) and cosine kNN with 1,
5, 10, 100 and all labels a class. All methods get the same draws of labels, from the
first 5,000 training images at most, and the same test images, 2,000 at most; "all" is
all of those training images. A network trained on the labels alone, with BYOL's views,
stands beside. Writes OUT.json after each method, leaves out what is there already, and
draws OUT.png.
"""

import argparse
import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from image_sets import load_set
from machine import clock, describe
from methods import REPRESENTATIONS, keeps_variances
from probes import draw_labels, knn_accuracy, tuned_linear_accuracy
from quality_figure import draw_figure
from supervised import supervised_accuracy

# Images (all, where None) and epochs.
BUDGETS = {
    "try": dict.fromkeys(("fashion_mnist", "cifar10", "tiny10"), (1200, 2))
    | {"digits": (None, 2), "shapes": (1200, 2)}
    | dict.fromkeys(("hand_signs64", "steel64"), (None, 2)),
    "small": {
        "digits": (None, 40),
        "shapes": (4000, 25),
        "fashion_mnist": (10_000, 30),
        "cifar10": (20_000, 20),
        "tiny10": (12_000, 20),
        "hand_signs64": (None, 60),
        "steel64": (None, 60),
    },
    # As long as the former defaults took to the small one's epochs.
    "time of before": {
        "fashion_mnist": (10_000, 54),
        "cifar10": (20_000, 36),
        "tiny10": (12_000, 36),
        "steel64": (None, 109),
    },
    "large": {
        "digits": (None, 400),
        "shapes": (4000, 250),
        "fashion_mnist": (60_000, 200),
        "cifar10": (50_000, 200),
        "tiny10": (12_000, 400),
        "hand_signs64": (None, 600),
        "steel64": (None, 600),
    },
}
LABELS = {"1": 1, "5": 5, "10": 10, "100": 100, "all": None}
N_POOL, N_TEST, N_DRAWS = 5000, 2000, 5
SUPERVISED = "labels only"
KEY = ("set", "budget", "method", "seed")  # of a record


def label_draws(y):
    """Draw indices, for each number of labels a class that there is."""
    least = np.bincount(y).min()
    return {
        name: [np.arange(len(y))] if n is None else draw_labels(y, n, N_DRAWS)
        for name, n in LABELS.items()
        if n is None or n < least
    }


def measure(method, images, labels, n_epochs, seed):
    """Accuracies by probe and number of labels, and seconds without the probes."""
    (X, X_test), (y, y_test) = images, labels
    pool, y = X[:N_POOL], y[:N_POOL]
    draws = label_draws(y)
    start = clock()
    if method == SUPERVISED:

        def score(drawn, seed):
            return supervised_accuracy(
                pool[drawn], y[drawn], X_test, y_test, n_epochs, seed
            )

        accuracies = {
            name: [score(d, seed + i) for i, d in enumerate(drawn)]
            for name, drawn in draws.items()
        }
        return {"network": accuracies}, clock() - start
    rows, rows_test = REPRESENTATIONS[method](X, [pool, X_test], n_epochs, seed)
    seconds = clock() - start
    linear = partial(tuned_linear_accuracy, scales=not keeps_variances(method, X))
    accuracies = {
        probe: {
            name: [score(rows[d], y[d], rows_test, y_test) for d in drawn]
            for name, drawn in draws.items()
        }
        for probe, score in {"linear": linear, "kNN": knn_accuracy}.items()
    }
    return accuracies, seconds


def measure_set(name, arguments, done):
    """Yield a record of each seed and method that is not done yet."""
    n_images, n_epochs = BUDGETS[arguments.budget][name]
    parts = [
        load_set(name, "train", arguments.data, n_images),
        load_set(name, "test", arguments.data, N_TEST),
    ]
    images, labels = zip(*parts, strict=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for seed in map(int, arguments.seeds.split(",")):
        for method in arguments.methods.split(","):
            key = {
                "set": name,
                "budget": arguments.budget,
                "method": method,
                "seed": seed,
            }
            if key in done:
                continue
            accuracies, seconds = measure(method, images, labels, n_epochs, seed)
            yield key | {
                "images": len(images[0]),
                "epochs": n_epochs,
                "seconds": round(seconds, 1),
                "accuracies": accuracies,
                "where": describe(device, "scikit-learn"),
            }


def print_record(record):
    """Print mean and spread (standard deviation) over the draws."""
    for probe, by_labels in record["accuracies"].items():
        figures = "  ".join(
            f"{name}: {np.mean(values):.3f} ({np.std(values):.3f})"
            for name, values in by_labels.items()
        )
        label = f"{record['set']:<14}{record['method']:<15}{probe:<8}"
        print(f"{label} {figures}  {record['seconds']} s", flush=True)


def main():
    """Go through the sets; keep what is measured as soon as it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the real sets")
    parser.add_argument("--sets", default="digits,shapes")
    parser.add_argument("--budget", choices=BUDGETS, default="small")
    parser.add_argument("--methods", default=",".join([*REPRESENTATIONS, SUPERVISED]))
    parser.add_argument("--seeds", default="0", help="of the training, not the draws")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path("quality"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    file = arguments.out.with_suffix(".json")
    records = json.loads(file.read_text()) if file.exists() else []
    done = [{name: record[name] for name in KEY} for record in records]
    for name in arguments.sets.split(","):
        for record in measure_set(name, arguments, done):
            print_record(record)
            records.append(record)
            file.write_text(json.dumps(records, indent=1))
    draw_figure(records, arguments.budget, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
