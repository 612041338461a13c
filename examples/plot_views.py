"""
What BYOL is shown
==================

A dozen patches of the two photographs that scikit-learn ships, each beside a pair of
views under three presets: "byol" (the paper's), "safe" (no crop, no rotation) and "lab"
(everything). Look at your own images this way before you train: if you could not tell
what is in a view, neither can the encoder.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_sample_images

from sklearn_byol import RandomViews

SIDE = 96  # pixels
PRESETS = ("byol", "safe", "lab")


def patches():
    """Cut six patches from each photograph; returns (12, 3, 96, 96) in [0, 1]."""
    cut = [
        picture[top : top + 2 * SIDE : 2, left : left + 2 * SIDE : 2]
        for picture in load_sample_images().images
        for top in (20, 215)
        for left in (130, 230, 330)
    ]
    return torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2) / 255


def main():
    """Draw the views and save the picture."""
    images = patches()
    columns = [images]
    for preset in PRESETS:
        columns += RandomViews(preset, random_state=0).sample(images)
    titles = ["image"]
    titles += [f'"{preset}"\nview {view}' for preset in PRESETS for view in (1, 2)]

    # Two blocks of six rows side by side, so that the picture is wider than high.
    widths = [*[1] * 7, 0.3, *[1] * 7]
    figure, axes = plt.subplots(6, 15, figsize=(13.5, 6), width_ratios=widths)
    for axis in axes.flat:
        axis.axis("off")
    for index in range(len(images)):
        row, first = index % 6, 8 * (index // 6)
        for column, (title, batch) in enumerate(zip(titles, columns, strict=True)):
            axis = axes[row, first + column]
            axis.imshow(batch[index].permute(1, 2, 0).numpy())
            if row == 0:
                axis.set_title(title, fontsize=9)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.92, wspace=0.05, hspace=0.05)
    figure.savefig("views.png", dpi=120)


if __name__ == "__main__":
    main()
