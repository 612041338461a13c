"""
Few labels: a linear probe or BYOLClassifier
============================================

BYOL learns from 1,257 digits without labels. Then a few of them get one, and there are
two ways to use these: a logistic regression on the representations, or
:class:`~sklearn_byol.BYOLClassifier`, which begins with that regression and tunes the
encoder with it. BYOL is fitted once and frozen, so that each draw of labels costs only
what comes after it.
"""

import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_byol import BYOLClassifier, BYOLTransformer
from sklearn_byol.inspection import LabelEfficiencyDisplay

MAX_EPOCHS = 20
N_LABELS = [1, 5, 20]  # per class
N_DRAWS = 2

# %%
# BYOL sees all training images and no label.

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.3, stratify=y, random_state=0
)
byol = BYOLTransformer(max_epochs=MAX_EPOCHS, random_state=0).fit(X_train)
frozen = FrozenEstimator(byol)

# %%
# An image without a label has the label -1. All three classifiers get the same draws;
# ``BYOLClassifier`` gets all images, as a user would pass them, and the other two those
# that have labels.

classifiers = {
    "raw pixels": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "linear probe": make_pipeline(frozen, LogisticRegression(max_iter=1000)),
    "BYOLClassifier": BYOLClassifier(frozen, random_state=0),
}


def labels_of_a_draw(n_a_class, seed):
    """Keep as many labels of each class, and put -1 in place of the others."""
    rng = np.random.default_rng(seed)
    kept = [rng.choice(np.flatnonzero(y_train == k), n_a_class, False) for k in set(y)]
    few = np.full_like(y_train, -1)
    few[np.concatenate(kept)] = y_train[np.concatenate(kept)]
    return few


def test_accuracy(classifier, few):
    """Fit on the few labels and score on the test images."""
    seen = few >= 0 if not isinstance(classifier, BYOLClassifier) else slice(None)
    return classifier.fit(X_train[seen], few[seen]).score(X_test, y_test)


draws = [[labels_of_a_draw(n, i) for i in range(N_DRAWS)] for n in N_LABELS]
accuracies = {}
print(f"{'labels per class':<16}" + "".join(f"{n:>8}" for n in N_LABELS))
for name, classifier in classifiers.items():
    start = time.perf_counter()
    accuracies[name] = np.array(
        [[test_accuracy(classifier, few) for few in size] for size in draws]
    )
    means = "".join(f"{mean:>8.3f}" for mean in accuracies[name].mean(axis=1))
    print(f"{name:<16}{means}   {time.perf_counter() - start:.0f} s in all")

# %%
# The picture has the mean of the draws and their range.

display = LabelEfficiencyDisplay(N_LABELS, accuracies).plot()
display.ax_.set_title("Digits: what a label buys")
display.figure_.savefig("few_labels.png")
# sphinx_gallery_thumbnail_path = 'pictures/thumbnail_few_labels.png'
