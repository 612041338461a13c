"""Channels of unlike units: one range of values for all, or one for each.

    python benchmarks/channel_ranges.py

Patterns in one channel tell three classes apart, three others are noise of k times its
range. Cross-validated accuracy of a linear probe, where all share one range and where
each has its own; three seeds, mean.
"""

import argparse
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from sklearn_byol import BYOLTransformer

N_IMAGES, SIDE, EPOCHS = 240, 16, 8
NOISE = 1.5  # deviation, of waves of amplitude 1
TIMES = (1, 2, 4, 8, 16, 32, 100)


def draw(seed):
    """Draw images (n_images, height, width, 4), each channel in [0, 1], and classes."""
    rng = np.random.default_rng(seed)
    y, at = np.arange(N_IMAGES) % 3, np.arange(SIDE)
    down, right = np.meshgrid(at, at, indexing="ij")
    along = np.stack([down, right, down + right])[y]
    phase = rng.uniform(0, 2 * np.pi, (N_IMAGES, 1, 1))
    told = np.sin(2 * np.pi * along / 4 + phase) + rng.normal(0, NOISE, along.shape)
    others = rng.lognormal(np.log(1500), 0.5, (N_IMAGES, SIDE, SIDE, 3))
    X = np.concatenate([told[..., None], others.clip(0, 10_000)], axis=-1)
    low, high = X.min((0, 1, 2)), X.max((0, 1, 2))
    return ((X - low) / (high - low)).astype(np.float32), y


def accuracy(X, y, seed, pixel_range):
    """Cross-validated accuracy of a linear probe."""
    byol = BYOLTransformer(
        max_epochs=EPOCHS,
        image_shape=(SIDE, SIDE, 4),
        pixel_range=pixel_range,
        random_state=seed,
    )
    rows = byol.fit_transform(X)
    probe = LogisticRegression(max_iter=1000)
    return cross_val_score(probe, rows, y, cv=3).mean()


def main():
    """Print a line for each ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", default=",".join(map(str, TIMES)))
    parser.add_argument("--seeds", default="0,1,2")
    arguments = parser.parse_args()
    ratios, seeds = (
        [int(number) for number in text.split(",")]
        for text in (arguments.times, arguments.seeds)
    )
    warnings.simplefilter("ignore")
    print("times | one range | one for each")
    for times in ratios:
        found = []
        for seed in seeds:
            X, y = draw(seed)
            highs = np.array([1, times, times, times], np.float32)
            ranges = (0, times), (np.zeros(4), highs)
            found.append([accuracy(X * highs, y, seed, r) for r in ranges])
        shared, each = np.mean(found, axis=0)
        print(f"{times:5} | {shared:.3f} | {each:.3f}", flush=True)


if __name__ == "__main__":
    main()
