"""
Find wrong labels, odd images and duplicates
============================================

Once an encoder is trained, scikit-learn's own tools on its representations clean a set
of images. Here 30 labels of the digits are made wrong, 30 images are spoilt and 30 are
put in twice, the second time a little darker and with noise, so that it can be counted
how many are found. Raw pixels are given the same chance. Prints what was found and
saves three pictures.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_byol import BYOLTransformer
from sklearn_byol.inspection import NeighborsDisplay

parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
parser.add_argument("--max-epochs", type=int, default=20)
parser.add_argument("--folder", type=Path, default=Path())
arguments = parser.parse_args()

N_EACH = 30
rng = np.random.default_rng(0)

# %%
# A set with faults: images 0 to 1,796 are the digits, of which 30 are spoilt, by
# exchanging their upper and lower half, and 30 others have a wrong label; from 1,797 on
# stand the copies.

X, y = load_digits(return_X_y=True)
images = X.reshape(-1, 8, 8)
n_digits = len(images)
chosen = rng.choice(n_digits, 3 * N_EACH, replace=False)
wrong, spoilt, copied = np.split(chosen, 3)
labels = y.copy()
labels[wrong] = (labels[wrong] + rng.integers(1, 10, N_EACH)) % 10
images[spoilt] = np.roll(images[spoilt], 4, axis=1)
copies = 0.9 * images[copied] + rng.normal(0, 0.5, (N_EACH, 8, 8))
images = np.concatenate([images, copies.clip(0, 16)])
labels = np.concatenate([labels, labels[copied]])

byol = BYOLTransformer(max_epochs=arguments.max_epochs, random_state=0).fit(images)
representations = {
    "raw pixels": images.reshape(len(images), -1),
    "BYOL": byol.transform(images),
}


def found(suspects, hidden):
    """Count how many of what was hidden is among the suspects."""
    return f"{len(np.intersect1d(suspects, hidden))} of {N_EACH}"


# %%
# Wrong labels
# ------------
# A label is in doubt where the ten nearest images by cosine have others.


def doubt(rows):
    """Share of the ten nearest that have another label than the image."""
    search = NearestNeighbors(n_neighbors=10, metric="cosine").fit(rows)
    _, nearest = search.kneighbors()  # of the rows themselves, which do not count
    return (labels[nearest] != labels[:, np.newaxis]).mean(axis=1)


for name, rows in representations.items():
    suspects = np.argsort(-doubt(rows), kind="stable")[:N_EACH]
    print(f"{name}: {found(suspects, wrong)} wrong labels in {N_EACH} suspects.")

display = NeighborsDisplay.from_estimator(byol, images, labels, queries=suspects[:4])
display.ax_.set_title("Labels that their neighbours doubt")
display.figure_.savefig(arguments.folder / "odd_labels.png", dpi=100)

# %%
# Odd images
# ----------
# An isolation forest finds rows that are easily told from all others. It looks at one
# column at a time, so it is given the principal components.

for name, rows in representations.items():
    forest = make_pipeline(
        StandardScaler(),
        PCA(32, whiten=True, random_state=0),
        IsolationForest(n_estimators=500, random_state=0),
    )
    oddness = -forest.fit(rows).score_samples(rows)
    suspects = np.argsort(-oddness, kind="stable")[:N_EACH]
    print(f"{name}: {found(suspects, spoilt)} spoilt images in {N_EACH} suspects.")

display = NeighborsDisplay.from_estimator(byol, images, labels, queries=suspects[:4])
display.ax_.set_title("Images that are easily told from all others")
display.figure_.savefig(arguments.folder / "odd_images.png", dpi=100)

# %%
# Duplicates
# ----------
# Copies are nearer than any other two images. The threshold is set by looking at pairs
# in ascending order of their distance; here as many are taken as were hidden.

for name, rows in representations.items():
    search = NearestNeighbors(n_neighbors=1, metric="cosine").fit(rows)
    distances, nearest = search.kneighbors()
    pairs = np.unique(
        np.sort(np.c_[np.arange(len(rows)), nearest[:, 0]], axis=1), axis=0
    )
    order = np.argsort(distances[pairs[:, 1], 0], kind="stable")[:N_EACH]
    suspects = pairs[order]
    hits = [b >= n_digits and copied[b - n_digits] == a for a, b in suspects]
    print(f"{name}: {sum(hits)} of {N_EACH} copies in {N_EACH} suspected pairs.")

display = NeighborsDisplay.from_estimator(
    byol, images, labels, queries=suspects[:4, 0], n_neighbors=6
)
display.ax_.set_title("Nearest pairs, and who comes next")
display.figure_.savefig(arguments.folder / "odd_duplicates.png", dpi=100)
