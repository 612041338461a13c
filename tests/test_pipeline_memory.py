"""Pipeline(memory=...) finds what it has trained, whatever the parameters hold."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback
from torch import nn
from torchvision.transforms import v2

from sklearn_byol import BYOLClassifier
from sklearn_byol.callbacks import ProbeCallback
from tests.conftest import tiny


class Counter(Callback):
    """Writes a letter to a file at each training."""

    def __init__(self, path):
        self.path = path

    def on_train_begin(self, net, **kwargs):
        with Path(self.path).open("a", encoding="utf-8") as file:
            file.write("x")


class Noise(nn.Module):
    """Views of a user who keeps strengths in buffers, and draws from a generator."""

    def __init__(self):
        super().__init__()
        self.register_buffer("strength", torch.tensor([0.1]))
        self.register_buffer("grid", torch.arange(3), persistent=False)
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, images):
        noise = torch.rand(images.shape, generator=self.generator)
        return images + self.strength * noise


class Shift:
    """Views of a user that are no module, with tensors all the same."""

    def __init__(self):
        self.steps = {"down": [torch.tensor(1)]}

    def __call__(self, images):
        return images.roll(int(self.steps["down"][0]), 2)


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())


def tied():
    parts = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3))
    parts[1].weight = parts[0].weight
    return parts


def probe():
    return ProbeCallback(torch.ones(8, 8, 8), torch.arange(8) % 2)


PARAMETERS = {
    "module": lambda: {"encoder": network()},
    "tied weights": lambda: {"encoder": tied()},
    "half precision": lambda: {"encoder": network().bfloat16()},
    "lazy module": lambda: {"encoder": nn.LazyConv2d(2, 3)},
    "graph": lambda: {"encoder": torch.fx.symbolic_trace(network())},
    "views": lambda: {"views": Noise()},
    "views of no module": lambda: {"views": Shift()},
    "method": lambda: {"views": Noise().forward},
    "pair of views": lambda: {"views": (Noise(), v2.Normalize([0.5], [0.5]))},
    "list of views": lambda: {"views": ["auto", Noise()]},
    "callback": lambda: {"callbacks": [probe()]},
    "named callback": lambda: {"callbacks": [("probe", probe())]},
}


def estimator(kind):
    """An estimator with the same numbers in each process."""
    torch.manual_seed(0)
    return tiny(**PARAMETERS[kind]())


def hash_elsewhere(kind):
    """The hash that a new process has for an estimator."""
    code = (
        "import joblib; from tests.test_pipeline_memory import estimator; "
        f"print(joblib.hash(estimator({kind!r})))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    return told.stdout.strip()


@pytest.mark.filterwarnings("ignore:Persisting input arguments took:UserWarning")
@pytest.mark.parametrize("kind", ["module", "views", "callback"])
def test_a_search_over_the_classifier_trains_byol_once_a_fold(kind, digits, tmp_path):
    byol, count = estimator(kind), tmp_path / "count"
    byol.callbacks = [*(byol.callbacks or []), Counter(str(count))]
    steps = [("byol", byol), ("clf", LogisticRegression(max_iter=1000))]
    pipe = Pipeline(steps, memory=str(tmp_path / "memory"))
    GridSearchCV(pipe, {"clf__C": [0.1, 1, 10]}, cv=2).fit(*digits)
    assert len(count.read_text(encoding="utf-8")) == 2 + 1  # folds, and all images


@pytest.mark.parametrize("kind", PARAMETERS)
def test_a_pickle_is_the_same_bytes_each_time(kind):
    byol = estimator(kind)
    assert pickle.dumps(byol) == pickle.dumps(byol)


@pytest.mark.parametrize("kind", PARAMETERS)
def test_a_clone_is_pickled_as_the_same_bytes(kind):
    byol = estimator(kind)
    assert pickle.dumps(clone(byol)) == pickle.dumps(byol)


@pytest.mark.parametrize("kind", PARAMETERS)
def test_clones_have_one_hash(kind):
    byol = estimator(kind)
    copies = [clone(byol), clone(clone(byol)), copy.deepcopy(byol)]
    assert {joblib.hash(one) for one in copies} == {joblib.hash(byol)}


@pytest.mark.parametrize("kind", PARAMETERS)
def test_what_was_loaded_has_the_hash_of_what_was_saved(kind):
    byol = estimator(kind)
    assert joblib.hash(pickle.loads(pickle.dumps(byol))) == joblib.hash(byol)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["module", "views", "callback"])
def test_another_process_has_the_same_hash(kind):
    assert hash_elsewhere(kind) == joblib.hash(estimator(kind))


def test_a_classifier_of_a_module_has_the_hash_of_its_clone():
    clf = BYOLClassifier(estimator("module"))
    assert joblib.hash(clone(clf)) == joblib.hash(clf)


def test_a_fitted_module_has_one_hash(digits):
    byol = estimator("module").fit(digits[0])
    assert joblib.hash(copy.deepcopy(byol)) == joblib.hash(byol)


@pytest.mark.parametrize("name", ["0.weight", "1.running_mean"])
def test_another_number_in_a_module_is_another_hash(name):
    byol = estimator("module")
    other = clone(byol)
    other.encoder.state_dict()[name].view(-1)[0] += 1
    assert joblib.hash(other) != joblib.hash(byol)
