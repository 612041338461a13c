"""
Shapes and textures, in any colour and place
============================================

Colour images of 64 pixels in eight classes: a disc, a square, a triangle or a cross,
with stripes or dots on it. Colours and place are drawn at random, so that a pixel says
little about the class, and a classifier of raw pixels learns little. BYOL is shown
views that differ in just these ways, and looks past them.
"""

# %%
# The images
# ----------
# The ground is darker than what is painted on the object, and that is darker than the
# object; each has a hue of its own.

import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import hsv_to_rgb
from torch import nn

from sklearn_byol import BYOLTransformer, RandomViews
from sklearn_byol.inspection import (
    LabelEfficiencyDisplay,
    OcclusionDisplay,
    ViewsDisplay,
)

SIDE = 64  # pixels
SHAPES = ("disc", "square", "triangle", "cross")
N_TRAIN, N_TEST = 2000, 1000
MAX_EPOCHS = 15


def inside(shape, u, v):
    """Tell which points lie in a shape of about radius 1 around the origin."""
    if shape == "disc":
        return np.hypot(u, v) < 0.95
    if shape == "square":
        return np.maximum(abs(u), abs(v)) < 0.8
    if shape == "triangle":
        return (v > -0.6) & (v < 1.1 - 1.9 * abs(u))
    return (np.minimum(abs(u), abs(v)) < 0.38) & (np.maximum(abs(u), abs(v)) < 1)


def draw_image(shape, is_dotted, rng):
    """Draw one image of (64, 64, 3) bytes."""
    columns, rows = np.meshgrid(*2 * [np.linspace(-1, 1, SIDE)])
    u, v = ((axis - rng.uniform(-0.35, 0.35)) / 0.6 for axis in (columns, rows))
    across, down = (np.sin(11 * (axis + rng.uniform(-1, 1))) for axis in (u, v))
    is_painted = (across > 0.1) & (down > 0.1) if is_dotted else across > 0
    brightness = (rng.uniform(0.1, 0.35), rng.uniform(0.3, 0.55), rng.uniform(0.75, 1))
    ground, paint, front = (
        255 * hsv_to_rgb((rng.uniform(), rng.uniform(0.4, 1), value))
        for value in brightness
    )
    image = np.where(is_painted[..., None], paint, front)
    image = np.where(inside(shape, u, v)[..., None], image, ground)
    return (image + rng.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)


def make_images(n_images, seed):
    """Draw images of all classes in equal parts; returns them with their classes."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n_images) % (2 * len(SHAPES)))
    return np.stack([draw_image(SHAPES[k // 2], k % 2, rng) for k in y]), y


X_train, y_train = make_images(N_TRAIN, seed=0)
X_test, y_test = make_images(N_TEST, seed=1)

# %%
# Views and encoder
# -----------------
# Views shift all hues of an image, change its brightness and its place, and do not
# blur, since the textures are fine. The encoder is a small one, so that this page is
# soon built. ``readout=1`` is the mean over all places, as an object may be anywhere.

views = RandomViews(
    "natural",
    crop_scale=(0.4, 1),
    brightness=0.6,
    contrast=0.6,
    saturation=0.8,
    hue=0.5,
    blur=0,
)


def block(n_inputs, n_outputs, kernel, stride):
    """One convolution with batch norm."""
    return nn.Sequential(
        nn.Conv2d(n_inputs, n_outputs, kernel, stride, padding=1, bias=False),
        nn.BatchNorm2d(n_outputs),
        nn.ReLU(),
    )


def small_encoder():
    """Four layers, from 64 x 64 pixels to 8 x 8 cells of 64 numbers."""
    return nn.Sequential(
        block(3, 16, 4, 4),
        block(16, 32, 3, 1),
        block(32, 64, 3, 2),
        block(64, 64, 3, 1),
    )


byol = BYOLTransformer(
    encoder=small_encoder,
    readout=1,
    views=views,
    batch_size=64,
    max_epochs=MAX_EPOCHS,
    random_state=0,
)
start = time.perf_counter()
byol.fit(X_train)
print(f"Trained on {N_TRAIN} images in {time.perf_counter() - start:.0f} s.")

first_of_each = [np.flatnonzero(y_test == k)[0] for k in range(2 * len(SHAPES))]
display = ViewsDisplay.from_estimator(byol, X_test[first_of_each], random_state=0)
display.figure_.savefig("shapes_views.png")

# %%
# What a few labels are worth
# ---------------------------
# A logistic regression on each of three representations, for five draws of the labels.

untrained = BYOLTransformer(
    encoder=small_encoder, readout=1, max_epochs=0, random_state=0
).fit(X_train)
representations = {
    "BYOL": (byol.transform(X_train), byol.transform(X_test)),
    "untrained encoder": (untrained.transform(X_train), untrained.transform(X_test)),
    "raw pixels": (
        X_train[:, ::2, ::2].reshape(N_TRAIN, -1) / 255,  # every other, to save time
        X_test[:, ::2, ::2].reshape(N_TEST, -1) / 255,
    ),
}
sizes = (1, 5, 20, 100)
figure, axis = plt.subplots(figsize=(7, 4.2), layout="constrained")
display = LabelEfficiencyDisplay.from_representations(
    representations, y_train, y_test, labels_per_class=sizes, ax=axis
)
axis.axhline(1 / 8, color="gray", linestyle=":")
axis.annotate(
    "by chance", (sizes[-1], 1 / 8), (0, 4), ha="right", textcoords="offset points"
)
axis.legend(loc="upper left")
axis.set_title(f"Eight classes, {N_TEST} test images, five draws of the labels")
figure.savefig("shapes_labels.png")

print(f"{'labels per class':<20}" + "".join(f"{n:>8}" for n in sizes))
for name, accuracies in display.accuracies.items():
    print(f"{name:<20}" + "".join(f"{a:>8.3f}" for a in accuracies.mean(axis=1)))

# %%
# Where it looks
# --------------
# How far a representation moves when a patch of the image is covered: what has been
# learned is on the object, and not on the ground.

display = OcclusionDisplay.from_estimator(byol, X_test[first_of_each])
display.figure_.savefig("shapes_occlusion.png")
# sphinx_gallery_thumbnail_number = 3
