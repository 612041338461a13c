"""A file that is not what was saved is an error, never another estimator."""

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from torch import nn

from sklearn_byol import BYOLClassifier, BYOLTransformer, RandomViews
from sklearn_byol.estimators._saving import digest_of
from sklearn_byol.images._layout import Layout
from tests.conftest import quick


def tiny():
    """A network whose file is small enough to break it everywhere."""
    return nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.ReLU())


@pytest.fixture(scope="module")
def small():
    """A transformer of few bytes; tests do not change it."""
    X = np.random.default_rng(0).random((8, 8, 8))
    return quick(encoder=tiny, hidden_dim=2, projection_dim=2).fit(X)


def dumped(estimator):
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    return buffer.getvalue()


FORMS = {
    "pickle": (pickle.dumps, pickle.loads),
    "joblib": (dumped, lambda raw: joblib.load(io.BytesIO(raw))),
}
ANOTHER = 255


def count_noticed(form, files, digest):
    """Count the damaged files that are no estimator; ANOTHER if one is another."""
    n_noticed = 0
    for damaged in files:
        try:
            loaded = FORMS[form][1](damaged)
        except BaseException:  # noqa: BLE001  whatever pickle says
            loaded = None
        if not isinstance(loaded, BYOLTransformer):  # it may be any part of the file
            n_noticed += 1
        elif loaded.__getstate__()["_digest"] != digest:
            return ANOTHER
    return n_noticed


def flip_bits(form, path, digest):
    """Flip 15 times 20 bits, one at a time, in processes that may crash; counts.

    A broken pickle may ask for any memory, and may break numpy's types.
    """
    import resource  # noqa: PLC0415  not there on Windows

    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    size = pages * resource.getpagesize() + 2**30
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    raw, rng, codes = Path(path).read_bytes(), np.random.default_rng(0), []
    for places in rng.permutation(len(raw))[:300].reshape(15, 20):
        files = [bytearray(raw) for _ in places]
        for damaged, place in zip(files, places, strict=True):
            damaged[place] ^= 1 << int(rng.integers(8))
        child = os.fork()
        if not child:
            os._exit(count_noticed(form, map(bytes, files), digest))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        codes.append(code if code >= 0 else len(places))
    print(*codes)  # noqa: T201


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as on Linux")
@pytest.mark.parametrize("form", FORMS)
def test_a_flipped_bit_is_an_error_or_changes_nothing(form, small, tmp_path):
    (tmp_path / "file").write_bytes(FORMS[form][0](small))
    digest = small.__getstate__()["_digest"]
    code = (
        "from tests.test_damaged_files import flip_bits; "
        f"flip_bits({form!r}, {str(tmp_path / 'file')!r}, {digest!r})"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    codes = list(map(int, told.stdout.split()))
    assert ANOTHER not in codes
    assert sum(codes) > 0.8 * 300  # others mean nothing: padding, names of the memo


@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_file_is_an_error(form, small):
    dump, load = FORMS[form]
    raw = dump(small)
    for end in range(0, len(raw) - 1, len(raw) // 50):
        with pytest.raises(Exception):  # noqa: B017, PT011  whatever pickle says
            load(raw[:end])


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_a_bit_in_the_weights_is_named_damage(mmap_mode, fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "byol.joblib")
    raw = bytearray((tmp_path / "byol.joblib").read_bytes())
    weights = fitted.encoder_.network.stages[0].conv1.weight.detach().numpy()
    raw[raw.index(weights.tobytes()) + 100] ^= 1
    (tmp_path / "byol.joblib").write_bytes(raw)
    with pytest.raises(ValueError, match="BYOLTransformer is not what was saved"):
        joblib.load(tmp_path / "byol.joblib", mmap_mode=mmap_mode)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pixel_range_", (0.0, 15.0)),
        ("lr", 0.5),
        ("history_", {}),
        ("_n_features_out", 511),
        ("_saved_by", {"format": 1, "sklearn_byol": "0.0.9", "torch": "2.0.0"}),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn_byol.VersionWarning")
def test_a_changed_value_is_named_damage(name, value, fitted):
    state = {**fitted.__getstate__(), name: value}
    with pytest.raises(ValueError, match="its digest is another"):
        BYOLTransformer().__setstate__(state)


def test_a_classifier_is_guarded_too(small):
    X = np.random.default_rng(0).random((8, 8, 8))
    clf = BYOLClassifier(small, prefit=True, max_epochs=1, random_state=0)
    state = clf.fit(X, [0, 1] * 4).__getstate__()
    BYOLClassifier().__setstate__(state)
    with pytest.raises(ValueError, match="BYOLClassifier is not what was saved"):
        BYOLClassifier().__setstate__({**state, "intercepts_": np.zeros(2, "f4")})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"mean": [0.5] * 3, "std": [1.0] * 3},
            r"do not fit encoder='auto'.*\(1, 8, 8\)",
        ),
        ({"image_shape": (1, 9, 9)}, r"\(1, 9, 9\), and it reads .* \(1, 8, 8\)"),
        ({"encoder": "resnet18"}, "do not fit encoder='resnet18'"),
    ],
)
def test_a_state_that_does_not_fit_its_encoder_is_an_error(changed, told, fitted):
    state = fitted.__getstate__()
    del state["_digest"]
    state["_specification"] = {**state["_specification"], **changed}
    state["_digest"] = digest_of(state)
    with pytest.raises(ValueError, match=told):
        BYOLTransformer().__setstate__(state)


CHANGES = [
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"b": 1}),
    ({"a": 1}, {"a": 1.0}),
    ({"a": 1}, {"a": True}),
    ({"a": None}, {}),
    ({"a": [1, [2]]}, {"a": [1, 2]}),
    ({"a": ["b", "c"]}, {"a": ["bc"]}),
    ({"a": np.zeros(2)}, {"a": np.zeros(2, "f4")}),
    ({"a": np.zeros((2, 3))}, {"a": np.zeros((3, 2))}),
    ({"a": np.array(["b"], object)}, {"a": np.array(["c"], object)}),
    ({"a": torch.zeros(2)}, {"a": torch.zeros(2).bfloat16()}),
    ({"a": torch.zeros(2)}, {"a": torch.tensor([0.0, 1e-40])}),
    ({"a": nn.Linear(1, 1)}, {"a": nn.Linear(1, 1)}),
    ({"a": RandomViews(blur=0.1)}, {"a": RandomViews(blur=0.2)}),
    ({"a": np.random.RandomState(0)}, {"a": np.random.RandomState(1)}),
    ({"a": BYOLTransformer}, {"a": BYOLClassifier}),
    ({"a": Path("b")}, {"a": Path("c")}),
    (
        {"a": Layout(1, 2, 3, is_channels_last=True)},
        {"a": Layout(1, 2, 3, is_channels_last=False)},
    ),
]


@pytest.mark.parametrize(("first", "second"), CHANGES)
def test_different_states_have_different_digests(first, second):
    assert digest_of(first) != digest_of(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({"a": np.float64(0.1)}, {"a": 0.1}),
        (
            {"a": np.arange(6).reshape(2, 3)},
            {"a": np.asfortranarray([[0, 1, 2], [3, 4, 5]])},
        ),
        ({"a": float("nan")}, {"a": float("nan")}),
    ],
)
def test_equal_states_have_equal_digests(first, second):
    assert digest_of(first) == digest_of(second)
