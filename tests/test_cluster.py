"""Searches and representations on a cluster of dask's, with two worker processes."""

from pathlib import Path

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

DOCS = Path(__file__).parents[1] / "docs" / "guide"


@pytest.fixture(scope="module")
def client():
    """Two worker processes of one thread each."""
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
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
