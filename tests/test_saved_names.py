"""No file that is saved names a private module, so that files of the code may move."""

import io
import json
import pickle
import pickletools
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from joblib.numpy_pickle import NumpyUnpickler

from sklearn_byol import RandomViews, UnlabeledPool
from sklearn_byol.callbacks import ProbeCallback
from sklearn_byol.model_selection import LabeledTestSplit
from tests.classifier.conftest import frozen
from tests.conftest import pipeline, quick
from tests.test_golden_files import GOLDEN


def is_private(name):
    parts = name.split(".")
    return parts[0] == "sklearn_byol" and any(part.startswith("_") for part in parts)


def names_in_pickle(raw):
    """Read the modules of all classes and functions out of a pickle."""
    strings, names = [], set()
    for opcode, argument, _ in pickletools.genops(raw):
        if opcode.name == "GLOBAL":
            names.add(argument.replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            names.add(".".join(strings[-2:]))
        if isinstance(argument, str):
            strings.append(argument)
    return names


def names_in_joblib(raw, monkeypatch):
    """Note what joblib looks up while it reads a file."""
    names, find = set(), NumpyUnpickler.find_class

    def note(reader, module, name):
        names.add(f"{module}.{name}")
        return find(reader, module, name)

    monkeypatch.setattr(NumpyUnpickler, "find_class", note)
    joblib.load(io.BytesIO(raw))
    return names


def names_in_skops(raw):
    """Read the modules out of the schema of a file of skops."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        left = [json.loads(archive.read("schema.json"))]
    names = set()
    while left:
        part = left.pop()
        if isinstance(part, dict):
            if "__module__" in part:
                names.add(f"{part['__module__']}.{part.get('__class__')}")
            left += part.values()
        elif isinstance(part, list):
            left += part
    return names


@pytest.fixture(scope="module")
def saved():
    """Estimators of each kind that people save."""
    rng = np.random.default_rng(0)
    X, y = rng.random((40, 8, 8)), np.arange(40) % 2
    byol = quick(views=RandomViews("digits"), warm_start=True).fit(X)
    probe = [ProbeCallback(X, y)]
    return {
        "pipeline": pipeline().fit(X.reshape(40, -1), y),
        "transformer": byol,
        "encoder of another": quick(encoder=byol.encoder_, callbacks=probe).fit(X),
        "encoder": byol.encoder_,
        "colour encoder": quick().fit(rng.random((8, 16, 16, 3))).encoder_,
        "classifier": frozen(byol).fit(X, y),
        "others": [UnlabeledPool(X), LabeledTestSplit(2), byol.views_],
    }


KINDS = ["pipeline", "transformer", "encoder of another", "encoder"]
KINDS += ["colour encoder", "classifier", "others"]


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_name_what_users_know(saved, kind):
    names = names_in_pickle(pickle.dumps(saved[kind]))
    assert any(name.startswith("sklearn_byol.") for name in names)
    assert [name for name in names if is_private(name)] == []


def test_pickles_name_no_class_of_paths():
    """Those of Linux are unknown to Windows, and those of Python 3.13 to 3.12."""
    given = {name: Path(name) for name in ("weights", "checkpoint", "cache")}
    raw = pickle.dumps(quick(**given))
    assert not [name for name in names_in_pickle(raw) if name.startswith("pathlib")]
    assert pickle.loads(raw).get_params().items() >= {n: n for n in given}.items()


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_joblib_name_what_users_know(saved, kind, monkeypatch):
    buffer = io.BytesIO()
    joblib.dump(saved[kind], buffer)
    names = names_in_joblib(buffer.getvalue(), monkeypatch)
    assert any(name.startswith("sklearn_byol.") for name in names)
    assert [name for name in names if is_private(name)] == []


@pytest.mark.parametrize("kind", ["pipeline", "transformer", "classifier"])
def test_files_of_skops_name_what_users_know(saved, kind):
    names = names_in_skops(skops.io.dumps(saved[kind]))
    assert any(name.startswith("sklearn_byol.") for name in names)
    assert [name for name in names if is_private(name)] == []


def test_checkpoints_name_nothing_of_ours(tmp_path):
    quick(checkpoint=tmp_path).fit(np.random.default_rng(0).random((40, 8, 8)))
    (path,) = tmp_path.glob("*.checkpoint")
    with zipfile.ZipFile(path) as archive:
        (part,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        names = names_in_pickle(archive.read(part))
    assert names
    assert not [name for name in names if name.startswith("sklearn_byol")]


@pytest.mark.filterwarnings("ignore::sklearn_byol.VersionWarning")
@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_golden_files_name_what_users_know(folder, monkeypatch):
    for path in folder.glob("*.joblib"):
        names = names_in_joblib(path.read_bytes(), monkeypatch)
        assert [name for name in names if is_private(name)] == []
