"""
What BYOL is shown
==================

BYOL learns that two views of an image mean the same, so the views say what does not
matter. Look at them before you train: if you could not tell what is in a view, neither
can the encoder.
"""

# %%
# Presets, drawn of photographs
# -----------------------------
# Patches of the two photographs that scikit-learn ships, and below each the views that
# three presets draw of it: "byol" (the paper's), "safe" (no crop, no rotation) and
# "lab" ("safe" with both).

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_sample_images

from sklearn_byol import RandomViews
from sklearn_byol.inspection import ViewsDisplay

SIDE = 96  # pixels
CORNERS = ((20, 130), (215, 130), (20, 230), (215, 230))  # top and left

cut = [
    picture[top : top + 2 * SIDE : 2, left : left + 2 * SIDE : 2]
    for picture in load_sample_images().images
    for top, left in CORNERS
]
patches = np.stack(cut).transpose(0, 3, 1, 2) / 255
display = ViewsDisplay.from_views(["byol", "safe", "lab"], torch.from_numpy(patches))
display.figure_.savefig("views.png")

# %%
# A crop can miss a small object
# ------------------------------
# Here the object is a disc of 10 pixels somewhere in an image of 64. In the views of
# "natural", which crops, it is often gone: such a pair teaches the encoder that the
# object does not matter. "safe" keeps it.

N_IMAGES = 8


def discs(n_images, diameter, side=64, seed=0):
    """Draw a bright disc somewhere in each image; returns (n, 1, side, side)."""
    rng = np.random.default_rng(seed)
    radius = diameter / 2
    centres = rng.uniform(radius, side - radius, (n_images, 2, 1, 1))
    places = np.mgrid[:side, :side] + 0.5
    distances = np.sqrt(((places - centres) ** 2).sum(axis=1, keepdims=True))
    return np.clip(radius + 0.5 - distances, 0, 1)


background = np.random.default_rng(1).uniform(0.25, 0.45, (N_IMAGES, 3, 64, 64))
disc = discs(N_IMAGES, 10)
orange = np.array([0.9, 0.6, 0.1]).reshape(1, 3, 1, 1)
scenes = background * (1 - disc) + orange * disc
display = ViewsDisplay.from_views(["natural", "safe"], torch.from_numpy(scenes))
display.figure_.savefig("views_small_object.png")

# %%
# How often? Views are drawn by crops alone, from a lowest share of the area up to all
# of it, and a pair counts as lost if the object is missing in one of its two views.

LOWEST = (0.08, 0.2, 0.4, 0.6, 0.8, 1.0)
N_DRAWS = 2000

figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
for diameter, style in zip((6, 12, 24), ("o-", "s--", "D:"), strict=True):
    images = torch.from_numpy(discs(N_DRAWS, diameter)).float()
    shares = []
    for lowest in LOWEST:
        views = RandomViews(
            "jitter", brightness=0, contrast=0, crop_scale=(lowest, 1), random_state=0
        )
        view_1, view_2 = views.sample(images)
        is_seen = [view.amax(dim=(1, 2, 3)) > 0.5 for view in (view_1, view_2)]
        shares.append(1 - (is_seen[0] & is_seen[1]).float().mean().item())
    axis.plot(LOWEST, shares, style, label=f"{diameter} of 64 pixels")
    print(f"{diameter:>2} pixels:", *(f"{share:.2f}" for share in shares))
axis.set(
    xlabel="smallest share of the area that a crop keeps (crop_scale[0])",
    ylabel="share of pairs that miss the object",
    ylim=(0, None),
)
axis.legend(title="diameter of the object")
axis.grid(alpha=0.3)
figure.savefig("views_lost.png")

# %%
# The smaller the object, the more pairs are lost, and the more a crop keeps, the
# fewer are lost. Where the object fills the image, strong crops are worth having; where
# it is small, take ``views="safe"``, or raise ``crop_scale``.
