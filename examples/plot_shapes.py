"""
Colour images of 64 pixels, where raw pixels fail
=================================================

Eight classes, four shapes with stripes or dots on them, and everything else at random:
colours, place, size and turn. What a pixel holds then says next to nothing about the
class, and a classifier of raw pixels guesses. Views differ in the same ways as images
of one class do, in colour, place and size, so that BYOL learns to look past them.
"""

import time

import numpy as np
from sklearn.decomposition import PCA

from sklearn_byol import BYOLTransformer
from sklearn_byol.inspection import LabelEfficiencyDisplay, ViewsDisplay

N_IMAGES = 1000
MAX_EPOCHS = 12

# %%
# The images are drawn here. A class is a shape and what is painted on it.

SIDE = 64  # pixels
SHAPES = ("disc", "square", "triangle", "cross")


def inside(shape, u, v):
    """Tell which points lie in a shape of about radius 1 around the origin."""
    if shape == "disc":
        return np.hypot(u, v) < 0.9
    if shape == "square":
        return np.maximum(abs(u), abs(v)) < 0.8
    if shape == "triangle":
        return (v > -0.6) & (v < 1.1 - 1.9 * abs(u))
    return (np.minimum(abs(u), abs(v)) < 0.3) & (np.maximum(abs(u), abs(v)) < 1)


def draw_image(shape, is_dotted, rng):
    """Draw one image of (64, 64, 3) bytes."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1
    angle, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 0.65)
    x, y = columns - rng.uniform(-0.3, 0.3), rows - rng.uniform(-0.3, 0.3)
    u = (x * np.cos(angle) - y * np.sin(angle)) / size
    v = (x * np.sin(angle) + y * np.cos(angle)) / size
    waves = np.sin(9 * u), np.sin(9 * v) if is_dotted else 0
    painted = sum(waves) > (0.7 if is_dotted else 0)
    behind, front, paint = rng.uniform(0, 255, (3, 1, 1, 3))
    on_shape = np.where(painted[..., None], paint, front)
    picture = np.where(inside(shape, u, v)[..., None], on_shape, behind)
    return (picture + rng.normal(0, 10, picture.shape)).clip(0, 255).astype(np.uint8)


def make_images(n_images, seed):
    """Draw images of all classes in equal parts; returns them with their classes."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n_images) % (2 * len(SHAPES)))
    return np.stack([draw_image(SHAPES[k // 2], k % 2, rng) for k in y]), y


X_train, y_train = make_images(N_IMAGES, seed=0)
X_test, y_test = make_images(N_IMAGES, seed=1)

# %%
# BYOL sees the training images, and no class of any. Two rows of the picture are views
# of the images above them: what the network has to recognise as the same.

start = time.perf_counter()
byol = BYOLTransformer(max_epochs=MAX_EPOCHS, random_state=0).fit(X_train)
print(f"Trained on {len(X_train)} images in {time.perf_counter() - start:.0f} s.")
views = ViewsDisplay.from_estimator(byol, X_train[:8], random_state=0)
views.figure_.savefig("shapes_views.png")

# %%
# Then a few of the training images get their class. What a logistic regression makes of
# them depends on what it is given.

untrained = BYOLTransformer(max_epochs=0, random_state=0).fit(X_train)
n_pixels = len(X_train[0].ravel())
representations = {
    "raw pixels": (X_train.reshape(-1, n_pixels), X_test.reshape(-1, n_pixels)),
    "untrained encoder": (untrained.transform(X_train), untrained.transform(X_test)),
    "BYOL": (byol.transform(X_train), byol.transform(X_test)),
}
pca = PCA(64, random_state=0).fit(X_train.reshape(-1, n_pixels))
representations["raw pixels"] = tuple(
    pca.transform(rows) for rows in representations["raw pixels"]
)
display = LabelEfficiencyDisplay.from_representations(
    representations, y_train, y_test, labels_per_class=(1, 5, 20, None)
)
for name, accuracies in display.accuracies.items():
    means = "".join(f"{mean:8.3f}" for mean in accuracies.mean(axis=1))
    print(f"{name:<20}{means}")
display.ax_.axhline(1 / 8, color="gray", linestyle=":", label="by chance")
display.figure_.savefig("shapes_labels.png")
