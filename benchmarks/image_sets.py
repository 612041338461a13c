"""The images of the benchmarks: digits, a set made here, and real sets from a folder.

`shapes` needs no files: six shapes, in colours, places, sizes and turns that say
nothing about the class, on backgrounds that say nothing either. Pixels hardly tell
them apart.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

N_SHAPES = {"train": 4000, "test": 1000}
N_BLOCKS, HELD_OUT = 10, (1, 5, 8)  # of hand_signs64: of one person, most likely
N_STEEL = 870  # images of steel64 to train on


def load_set(name, split, data=None, n_images=None):
    """Return images and labels of a set, at most `n_images`, in an order drawn once.

    Parameters
    ----------
    name : str
        "digits", "shapes", "speckle", or the beginning of a file's name in `data`.
    split : {"train", "test"}
        Which part.
    data : Path or None
        Folder of the real sets; README.md says what the files hold.
    n_images : int or None
        How many to return at most; None returns all.

    Returns
    -------
    X : ndarray of shape (n, height, width) or (n, height, width, 3)
        Pixels.
    y : ndarray of shape (n,)
        Labels.
    """
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        parts = train_test_split(
            X.reshape(-1, 8, 8), y, test_size=0.3, stratify=y, random_state=0
        )
        X, y = parts[split == "test"], parts[2 + (split == "test")]
    elif name == "shapes":
        X, y = make_shapes(N_SHAPES[split], seed=int(split == "test"))
    elif name == "speckle":
        X, y = make_speckle(N_SHAPES[split], seed=int(split == "test"))
    elif name in ("hand_signs64", "steel64"):
        X, y = _load_without_test(name, split, data)
    else:
        return _load_file(name, split, data, n_images)
    order = np.random.default_rng(0).permutation(len(y))[:n_images]
    return X[order], y[order]


def _load_file(name, split, data, n_images):
    """Read a set from the folder; JPEG files are decoded if they are chosen."""
    if data is None:
        raise SystemExit(f"{name} is read from a folder: pass --data DIR.")
    with np.load(next(Path(data).glob(f"{name}*.npz"))) as pack:
        y = pack[f"y_{split}"]
        order = np.random.default_rng(0).permutation(len(y))[:n_images]
        if f"X_{split}" in pack:
            return pack[f"X_{split}"][order], y[order]
        raw, offsets = pack[f"bytes_{split}"].tobytes(), pack[f"offsets_{split}"]
    files = [raw[offsets[i] : offsets[i + 1]] for i in order]
    pictures = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
    return np.stack([np.asarray(picture) for picture in pictures]), y[order]


def _load_without_test(name, split, data):
    """Read a set whose test images are not here, and hold out some of the others."""
    if data is None:
        raise SystemExit(f"{name} is read from a folder: pass --data DIR.")
    with np.load(Path(data) / f"{name}.npz") as pack:
        X, y = pack["X_train"], pack["y_train"]
        if name == "steel64":
            chosen = np.split(np.random.default_rng(0).permutation(len(y)), [N_STEEL])
            chosen = chosen[split == "test"]
        else:
            order = np.argsort(pack["image_number_train"], kind="stable")
            blocks = enumerate(np.array_split(order, N_BLOCKS))
            is_test = split == "test"
            kept = [block for i, block in blocks if (i in HELD_OUT) == is_test]
            chosen = np.concatenate(kept)
    return X[chosen], y[chosen]


def make_speckle(n_images, side=48, seed=0):
    """Draw the shapes of `make_shapes` as radar or ultrasound would show them.

    Each pixel is exponential noise, inside the shape two and a half times as bright as
    outside, or as dark: no edge, no colour and no surface of a photograph.

    Returns
    -------
    X : ndarray of shape (n_images, side, side), uint8
        Gray images.
    y : ndarray of shape (n_images,), int
        As of `make_shapes`.
    """
    rng = np.random.default_rng([seed, 1])
    y = np.arange(n_images) % 6
    rng.shuffle(y)
    rows, columns = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    X = np.empty((n_images, side, side), dtype=np.uint8)
    for image, label in zip(X, y, strict=True):
        angle, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.8)
        place, level = rng.uniform(-0.2, 0.2, 2), rng.uniform(15, 40)
        u, v = (columns - place[0]) / size, (rows - place[1]) / size
        u, v = (
            u * np.cos(angle) - v * np.sin(angle),
            u * np.sin(angle) + v * np.cos(angle),
        )
        ratio = 2.5 if rng.random() < 0.5 else 0.4
        mean = level * np.where(_inside(label, u, v), ratio, 1.0)
        image[:] = (mean * rng.exponential(1.0, image.shape)).clip(0, 255)
    return X, y


def make_shapes(n_images, side=32, seed=0):
    """Draw filled shapes of six classes with everything else at random.

    Parameters
    ----------
    n_images : int
        How many, the classes in equal parts.
    side : int, default=32
        Pixels.
    seed : int, default=0
        For all that is random.

    Returns
    -------
    X : ndarray of shape (n_images, side, side, 3), uint8
        Images.
    y : ndarray of shape (n_images,), int
        0 disc, 1 square, 2 triangle, 3 cross, 4 ring, 5 two bars.
    """
    rng = np.random.default_rng(seed)
    y = np.arange(n_images) % 6
    rng.shuffle(y)
    rows, columns = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    X = np.empty((n_images, side, side, 3), dtype=np.uint8)
    for image, label in zip(X, y, strict=True):
        angle = rng.uniform(0, 2 * np.pi)
        size, place = rng.uniform(0.35, 0.6), rng.uniform(-0.3, 0.3, 2)
        u, v = (columns - place[0]) / size, (rows - place[1]) / size
        u, v = (
            u * np.cos(angle) - v * np.sin(angle),
            u * np.sin(angle) + v * np.cos(angle),
        )
        inside = _inside(label, u, v)[..., None]
        # A colour ramp behind, another inside: no colour belongs to a class.
        ramps = rng.uniform(0, 255, (2, 2, 3))
        share = (columns * np.cos(angle) + rows * np.sin(angle))[..., None] / 3 + 0.5
        behind, front = (ramp[0] * share + ramp[1] * (1 - share) for ramp in ramps)
        picture = np.where(inside, front, behind) + rng.normal(0, 12, image.shape)
        image[:] = picture.clip(0, 255)
    return X, y


def _inside(label, u, v):
    """Tell which points lie in the shape of a class, in its own coordinates."""
    radius = np.hypot(u, v)
    if label == 0:
        return radius < 0.9
    if label == 1:
        return np.maximum(abs(u), abs(v)) < 0.8
    if label == 2:
        return (v > -0.6) & (v < 1.1 - 1.9 * abs(u))
    if label == 3:
        return (np.minimum(abs(u), abs(v)) < 0.3) & (np.maximum(abs(u), abs(v)) < 1)
    if label == 4:
        return (radius < 1) & (radius > 0.55)
    return (abs(u) < 0.95) & (abs(v) > 0.25) & (abs(v) < 0.75)
