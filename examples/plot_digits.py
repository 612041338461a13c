"""
Digits in a minute
==================

BYOL on 1,257 digits of 8x8 pixels, without a label. Then a logistic regression that
sees 1, 5, 10 or all labels per class: how much does it gain from the representations?
Finally the pipeline is saved, and a new process loads it.

This is what `make demo` runs.
"""

# %%
# Train without labels
# --------------------
# The training images go in as rows of 64 pixels. Rows whose length is a square
# are folded automatically, here to 8x8.

import subprocess
import sys
import time
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_byol import BYOLTransformer
from sklearn_byol.inspection import (
    LabelEfficiencyDisplay,
    RepresentationMapDisplay,
    TrainingCurveDisplay,
)

MAX_EPOCHS = 40

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.3, stratify=y, random_state=0
)
print(f"1. BYOL learns from {len(X_train)} digits, without a label.")
byol = BYOLTransformer(max_epochs=MAX_EPOCHS, random_state=0, verbose=1)
start = time.perf_counter()
byol.fit(X_train)
print(f"   {MAX_EPOCHS} epochs took {time.perf_counter() - start:.0f} s.")

# %%
# How the training went
# ---------------------
# The loss alone says nothing: a collapsed encoder has the lowest. The spread of the
# projections is about 1 where all is well, and 0 in a collapse. The effective rank is
# how many directions the projections of a batch use, 1 in a collapse.

curve = TrainingCurveDisplay.from_estimator(
    byol, figures=["loss", "spread", "effective_rank"]
)
curve.figure_.savefig("digits_training.png")

# %%
# What a label buys
# -----------------
# The same logistic regression on three representations of the same labelled digits. The
# untrained encoder is that of BYOL before the first step, `max_epochs=0`.

untrained = BYOLTransformer(max_epochs=0, random_state=0).fit(X_train)
representations = {
    "BYOL": byol,
    "raw pixels": FunctionTransformer().fit(X_train),
    "untrained encoder": untrained,
}
gains = LabelEfficiencyDisplay.from_estimator(
    representations,
    X_train,
    y_train,
    X_test,
    y_test,
    labels_per_class=(1, 5, 10, None),
)
gains.ax_.set_title(f"{len(X_test)} test digits, five draws of the labels")
gains.figure_.savefig("digits_labels.png")

print(f"\n2. A logistic regression learns from few labels. Accuracy on {len(X_test)}")
print("   other digits, mean of five draws of the labels:\n")
print(f"   {'labels per class':<20}" + "".join(f"{n:>8}" for n in (1, 5, 10, "all")))
for name, accuracies in gains.accuracies.items():
    means = np.mean(accuracies, axis=1)
    print(f"   {name:<20}" + "".join(f"{mean:>8.3f}" for mean in means))
print("\n   The README has these figures, but for the untrained encoder. Other CPUs")
print("   differ by a point or two.")

# %%
# A map before and after
# ----------------------
# t-SNE puts images beside each other that lie near each other in the representations.
# No label was used for the map; colours and markers are the true digits.

figure, axes = plt.subplots(1, 2, figsize=(8, 4.4), layout="constrained")
panels = {"untrained encoder": untrained, "trained by BYOL": byol}
for axis, (title, encoder) in zip(axes, panels.items(), strict=True):
    rows = encoder.transform(X_test)
    RepresentationMapDisplay.from_representations(
        rows, y_test, method="tsne", ax=axis, legend=axis is axes[-1]
    )
    axis.set_title(title)
figure.savefig("digits_maps.png")
# sphinx_gallery_thumbnail_number = 3

# %%
# Save the pipeline, load it elsewhere
# ------------------------------------
# The transformer is trained already, so only the steps behind it are fitted here.

pipe = Pipeline(
    [
        ("byol", byol),
        ("clf", LogisticRegression(max_iter=1000)),
    ]
)
pipe[1:].fit(byol.transform(X_train), y_train)
path = Path("digits_pipeline.joblib")
joblib.dump((pipe, X_test), path)

code = "import joblib, sys; p, X = joblib.load(sys.argv[1]); print(*p.predict(X))"
told = subprocess.run(
    [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
)
assert np.array_equal(np.array(told.stdout.split(), int), pipe.predict(X_test))
print(f"\n3. {path} has {path.stat().st_size / 1e6:.1f} MB. A new process loaded")
print("   it and predicts the same.")
print("\n4. Look at digits_training.png, how the training went; digits_labels.png,")
print("   the table as curves; digits_maps.png, a map of the digits before and after.")
