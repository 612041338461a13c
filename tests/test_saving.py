"""Fitted transformers move between processes, machines and devices."""

import copy
import io
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback
from torch import nn
from torchvision.transforms import v2

import sklearn_byol
from tests.conftest import Blind, pipeline, quick


@pytest.mark.slow
def test_a_saved_pipeline_predicts_the_same_in_a_new_process(digits, tmp_path):
    X, y = digits
    pipe = pipeline().fit(X, y)
    joblib.dump((pipe, X), tmp_path / "model.joblib")
    code = (
        "import joblib, sys; pipe, X = joblib.load(sys.argv[1]);"
        "joblib.dump(pipe.predict_proba(X), sys.argv[2])"
    )
    files = [str(tmp_path / "model.joblib"), str(tmp_path / "rows.joblib")]
    subprocess.run([sys.executable, "-c", code, *files], check=True)
    np.testing.assert_allclose(
        joblib.load(tmp_path / "rows.joblib"), pipe.predict_proba(X), 1e-5, 1e-7
    )


def test_the_file_is_as_large_as_the_encoder(digits):
    byol = quick().fit(digits[0])
    weights = byol.encoder_.state_dict().values()
    n_bytes = sum(t.numel() * t.element_size() for t in weights)
    assert len(pickle.dumps(byol)) < n_bytes + 10_000


def test_a_read_only_memory_map_is_loaded(fitted, digits, tmp_path):
    joblib.dump(fitted, tmp_path / "byol.joblib")
    loaded = joblib.load(tmp_path / "byol.joblib", mmap_mode="r")
    np.testing.assert_array_equal(
        loaded.transform(digits[0]), fitted.transform(digits[0])
    )


def test_an_encoder_that_was_loaded_is_ready_for_torch(fitted, digits):
    encoder = pickle.loads(pickle.dumps(fitted)).encoder_
    images = fitted.read_images(digits[0][:5])
    with torch.no_grad():
        alone = torch.cat([encoder(image[None]) for image in images])
    rows = fitted.transform(digits[0][:5])
    np.testing.assert_allclose(alone, rows, rtol=1e-4, atol=1e-4)


def test_a_user_module_is_saved_with_its_transformer(digits):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    byol = quick(encoder=module).fit(digits[0])
    loaded = pickle.loads(pickle.dumps(byol))
    np.testing.assert_array_equal(
        loaded.transform(digits[0]), byol.transform(digits[0])
    )


def test_parameters_changed_after_fit_do_not_change_what_is_saved(fitted, digits):
    changed = copy.deepcopy(fitted).set_params(encoder="resnet18", image_shape=(4, 16))
    loaded = pickle.loads(pickle.dumps(changed))
    np.testing.assert_array_equal(
        loaded.transform(digits[0]), fitted.transform(digits[0])
    )


def test_the_same_arrays_are_saved_each_time(fitted):
    first, second = (fitted.__getstate__()["_arrays"] for _ in range(2))
    assert all(first[name] is second[name] for name in first)


def test_weights_changed_after_fit_are_saved(fitted, digits):
    changed = copy.deepcopy(fitted)
    pickle.dumps(changed)
    for parameter in changed.encoder_.parameters():
        parameter.data = parameter.data + 0.1
    loaded = pickle.loads(pickle.dumps(changed))
    np.testing.assert_array_equal(
        loaded.transform(digits[0]), changed.transform(digits[0])
    )


def test_nothing_saved_remembers_a_device(fitted):
    """Unpickle while refusing every class of torch but plain modules and functions."""

    class NoTensors(pickle.Unpickler):
        def find_class(self, module, name):
            assert not module.startswith("torch"), f"{module}.{name}"
            return super().find_class(module, name)

    NoTensors(io.BytesIO(pickle.dumps(fitted))).load()


def test_a_pipeline_from_a_gpu_loads_without_one(digits, monkeypatch):
    """Tag every storage that is written as one of a GPU, as a GPU would."""
    registry = [(0, lambda storage: "cuda:0", lambda storage, place: None)]
    registry += torch.serialization._package_registry
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    pipe = pipeline().fit(*digits)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "_package_registry", registry)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        from_gpu, control = pickle.dumps(pipe), pickle.dumps(module)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            pickle.loads(control)
    loaded = pickle.loads(from_gpu)
    np.testing.assert_array_equal(loaded.predict(digits[0]), pipe.predict(digits[0]))


def test_a_device_that_is_gone_is_told_and_replaced(fitted, digits):
    moved = copy.deepcopy(fitted).set_params(device="cuda:99")
    with pytest.warns(sklearn_byol.DeviceWarning, match="device='cuda:99' is"):
        rows = moved.transform(digits[0])
    np.testing.assert_allclose(rows, fitted.transform(digits[0]), 1e-4, 1e-5)


class Fails(Callback):
    """Ends a training as a power cut would."""

    def on_epoch_end(self, net, **kwargs):
        raise RuntimeError("power cut")


@pytest.mark.parametrize(
    ("parameters", "X", "kind"),
    [
        ({}, np.eye(9), "SmallImageWarning"),
        ({"views": v2.RandomVerticalFlip()}, np.eye(64), "ViewsWarning"),
        ({"encoder": Blind}, np.eye(64), "CollapseWarning"),
    ],
)
def test_warnings_point_at_the_line_of_the_user(parameters, X, kind):
    with pytest.warns(getattr(sklearn_byol, kind)) as record:
        quick(**parameters).fit(X)
    assert {warning.filename for warning in record} == {__file__}


def test_a_refit_that_fails_leaves_nothing_of_the_first(digits):
    byol = quick().fit(digits[0])
    with pytest.raises(RuntimeError, match="power cut"):
        byol.set_params(callbacks=[Fails()]).fit(digits[0])
    for left in (byol, pickle.loads(pickle.dumps(byol))):
        assert not hasattr(left, "history_")
        with pytest.raises(NotFittedError):
            left.transform(digits[0])


def test_a_fitted_module_is_saved_twice_and_not_more(digits):
    # As the parameter it came as, and as what it has learned.
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3000))
    byol = quick(encoder=module).fit(digits[0])
    n_bytes = sum(t.nbytes for t in byol.encoder_.state_dict().values())
    saved = pickle.dumps(byol)
    assert len(saved) < 2 * n_bytes + 50_000
    again = pickle.loads(pickle.dumps(pickle.loads(saved)))
    np.testing.assert_array_equal(again.transform(digits[0]), byol.transform(digits[0]))


def test_an_unfitted_transformer_is_saved():
    assert pickle.loads(pickle.dumps(quick())).max_epochs == 1
