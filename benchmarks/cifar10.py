"""CIFAR-10 by lightly's recipe: ResNet-18, batches of 512, cosine kNN and linear probe.

    python benchmarks/cifar10.py --data DIR --epochs 200 --json cifar10.json

lightly's benchmark gives .868 by kNN (k = 200, temperature 0.1) after 200 epochs and
.910 after 800; solo-learn a linear .9258 after 1,000. All 50,000 training images are
used for training and for the probes, all 10,000 test images for the score. Meant for a
GPU: on two CPU cores an epoch takes 46 minutes. `--images` and `--epochs` make a
try-out.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from image_sets import load_set
from machine import describe
from probes import knn_accuracy, tuned_linear_accuracy

from sklearn_byol import BYOLTransformer, recipe


def run(parts, n_epochs, seed):
    """Train and probe once."""
    (X, y), (X_test, y_test) = parts
    byol = BYOLTransformer(
        **recipe("cifar10") | {"max_epochs": n_epochs, "random_state": seed}, verbose=1
    )
    start = time.perf_counter()
    byol.fit(X)
    seconds = time.perf_counter() - start
    rows, rows_test = byol.transform(X), byol.transform(X_test)
    return {
        "seed": seed,
        "epochs": n_epochs,
        "images": len(X),
        "seconds": round(seconds, 1),
        "kNN": knn_accuracy(rows, y, rows_test, y_test),
        "linear": tuned_linear_accuracy(rows, y, rows_test, y_test),
        "loss": byol.history_["loss"][-1],
        "spread": byol.history_["spread"][-1],
    }


def main():
    """Train once for each seed; keep what is measured as soon as it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--images", type=int, help="of each part, at most")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--json", type=Path, default=Path("cifar10.json"))
    arguments = parser.parse_args()
    parts = [
        load_set("cifar10", split, arguments.data, arguments.images)
        for split in ("train", "test")
    ]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    figures = {"where": describe(device, "scikit-learn"), "runs": []}
    print(json.dumps(figures["where"], indent=1))
    for seed in map(int, arguments.seeds.split(",")):
        figures["runs"].append(run(parts, arguments.epochs, seed))
        print(json.dumps(figures["runs"][-1]), flush=True)
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
