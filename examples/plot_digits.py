"""
Digits in a minute
==================

BYOL on 1,257 unlabelled digits of 8x8 pixels, then a classifier that sees 1, 5, 10 or
all labels a class. Prints a table of test accuracies, saves the pipeline, loads it in a
new process, and leaves two pictures: the training curve, and a map of the
representations before and after training.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import joblib
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_byol import BYOLTransformer

N_DRAWS = 5
LABELS_A_CLASS = (1, 5, 10, None)  # None: all


def draw_labelled(y, n_a_class, seed):
    """Choose which images are labelled."""
    if n_a_class is None:
        return np.arange(len(y))
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            rng.choice(np.flatnonzero(y == label), n_a_class, replace=False)
            for label in np.unique(y)
        ]
    )


def accuracies(encoder, X_train, y_train, X_test, y_test):
    """Mean test accuracy of a linear probe for each number of labels a class."""
    train, test = encoder.transform(X_train), encoder.transform(X_test)
    means = []
    for n_a_class in LABELS_A_CLASS:
        scores = []
        for seed in range(N_DRAWS if n_a_class else 1):
            chosen = draw_labelled(y_train, n_a_class, seed)
            probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            scores.append(probe.fit(train[chosen], y_train[chosen]).score(test, y_test))
        means.append(np.mean(scores))
    return means


def print_table(rows):
    """Print one line for each representation."""
    header = [f"{n or 'all'} a class" for n in LABELS_A_CLASS]
    print(f"\n{'test accuracy':<20}" + "".join(f"{name:>13}" for name in header))
    for name, values in rows.items():
        print(f"{name:<20}" + "".join(f"{value:>13.3f}" for value in values))


def plot_training(history, path):
    """Loss and spread over epochs, on two axes that share the epochs."""
    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(6, 4.5))
    epochs = np.arange(1, len(history["loss"]) + 1)
    top.plot(epochs, history["loss"], color="#0072b2")
    top.set(ylabel="loss, 0 to 8", ylim=(0, None), title="BYOL on 1,257 digits")
    bottom.plot(epochs, history["spread"], color="#d55e00")
    bottom.axhline(0, color="gray", linestyle=":")
    bottom.annotate("collapsed", (epochs[-1], 0.02), ha="right", color="gray")
    bottom.set(xlabel="epoch", ylabel="spread of projections", ylim=(-0.05, 1.05))
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def plot_maps(before, after, y, path):
    """Two t-SNE maps side by side, each digit drawn as itself."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 5))
    colours = mpl.colormaps["tab10"].colors
    panels = {"untrained encoder": before, "trained by BYOL": after}
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        scaled = StandardScaler().fit_transform(rows)
        points = TSNE(random_state=0, perplexity=30).fit_transform(scaled)
        axis.set(title=title, xticks=[], yticks=[])
        axis.set(xlim=padded(points[:, 0]), ylim=padded(points[:, 1]))
        for (x, y_), label in zip(points, y, strict=True):
            axis.text(
                x, y_, label, color=colours[label], ha="center", va="center", fontsize=8
            )
    figure.suptitle("Test digits, t-SNE of their representations")
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def padded(values):
    """Limits a little wider than the values."""
    margin = 0.05 * np.ptp(values)
    return values.min() - margin, values.max() + margin


def main():
    """Train, compare, save, load, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-epochs", type=int, default=40)
    parser.add_argument("--folder", type=Path, default=Path())
    arguments = parser.parse_args()

    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=0
    )
    # The untrained encoder: a learning rate of nearly nothing keeps the first weights.
    untrained = BYOLTransformer(max_epochs=1, lr=1e-12, random_state=0).fit(X_train)

    start = time.perf_counter()
    byol = BYOLTransformer(
        max_epochs=arguments.max_epochs, random_state=0, verbose=1
    ).fit(X_train)
    print(f"Trained on {len(X_train)} images in {time.perf_counter() - start:.0f} s.")

    split = X_train, y_train, X_test, y_test
    representations = {
        "raw pixels": FunctionTransformer().fit(X_train),
        "PCA(32)": PCA(32, random_state=0).fit(X_train),
        "untrained encoder": untrained,
        "BYOL": byol,
    }
    print_table({name: accuracies(r, *split) for name, r in representations.items()})

    pipe = Pipeline(
        [
            ("byol", byol),
            ("scale", StandardScaler()),
            ("clf", LogisticRegression(max_iter=1000)),
        ]
    )
    # The transformer is trained; only the steps behind it are fitted here.
    pipe[1:].fit(byol.transform(X_train), y_train)
    path = arguments.folder / "digits_pipeline.joblib"
    joblib.dump((pipe, X_test), path)
    code = "import joblib, sys; p, X = joblib.load(sys.argv[1]); print(*p.predict(X))"
    told = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    same = np.array_equal(np.array(told.stdout.split(), int), pipe.predict(X_test))
    assert same, "the loaded pipeline predicts something else"
    size = path.stat().st_size / 1e6
    print(f"\nSaved to {path} ({size:.1f} MB); a new process predicts the same.")

    plot_training(byol.history_, arguments.folder / "digits_training.png")
    plot_maps(
        untrained.transform(X_test),
        byol.transform(X_test),
        y_test,
        arguments.folder / "digits_maps.png",
    )
    print("Pictures: digits_training.png, digits_maps.png.")


if __name__ == "__main__":
    main()
