"""Make the files that later versions of the library must be able to read.

`python tests/golden/make.py` writes a folder named after the version, once for each
release; test_golden_files.py reads all of them.
"""

from pathlib import Path

import joblib
import numpy as np
import torch
from torch import nn

from sklearn_byol import BYOLClassifier, BYOLTransformer, RandomViews, __version__

LARGEST = 300_000  # bytes of all files of a version


def images():
    """Forty images of 6x6 pixels, half of them brighter on the left; labels."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 100, (40, 6, 6), dtype=np.uint8)
    X[::2, :, :3] += 120
    return X, np.where(np.arange(40) % 2, "right", "left")


def round_weights(encoder):
    """Keep 8 bits of each number, so that files can be compressed to half."""
    for parameter in encoder.parameters():
        parameter.data = parameter.data.bfloat16().float()


def main():
    """Write the estimators, and what they make of the images."""
    X, y = images()
    common = {"max_epochs": 2, "batch_size": 20, "random_state": 0, "device": "cpu"}
    views = RandomViews(brightness=0.2, rotation=10)
    byol = BYOLTransformer(views=views, **common).fit(X)
    round_weights(byol.encoder_)
    module = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU())
    small = BYOLTransformer(module, hidden_dim=8, projection_dim=4, **common)
    classifier = BYOLClassifier(small, max_epochs=5, random_state=0).fit(X, y)
    folder = Path(__file__).with_name(__version__)
    folder.mkdir(exist_ok=True)
    joblib.dump(byol, folder / "transformer.joblib", compress=9)
    joblib.dump(classifier, folder / "classifier.joblib", compress=9)
    np.savez(
        folder / "expected.npz",
        X=X,
        rows=byol.transform(X),
        probabilities=classifier.predict_proba(X),
    )
    size = sum(path.stat().st_size for path in folder.iterdir())
    if size > LARGEST:
        raise RuntimeError(f"The files take {size} bytes, more than {LARGEST}.")


if __name__ == "__main__":
    torch.manual_seed(0)  # draws the first weights of the module
    main()
