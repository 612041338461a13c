"""No code of ours runs what a file says."""

import ast
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sklearn_byol
from tests.conftest import quick
from tests.test_saved_names import names_in_pickle

FILES = sorted(Path(sklearn_byol.__file__).parent.rglob("*.py"))

# What unpickles, or runs text; and what it must be told not to.
READERS = {"load", "loads", "Unpickler", "load_state_dict_from_url", "read_pickle"}
RUNNERS = {"eval", "exec", "compile", "__import__", "system", "popen"}
HARMLESS = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
OWN = {
    "json.loads",
    "self.load",
    "picture.load",
    "batches.load",
    "self.batches.load",
    "training.batches.load",
    "training.figures.load",
    "match.load",
}


def calls(path):
    """Names of all functions that a file calls, as they are written, and the calls."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imported(path):
    """Names that a file takes out of other modules, as `module.name`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_safe(name, call):
    """Tell whether a call that reads a file unpickles nothing."""
    if name in HARMLESS:
        keyword, value = HARMLESS[name]
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        return given.get(keyword) == repr(value)
    return name in OWN


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_reader_is_imported_by_its_bare_name(path):
    readers = [name for name in imported(path) if name.rpartition(".")[2] in READERS]
    assert set(readers) <= set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_unpickled_or_run(path):
    for name, call in calls(path):
        last = name.rpartition(".")[2]
        assert last not in RUNNERS or last != name, f"{path}: {name}"
        if last in READERS:
            assert is_safe(name, call), f"{path}: {ast.unparse(call)}"


def test_the_search_finds_what_it_is_for(tmp_path):
    bad = "from joblib import load\ntorch.load(path)\nnp.load(a, allow_pickle=True)"
    (tmp_path / "bad.py").write_text(bad, encoding="utf-8")
    assert list(imported(tmp_path / "bad.py")) == ["joblib.load"]
    found = list(calls(tmp_path / "bad.py"))
    assert [name for name, _ in found] == ["torch.load", "np.load"]
    assert not any(is_safe(name, call) for name, call in found)


class Bomb:
    """Leaves a file behind if it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def bomb(tmp_path):
    """What goes off when it is unpickled, as a check that it does."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "control")))
    assert (tmp_path / "control").exists()
    return Bomb(tmp_path / "exploded")


def test_no_pickle_is_within_a_saved_module(digits):
    # Torch has one in each tensor, which nothing that looks at the outer one can see.
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4))
    hidden = "torch.storage._load_from_bytes"
    assert hidden in names_in_pickle(pickle.dumps(module))
    byol = quick(encoder=module, views=nn.BatchNorm2d(1)).fit(digits[0])
    assert hidden not in names_in_pickle(pickle.dumps(byol))


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.safetensors"])
@pytest.mark.parametrize(
    "save", [torch.save, lambda x, p: p.write_bytes(pickle.dumps(x))]
)
def test_weights_do_not_run(name, save, bomb, digits, tmp_path):
    save({"state_dict": bomb}, tmp_path / name)
    with pytest.raises(ValueError, match=r"weights=.*(cannot be read|damaged)"):
        quick(weights=tmp_path / name).fit(digits[0])
    assert not (tmp_path / "exploded").exists()


def test_a_cache_does_not_run(bomb, paths, tmp_path):
    folder = tmp_path / "cache"
    byol = quick(cache=folder).fit(paths)
    (cached,) = folder.glob("*.npy")
    np.save(cached, np.array([bomb] * len(paths)), allow_pickle=True)
    again = quick(cache=folder).fit(paths)
    np.testing.assert_array_equal(again.transform(paths), byol.transform(paths))
    assert not (tmp_path / "exploded").exists()
