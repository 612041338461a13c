"""Trainings that are cut off and go on from a file."""

import os
import random
import signal
import stat
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from skorch.callbacks import Callback
from torch import nn

from sklearn_byol import RandomViews
from sklearn_byol.images import _cache
from tests.conftest import quick, small_network


class PowerCut(Callback):
    """Ends a training in the middle of a step's aftermath."""

    def __init__(self, step):
        self.step = step

    def on_batch_begin(self, net, **kw):
        if net.step_ == self.step:
            raise ConnectionError("power cut")


def noisy(images):
    return (images + 0.1 * torch.rand_like(images)).clamp(0, 1)


def dropping():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.2))


def cut_off_and_go_on(X, step, **parameters):
    """Fit until power is cut before a step, then fit again."""
    with pytest.raises(ConnectionError):
        quick(**parameters, callbacks=[PowerCut(step)]).fit(X)
    return quick(**parameters).fit(X)


def assert_same(one, other):
    weights = one.encoder_.state_dict(), other.encoder_.state_dict()
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
    for name in ("loss", "spread", "lr", "momentum"):
        assert one.history_[name] == other.history_[name], name


@pytest.mark.parametrize("step", [1, 3, 4, 6, 11])
def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(digits, tmp_path, step):
    X, _ = digits
    settings = {"max_epochs": 3, "batch_size": 50}
    whole = quick(**settings).fit(X)
    resumed = cut_off_and_go_on(
        X, step, **settings, checkpoint=tmp_path, checkpoint_minutes=0
    )
    assert_same(whole, resumed)
    assert resumed.n_iter_ == 3


@pytest.mark.parametrize(
    "parameters",
    [
        {"encoder": dropping},
        {"views": noisy},
        {"optimizer": "lars"},
        {"optimizer": "sgd"},
        {"optimizer": partial(torch.optim.RMSprop, momentum=0.5), "lr": 1e-4},
        {"precision": "bfloat16"},
        {"precision": "float16", "encoder": small_network},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
def test_every_random_state_and_optimizer_goes_on(digits, tmp_path, parameters):
    X, _ = digits
    settings = {"max_epochs": 2, "batch_size": 50, **parameters}
    whole = quick(**settings).fit(X)
    resumed = cut_off_and_go_on(
        X, 6, **settings, checkpoint=tmp_path, checkpoint_minutes=0
    )
    assert_same(whole, resumed)


def test_images_that_are_decoded_again_and_again_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache, "MEMORY_SHARE", 0)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 8, 8), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "images" / f"{index:02d}.png")
    folder, settings = tmp_path / "images", {"max_epochs": 2, "batch_size": 16}
    whole = quick(**settings).fit(folder)
    kept = {"checkpoint": tmp_path / "kept", "checkpoint_minutes": 0}
    assert_same(whole, cut_off_and_go_on(folder, 4, **settings, **kept))
    Image.fromarray(255 - pixels[3]).save(tmp_path / "images" / "03.png")
    with pytest.raises(ValueError, match="X is 48 images of 1x8x8"):
        quick(**settings, **kept).fit(folder)


def test_a_training_that_is_over_is_found_finished(digits, tmp_path):
    X, _ = digits
    first = quick(max_epochs=2, checkpoint=tmp_path).fit(X)
    (path,) = tmp_path.glob("*.checkpoint")
    before = path.stat()
    second = quick(
        max_epochs=2, checkpoint=str(tmp_path), callbacks=[PowerCut(0)], verbose=1
    ).fit(X)
    assert_same(first, second)
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_warm_start_makes_a_finished_training_longer(digits, tmp_path):
    X, _ = digits
    settings = {"warm_start": True, "batch_size": 100}
    quick(max_epochs=2, checkpoint=tmp_path, **settings).fit(X)
    longer = quick(max_epochs=4, checkpoint=tmp_path, **settings).fit(X)
    in_memory = quick(max_epochs=2, **settings).fit(X).set_params(max_epochs=4).fit(X)
    assert_same(longer, in_memory)
    assert longer.n_iter_ == 4


def test_the_last_two_files_are_kept(digits, tmp_path):
    X, _ = digits
    quick(max_epochs=3, batch_size=50, checkpoint=tmp_path, checkpoint_minutes=0).fit(X)
    names = {path.name for path in tmp_path.iterdir()} - {"lock"}  # gone on Windows
    assert names == {f"step-{step:012d}.checkpoint" for step in (11, 12)}


@pytest.mark.posix
def test_files_are_as_readable_as_the_user_wants(digits, tmp_path):
    X, _ = digits
    old = os.umask(0o027)
    try:
        quick(checkpoint=tmp_path / "new").fit(X)
    finally:
        os.umask(old)
    for path in (tmp_path / "new").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 1e-3}, r"lr is 0\.001 here and 'auto' there"),
        ({"random_state": 1}, "random_state is 1 here and 0 there"),
        ({"views": RandomViews("safe")}, "views is RandomViews"),
        ({"optimizer": torch.optim.SGD, "lr": 1.0}, "optimizer is torch.optim.sgd.SGD"),
        ({"batch_size": 64, "momentum": 0.5}, "batch_size is 64.*momentum is 0.5"),
    ],
)
def test_other_parameters_are_an_error_that_names_them(
    digits, tmp_path, change, message
):
    X, _ = digits
    quick(checkpoint=tmp_path).fit(X)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=f"holds another training.*{message}"):
        quick(checkpoint=tmp_path, **change).fit(X)
    assert sorted(tmp_path.iterdir()) == before


def test_other_pixels_are_an_error(digits, tmp_path):
    X, _ = digits
    quick(checkpoint=tmp_path).fit(X)
    changed = X.copy()
    changed[137, 20] += 1
    for other in (changed, X[:199], X[::-1]):
        with pytest.raises(
            ValueError, match=r"X is .* images of 1x8x8, pixels and dtype"
        ):
            quick(checkpoint=tmp_path).fit(other)
    with pytest.raises(ValueError, match="X is 201 images"):
        quick(checkpoint=tmp_path).fit(X, X_unlabeled=X[:1])


def test_what_has_no_effect_may_change(digits, tmp_path):
    X, _ = digits
    first = quick(checkpoint=tmp_path, random_state=None).fit(X)
    again = quick(checkpoint=tmp_path, random_state=None, n_jobs=2, verbose=1).fit(X)
    assert_same(first, again)


SCRIPT = """
import sys
import numpy as np
from sklearn.datasets import load_digits
from sklearn_byol import BYOLTransformer
X, _ = load_digits(return_X_y=True)
byol = BYOLTransformer(
    max_epochs=10, batch_size=20, random_state=0, device="cpu",
    checkpoint=sys.argv[1] if len(sys.argv) > 2 else None, checkpoint_minutes=0,
).fit(X[:200])
weights = {name: value.numpy() for name, value in byol.encoder_.state_dict().items()}
history = {n: v for n, v in byol.history_.items() if "second" not in n}
np.savez(sys.argv[-1], **weights, **history)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_training_that_is_killed_again_and_again_ends_the_same(tmp_path):
    folder, ends = tmp_path / "checkpoints", [tmp_path / "whole", tmp_path / "killed"]
    start = [sys.executable, "-c", SCRIPT]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole = subprocess.Popen([*start, f"{ends[0]}.npz"], env=alone)
    rng, n_steps = random.Random(0), 0
    for _ in range(3):
        process = subprocess.Popen([*start, str(folder), f"{ends[1]}.npz"], env=alone)
        while last_step(folder) == n_steps:
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        n_steps = last_step(folder)
    assert 0 < n_steps < 100
    subprocess.run([*start, str(folder), f"{ends[1]}.npz"], check=True, env=alone)
    assert whole.wait() == 0
    one, other = (np.load(f"{end}.npz") for end in ends)
    for name in one.files:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def last_step(folder):
    """Read the number of steps from the newest file's name."""
    names = [path.stem for path in folder.glob("step-*.checkpoint")]
    return max((int(name.split("-")[1]) for name in names), default=0)


def jittered(strength):
    """A function that knows a number by closure alone."""

    def jitter(images):
        return (images + strength * torch.rand_like(images)).clamp(0, 1)

    return jitter


def test_functions_that_differ_in_what_they_hold_differ(digits, tmp_path):
    X, _ = digits
    quick(checkpoint=tmp_path, views=jittered(0.1)).fit(X)
    quick(checkpoint=tmp_path, views=jittered(0.1)).fit(X)
    with pytest.raises(ValueError, match=r"views is .*\(0\.9\) here and .*\(0\.1\)"):
        quick(checkpoint=tmp_path, views=jittered(0.9)).fit(X)


def test_other_content_of_the_same_file_of_weights_is_an_error(digits, tmp_path):
    X, _ = digits
    path = tmp_path / "weights.pth"
    settings = {"weights": path, "checkpoint": tmp_path / "kept"}
    torch.save(quick(max_epochs=0).fit(X).encoder_.state_dict(), path)
    first = quick(**settings).fit(X)
    assert_same(first, quick(**{**settings, "weights": str(path)}).fit(X))
    torch.save(quick(max_epochs=1).fit(X).encoder_.state_dict(), path)
    with pytest.raises(ValueError, match="weights is a file with the digest"):
        quick(**settings).fit(X)


def test_numbers_of_numpy_in_the_history_are_kept(digits, tmp_path):
    class Scores(Callback):
        def on_epoch_end(self, net, **kw):
            net.history.record("score", np.float32(len(net.history)))
            net.history.record("exact", torch.tensor(0.5))

    settings = {"max_epochs": 3, "checkpoint": tmp_path, "checkpoint_minutes": 0}
    with pytest.raises(ConnectionError):
        quick(**settings, callbacks=[Scores(), PowerCut(2)]).fit(digits[0])
    byol = quick(**settings, callbacks=[Scores()]).fit(digits[0])
    assert byol.history_["score"] == [1, 2, 3]
    assert {type(score) for score in byol.history_["score"]} == {float}
    assert byol.history_["exact"] == [0.5] * 3


def test_what_is_newer_in_memory_is_not_lost_to_a_file(digits, tmp_path):
    X, _ = digits
    byol = quick(max_epochs=2, warm_start=True, checkpoint=tmp_path).fit(X)
    for _ in range(2):
        byol.partial_fit(X)
    rates = byol.history_["lr"]
    assert byol.set_params(max_epochs=5).fit(X).history_["lr"][:4] == rates
