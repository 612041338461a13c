"""
What BYOL is shown
==================

Patches of the two photographs that scikit-learn ships, and below each the views that
three presets draw of it: "byol" (the paper's), "safe" (no crop, no rotation) and "lab"
(everything). Look at your own images this way before you train: if you could not tell
what is in a view, neither can the encoder. Saves a picture.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_sample_images

from sklearn_byol.inspection import ViewsDisplay

SIDE = 96  # pixels
CORNERS = ((20, 130), (215, 130), (20, 230), (215, 230))  # top and left


def patches():
    """Cut four patches from each photograph; returns (8, 3, 96, 96) in [0, 1]."""
    cut = [
        picture[top : top + 2 * SIDE : 2, left : left + 2 * SIDE : 2]
        for picture in load_sample_images().images
        for top, left in CORNERS
    ]
    return torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2) / 255


def main():
    """Draw the views and save the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path())
    arguments = parser.parse_args()

    display = ViewsDisplay.from_views(["byol", "safe", "lab"], patches())
    display.figure_.savefig(arguments.folder / "views.png", dpi=100)
    print("Picture: views.png.")


if __name__ == "__main__":
    main()
