"""Small images that every test file may use."""

import functools
import os
import signal
import sys
import threading
from importlib.util import find_spec

# Before scipy is imported: scikit-learn's check of array libraries is skipped without.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# One thread, here and in what tests start: two workers share two cores, and results do
# not depend on how many there are.
os.environ["OMP_NUM_THREADS"] = "1"
# Windows on a screen are not for tests.
os.environ.setdefault("MPLBACKEND", "agg")

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import Dataset

import sklearn_byol
from sklearn_byol import BYOLTransformer
from sklearn_byol.training import _run

# A shell that runs tests in the background has them ignore Ctrl-C, which some press.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
# Virtual Macs, as those of CI, report a GPU that has no memory.
torch.backends.mps.is_available = functools.cache(lambda: False)  # with __wrapped__

# Files of slow tests alone, and what they need that `make test` does not install.
# Where it is missing, test_documentation.py says so.
NEEDED = {
    "test_cluster.py": ("dask", "distributed"),
    "test_moving_over.py": ("byol_pytorch", "embetter", "lightly"),
    "test_onnx.py": ("onnx", "onnxruntime", "onnxscript"),
    "test_other_libraries.py": ("datasets", "optuna_integration", "polars"),
    "test_site.py": ("sphinx_gallery",),
}
collect_ignore = [
    name for name, packages in NEEDED.items() if not all(map(find_spec, packages))
]


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU, or a system that is no Windows, where there is none."""
    skipped = {}
    if not torch.cuda.is_available():
        skipped["gpu"] = pytest.mark.skip(reason="needs CUDA")
    if sys.platform == "win32":
        skipped["posix"] = pytest.mark.skip(reason="Windows lacks what it asks for")
    for item in items:
        for name, skip in skipped.items():
            if item.get_closest_marker(name):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def digits():
    """200 digits as rows, with their labels."""
    X, y = load_digits(return_X_y=True)
    return X[:200], y[:200]


@pytest.fixture
def generator():
    """A seeded generator of torch."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def colour_images():
    """12 RGB images of 16x16 pixels, uint8, channels last."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)


def quick(**parameters):
    """A transformer that is trained in a moment."""
    return BYOLTransformer(
        **{"max_epochs": 1, "random_state": 0, "device": "cpu", **parameters}
    )


def small_network():
    """A network for gray images of any size, of a few weights."""
    return nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4))


def tiny(**parameters):
    """A transformer of gray images that is trained in even less."""
    sizes = {"hidden_dim": 8, "projection_dim": 8}
    return quick(**{"encoder": small_network, **sizes, **parameters})


@pytest.fixture
def no_training(monkeypatch):
    """Fail as soon as anything trains."""

    def fail(*args, **options):
        pytest.fail("it trained")

    monkeypatch.setattr(_run, "train", fail)
    monkeypatch.setattr(sklearn_byol.estimators._tuning, "tune", fail)


@pytest.fixture
def limited():
    """Fail a test that hangs, where the system can interrupt it."""
    is_main = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "SIGALRM") or not is_main:
        yield
        return

    def fail(number, frame):
        pytest.fail("it takes more than two minutes")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipeline(**parameters):
    return Pipeline(
        [
            ("byol", quick(**parameters)),
            ("scale", StandardScaler()),
            ("clf", LogisticRegression()),
        ]
    )


@pytest.fixture(scope="session")
def fitted(digits):
    """A transformer that is fitted; tests do not change it."""
    return quick().fit(digits[0])


class Blind(nn.Module):
    """Sees nothing: all images have the same representation."""

    def __init__(self):
        super().__init__()
        self.vector = nn.Parameter(torch.ones(1, 8))

    def forward(self, images):
        return self.vector.expand(len(images), 8)


N_FILES = 10


@pytest.fixture(scope="session")
def pixels():
    """Ten RGB images of 16x20 pixels."""
    return np.random.default_rng(0).integers(
        0, 256, (N_FILES, 16, 20, 3), dtype=np.uint8
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory, pixels):
    """The same images as PNG files in two classes' folders."""
    place = tmp_path_factory.mktemp("images")
    for index, image in enumerate(pixels):
        path = place / "ab"[index % 2] / f"{index}.PNG"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return place


@pytest.fixture(scope="session")
def paths(folder):
    return [str(folder / "ab"[index % 2] / f"{index}.PNG") for index in range(N_FILES)]


@pytest.fixture(scope="session")
def rows(pixels):
    """What a transformer that is fitted on the array makes of it."""
    return quick().fit_transform(pixels)


@pytest.fixture
def broken(tmp_path, pixels):
    """Six good files, and one of each kind that cannot be read."""
    for index in range(6):
        Image.fromarray(pixels[index]).save(tmp_path / f"good{index}.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    whole = (tmp_path / "good0.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    names = ["good0", "empty", "good1", "text", "truncated", "missing", "good2"]
    names += ["good3", "good4", "good5"]
    return [str(tmp_path / f"{name}.png") for name in names]


class Pairs(Dataset):
    """Images with labels."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], index % 2
