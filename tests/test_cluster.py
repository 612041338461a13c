"""Searches and representations on a cluster of dask's, with two worker processes."""

import pickle
import subprocess
import sys

import cloudpickle
import dask
import dask.array as da
import distributed
import numpy as np
import pytest
from joblib import parallel_config
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from tests.cluster import Counted, n_loaded
from tests.conftest import quick

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster")]


@pytest.fixture(scope="module")
def client():
    """Two worker processes of one thread each."""
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "120s"}),
        distributed.LocalCluster(**settings) as cluster,
        distributed.Client(cluster, timeout="120s") as client,
    ):
        yield client


def small_search():
    byol = quick(hidden_dim=64, projection_dim=16)
    pipe = make_pipeline(byol, LogisticRegression(max_iter=1000))
    return GridSearchCV(pipe, {"byoltransformer__lr": [1e-3, 3e-3, 1e-2]}, cv=2)


def test_a_search_has_the_scores_of_a_serial_one_and_ships_images_once(
    client, digits, monkeypatch
):
    X, y = digits
    serial = small_search().fit(X, y)
    shipped, sent = [], []

    def scatter(self, given, *args, real=distributed.Client.scatter, **options):
        shipped.append(given)
        return real(self, given, *args, **options)

    def submit(self, *args, real=distributed.Client.submit, **options):
        sent.append(len(cloudpickle.dumps([args, options.get("tasks")])))
        return real(self, *args, **options)

    monkeypatch.setattr(distributed.Client, "scatter", scatter)
    monkeypatch.setattr(distributed.Client, "submit", submit)
    with parallel_config("dask"):
        search = small_search().fit(X, y)
    for name, values in serial.cv_results_.items():
        if "_test_score" in name:
            np.testing.assert_array_equal(search.cv_results_[name], values)
    assert sum(given is X for given in shipped) == 1
    assert len(sent) >= 6  # fits
    assert max(sent) < X.nbytes


def test_images_in_chunks_have_the_representations_of_transform(client, digits):
    X, _ = digits
    byol = Counted(**quick().get_params()).fit(X)
    chunks = da.from_array(X, chunks=(25, -1))
    shared = dask.delayed(byol, traverse=False)
    rows = da.map_blocks(
        lambda images, byol: byol.transform(images),
        chunks,
        byol=shared,
        dtype=np.float32,
        chunks=(chunks.chunks[0], (512,)),
        meta=np.empty((0, 512), dtype=np.float32),
    )
    np.testing.assert_array_equal(rows.compute(), byol.transform(X))
    loads = client.run(n_loaded).values()
    assert set(loads) == {1}  # for eight chunks


CODE = """
import resource, sys
import dask, dask.array as da, numpy as np, torch
from torch import nn
from sklearn_byol import BYOLTransformer

def encoder():
    layers = nn.AvgPool2d(16), nn.Flatten(), nn.Linear(48, 8), nn.BatchNorm1d(8)
    return nn.Sequential(*layers)

def represent(images, byol):
    return byol.transform(images)

torch.set_num_threads(1)
archive = da.from_npy_stack(sys.argv[1])
first = archive[:300].compute()
byol = BYOLTransformer(encoder, views="jitter", hidden_dim=8, projection_dim=8,
    max_epochs=1, random_state=0, device="cpu", precision="float32").fit(first)
expected = byol.transform(first)
rows = da.map_blocks(
    represent,
    archive,
    byol=dask.delayed(byol, traverse=False),
    drop_axis=(2, 3),
    chunks=(archive.chunks[0], (8,)),
    dtype=np.float32,
    meta=np.empty((0, 8), dtype=np.float32),
)
for line in open("/proc/self/status"):
    if line.startswith("VmData"):
        now = int(line.split()[1]) * 1024
limit = now + 120 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
with dask.config.set(scheduler="synchronous"):
    found = rows.compute()
print(archive.nbytes, np.array_equal(found[:300], expected), found.shape)
archive.compute()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_array_larger_than_memory_is_represented(tmp_path):
    n_chunks, n_images = 30, 1000
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n_images, 64, 64, 3), dtype=np.uint8)
    stack = tmp_path / "stack"
    stack.mkdir()
    np.save(stack / "0.npy", images)
    for index in range(1, n_chunks):
        (stack / f"{index}.npy").hardlink_to(stack / "0.npy")
    info = {
        "chunks": ((n_images,) * n_chunks, (64,), (64,), (3,)),
        "dtype": images.dtype,
        "axis": 0,
    }
    (stack / "info").write_bytes(pickle.dumps(info))
    told = subprocess.run(
        [sys.executable, "-c", CODE, str(stack)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.strip() == f"{images.nbytes * 30} True (30000, 8)", told.stderr
    assert "MemoryError" in told.stderr  # of taking it as a whole, in the end
