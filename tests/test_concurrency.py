"""Threads and processes: the same results as one after another, and no dead-lock."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from sklearn.base import clone
from torch import nn

from tests.conftest import tiny

X = np.random.default_rng(0).integers(0, 256, (48, 8, 8), dtype=np.uint8)
LIMIT = 120  # seconds


def weights(byol):
    return [tensor.clone() for tensor in byol.encoder_.state_dict().values()]


def assert_same(one, other):
    assert all(map(torch.equal, weights(one), weights(other)))


def dropping():
    """Draws from torch's global state, which threads share."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.2))


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("encoder", [None, dropping], ids=["plain", "dropout"])
def test_fits_in_threads_are_those_in_a_row(encoder):
    options = {"max_epochs": 3, "batch_size": 16}
    if encoder is not None:
        options["encoder"] = encoder
    made = [tiny(**options, random_state=seed) for seed in range(4)]
    in_a_row = [clone(byol).fit(X) for byol in made]
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(lambda byol: byol.fit(X), made, timeout=LIMIT))
    for one, other in zip(in_a_row, at_once, strict=True):
        assert_same(one, other)


@pytest.mark.usefixtures("limited")
def test_many_threads_may_transform_by_one_estimator():
    byol = tiny(max_epochs=1).fit(X)
    byol.encoder_.train()  # so that the first of them puts it into evaluation
    parts = [X[i : i + 6] for i in range(0, 43, 3)] * 5
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(byol.transform, parts, timeout=LIMIT))
    for part, rows in zip(parts, found, strict=True):
        np.testing.assert_array_equal(rows, byol.transform(part))


@pytest.mark.usefixtures("limited")
def test_threads_may_fit_while_others_transform():
    byol = tiny(max_epochs=1).fit(X)
    expected = byol.transform(X)
    with ThreadPoolExecutor(4) as threads:
        fits = [threads.submit(tiny(max_epochs=3).fit, X) for _ in range(2)]
        for rows in threads.map(byol.transform, [X] * 20, timeout=LIMIT):
            np.testing.assert_array_equal(rows, expected)
        for fit in fits:
            fit.result(timeout=LIMIT)


FORK = """
import multiprocessing, sys, warnings
import numpy as np
from tests.test_concurrency import X, tiny

warnings.simplefilter("ignore")

def work(queue, byol):
    queue.put((byol.transform(X), tiny(max_epochs=1).fit(X).transform(X)))

if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    byol = tiny(max_epochs=1).fit(X)
    expected = byol.transform(X)
    queue = fork.Queue()
    processes = [fork.Process(target=work, args=(queue, byol)) for _ in range(2)]
    for process in processes:
        process.start()
    for _ in processes:
        for rows in queue.get(timeout=60):
            np.testing.assert_array_equal(rows, expected)
    for process in processes:
        process.join(timeout=60)
    print(*[process.exitcode for process in processes])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_process_may_fork_after_a_fit():
    told = subprocess.run(
        [sys.executable, "-c", FORK],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert told.stdout.split() == ["0", "0"], told.stderr


def fitted_weights(seed):
    byol = tiny(max_epochs=2, batch_size=16, random_state=seed).fit(X)
    return [tensor.numpy() for tensor in byol.encoder_.state_dict().values()]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_workers_of_every_backend_give_the_same_bits(backend):
    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = [fitted_weights(seed) for seed in range(2)]
    finally:
        torch.set_num_threads(torch_threads)
    inner = {"inner_max_num_threads": 1} if backend == "loky" else {}
    with parallel_config(backend, **inner):
        found = Parallel(2, timeout=LIMIT)(delayed(_alone)(seed) for seed in range(2))
    for one, other in zip(expected, found, strict=True):
        for tensor, value in zip(one, other, strict=True):
            np.testing.assert_array_equal(tensor, value)


def _alone(seed):
    """Fit with one thread of torch, in whatever worker this runs."""
    torch.set_num_threads(1)
    return fitted_weights(seed)
