"""Which views teach most: presets against each other on real images.

    python benchmarks/views_study.py --data DIR --sets fashion_mnist,cifar10,tiny10

For each set and preset, BYOL with defaults on unlabelled training images, then a linear
probe (StandardScaler, LogisticRegression) on part of the training images, scored on
another part: test images are not read. DIR holds the sets as README.md beside this file
says. Prints a line as soon as it is known, and the whole as JSON at the end.
"""

import argparse
import io
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_byol import BYOLTransformer

N_HELD_OUT = 2000
N_DRAWS = 10


def load(path, n):
    """Return the first n shuffled training images and labels of a set."""
    with np.load(path) as pack:
        y = pack["y_train"]
        order = np.random.default_rng(0).permutation(len(y))[:n]
        if "X_train" in pack:
            return pack["X_train"][order], y[order]
        raw, offsets = pack["bytes_train"].tobytes(), pack["offsets_train"]
    pictures = [
        np.asarray(
            Image.open(io.BytesIO(raw[offsets[i] : offsets[i + 1]])).convert("RGB")
        )
        for i in order
    ]
    return np.stack(pictures), y[order]


def probe(train, y_train, held_out, y_held_out):
    """Accuracy of a linear probe."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return classifier.fit(train, y_train).score(held_out, y_held_out)


def accuracies(rows, y):
    """With 10 labels a class, mean of ten draws, and with all labels."""
    train, held_out = rows[N_HELD_OUT:], rows[:N_HELD_OUT]
    y_train, y_held_out = y[N_HELD_OUT:], y[:N_HELD_OUT]
    few = []
    for seed in range(N_DRAWS):
        rng = np.random.default_rng(seed)
        chosen = np.concatenate(
            [
                rng.choice(np.flatnonzero(y_train == label), 10, replace=False)
                for label in np.unique(y)
            ]
        )
        few.append(probe(train[chosen], y_train[chosen], held_out, y_held_out))
    return np.mean(few), probe(train, y_train, held_out, y_held_out)


def main():
    """Go through sets and presets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default="fashion_mnist,cifar10,tiny10")
    parser.add_argument("--presets", default="natural,gray,digits,byol,safe,lab")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = []
    for name in arguments.sets.split(","):
        path = next(arguments.data.glob(f"{name}*.npz"))
        X, y = load(path, arguments.images)
        for preset in arguments.presets.split(","):
            start = time.perf_counter()
            byol = BYOLTransformer(
                views=preset,
                max_epochs=arguments.epochs,
                random_state=arguments.seed,
            ).fit(X)
            seconds = time.perf_counter() - start
            few, many = accuracies(byol.transform(X), y)
            row = {
                "set": name,
                "preset": preset,
                "10 a class": round(float(few), 3),
                f"{len(X) - N_HELD_OUT} labels": round(float(many), 3),
                "loss": round(byol.history_["loss"][-1], 3),
                "spread": round(byol.history_["spread"][-1], 3),
                "seconds": round(seconds),
            }
            print(json.dumps(row), flush=True)
            rows.append(row)
    print(
        json.dumps(
            {
                "images": arguments.images,
                "epochs": arguments.epochs,
                "seed": arguments.seed,
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                "cores": os.cpu_count(),
                "rows": rows,
            }
        )
    )


if __name__ == "__main__":
    main()
