"""
Nearest neighbours and wrong labels
===================================

What lies near an image in the representations is what the encoder takes for alike.
BYOL is trained on digits without their labels; then nearest neighbours show what it has
learned, which labels are likely to be wrong, and which images are like no others.
"""

# %%
# Thirty wrong labels
# -------------------
# Thirty labels are made wrong on purpose. BYOL does not see labels, so it cannot learn
# them.

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from sklearn_byol import BYOLTransformer
from sklearn_byol.inspection import NeighborsDisplay

MAX_EPOCHS = 20
N_WRONG = 30
N_NEIGHBORS = 10

X, y = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
wrong = rng.choice(len(y), N_WRONG, replace=False)
labels = y.copy()
labels[wrong] = (labels[wrong] + rng.integers(1, 10, N_WRONG)) % 10

byol = BYOLTransformer(max_epochs=MAX_EPOCHS, random_state=0).fit(X)
rows = byol.transform(X)

# %%
# Labels that their neighbours doubt
# ----------------------------------
# Each image has ten neighbours by cosine. The suspects are the thirty images whose
# neighbours differ most from their label.


def neighbours(rows):
    """Find the nearest others of each row: distances and indices."""
    search = NearestNeighbors(n_neighbors=N_NEIGHBORS, metric="cosine").fit(rows)
    return search.kneighbors()  # of the rows themselves, which do not count


for name, seen in {"raw pixels": X, "BYOL": rows}.items():
    _, indices = neighbours(seen)
    doubt = (labels[indices] != labels[:, np.newaxis]).mean(axis=1)
    suspects = np.argsort(-doubt, kind="stable")[:N_WRONG]
    n_found = len(np.intersect1d(suspects, wrong))
    print(f"{name}: {n_found} of {N_WRONG} wrong labels among {N_WRONG} suspects.")

# %%
# Four suspects of BYOL, and beside each its nearest images. A frame means another label
# than that of the query. Digits are centred and of one size, so that the nearest
# by raw pixels are alike too, and find as many wrong labels.

display = NeighborsDisplay.from_estimator(byol, X, labels, queries=suspects[:4])
display.ax_.set_title("Labels that their neighbours doubt")
display.figure_.savefig("neighbors_labels.png")

# %%
# Digits that are like no others
# ------------------------------
# The mean distance to its neighbours is large for an image that is like nothing else.

distances, _ = neighbours(rows)
odd = np.argsort(-distances.mean(axis=1), kind="stable")[:4]
display = NeighborsDisplay.from_estimator(byol, X, y, queries=odd)
display.ax_.set_title("Digits that are like no others")
display.figure_.savefig("neighbors_odd.png")
