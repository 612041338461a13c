"""
Find wrong labels, odd images and duplicates
============================================

Once an encoder is trained, scikit-learn's own tools on its representations clean a set
of images. Here 30 labels of the digits are made wrong, 30 images are spoilt and 30 are
put in twice, the second time a little darker and with noise, so that it can be
counted how many are found. Raw pixels are given the same chance: on digits, which are
centred and of one size, neighbours in pixels find a little more.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_byol import BYOLTransformer
from sklearn_byol.inspection import NeighborsDisplay

MAX_EPOCHS = 20
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

byol = BYOLTransformer(max_epochs=MAX_EPOCHS, random_state=0).fit(images)
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
display.figure_.savefig("odd_labels.png")

# %%
# Odd images
# ----------
# What is like nothing else is far from its ten nearest. An isolation forest finds rows
# that are easily told from all others; it looks at one column at a time, so it is given
# principal components. Here it finds less.

for name, rows in representations.items():
    search = NearestNeighbors(n_neighbors=10, metric="cosine").fit(rows)
    distances, _ = search.kneighbors()
    suspects = np.argsort(-distances.mean(axis=1), kind="stable")[:N_EACH]
    forest = make_pipeline(
        StandardScaler(),
        PCA(32, whiten=True, random_state=0),
        IsolationForest(n_estimators=300, random_state=0),
    )
    told = np.argsort(forest.fit(rows).score_samples(rows), kind="stable")[:N_EACH]
    print(
        f"{name}: spoilt images in {N_EACH} suspects, {found(suspects, spoilt)} by "
        f"neighbours, {found(told, spoilt)} by the forest."
    )

display = NeighborsDisplay.from_estimator(byol, images, labels, queries=suspects[:4])
display.ax_.set_title("Images that are far from all others")
display.figure_.savefig("odd_images.png")

# %%
# Duplicates
# ----------
# Copies are the nearest pairs. How near is near enough is seen where pairs cease to be
# copies; here as many pairs are looked at as were hidden. Brightness does not change a
# cosine of pixels, so pixels find all of them, and representations a few less.

for name, rows in representations.items():
    search = NearestNeighbors(n_neighbors=1, metric="cosine").fit(rows)
    distances, nearest = search.kneighbors()
    order = np.argsort(distances[:, 0], kind="stable")
    both = (tuple(sorted((int(i), int(nearest[i, 0])))) for i in order)
    pairs = list(dict.fromkeys(both))[:N_EACH]
    hidden = set(zip(copied.tolist(), range(n_digits, len(rows)), strict=True))
    n_found = len(hidden.intersection(pairs))
    print(f"{name}: {n_found} of {N_EACH} copies in as many pairs.")

display = NeighborsDisplay.from_estimator(
    byol, images, labels, queries=[first for first, _ in pairs[:4]]
)
display.ax_.set_title("The nearest pairs, and who comes next")
display.figure_.savefig("odd_duplicates.png")
