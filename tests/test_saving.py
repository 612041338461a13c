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
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn
from torch.nn.parameter import is_lazy
from torchvision import tv_tensors
from torchvision.transforms import v2

import sklearn_byol
from sklearn_byol import BYOLTransformer
from sklearn_byol.callbacks import ProbeCallback
from sklearn_byol.estimators._saving import digest_of
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


def test_a_refit_that_fails_leaves_the_first(digits):
    byol = quick().fit(digits[0])
    before = byol.transform(digits[0])
    with pytest.raises(RuntimeError, match="power cut"):
        byol.set_params(callbacks=[Fails()]).fit(digits[0])
    for left in (byol, pickle.loads(pickle.dumps(byol))):
        assert (left.transform(digits[0]) == before).all()


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


def loaded_encoder(module):
    """What is read of a module that was saved as a parameter."""
    return pickle.loads(pickle.dumps(quick(encoder=module))).encoder


def loaded_probe(X, y=None):
    """What is read of a callback that was saved as a parameter."""
    byol = quick(callbacks=[ProbeCallback(X, np.arange(2) if y is None else y)])
    return pickle.loads(pickle.dumps(byol)).callbacks[0]


TYPES = [
    "float64",
    "float16",
    "bfloat16",
    "float8_e4m3fn",
    "complex64",
    "int64",
    "bool",
]


def test_a_class_of_a_function_has_one_digest_in_all_processes():
    class Inside(nn.Linear):
        pass

    module = Inside(1, 1)
    digest = digest_of({"encoder": module})
    Inside.__qualname__ = "Inside"  # as where joblib has sent it by cloudpickle
    assert digest_of({"encoder": module}) == digest


@pytest.mark.parametrize("name", TYPES)
def test_weights_of_any_type_are_saved(name):
    module = nn.Module()
    values = torch.tensor([[0.0, 1.0, 2.0]]).to(getattr(torch, name))
    module.weight = nn.Parameter(values, requires_grad=False)
    weight = loaded_encoder(module).weight
    assert weight.dtype == values.dtype
    assert torch.equal(weight.view(torch.uint8), values.view(torch.uint8))


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,), (2, 3)])
def test_weights_of_any_shape_are_saved(shape):
    module = nn.Module()
    module.weight = nn.Parameter(torch.rand(shape))
    assert torch.equal(loaded_encoder(module).weight, module.weight)


def test_weights_that_were_tied_are_tied_after_loading():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    loaded = loaded_encoder(module)
    assert loaded[1].weight is loaded[0].weight


def test_weights_that_were_equal_are_not_tied_after_loading():
    module = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    loaded = loaded_encoder(module)
    assert loaded[1].weight is not loaded[0].weight


def test_weights_are_parameters_after_loading():
    loaded = loaded_encoder(nn.BatchNorm2d(3))
    assert {type(tensor) for tensor in loaded.parameters()} == {nn.Parameter}
    assert {type(tensor) for tensor in loaded.buffers()} == {torch.Tensor}


def test_weights_that_were_held_are_held_after_loading():
    module = nn.Linear(3, 3)
    module.weight.requires_grad_(False)
    loaded = loaded_encoder(module)
    assert not loaded.weight.requires_grad
    assert loaded.bias.requires_grad


def test_a_missing_bias_is_missing_after_loading():
    assert loaded_encoder(nn.Linear(3, 3, bias=False)).bias is None


def test_a_buffer_that_no_state_dict_has_is_saved():
    module = nn.Linear(3, 3)
    module.register_buffer("steps", torch.arange(3), persistent=False)
    loaded = loaded_encoder(module)
    assert torch.equal(loaded.steps, module.steps)
    assert "steps" not in loaded.state_dict()


def test_tensors_that_are_neither_weights_nor_buffers_are_saved():
    module = nn.Linear(3, 3)
    module.tables = {"mean": [torch.arange(3.0)]}
    assert torch.equal(loaded_encoder(module).tables["mean"][0], torch.arange(3.0))


def test_attributes_of_a_buffer_are_saved():
    module = nn.Linear(3, 3)
    module.steps = nn.Buffer(torch.arange(3))
    module.steps.unit = "pixels"
    assert loaded_encoder(module).steps.unit == "pixels"


def test_a_lazy_module_is_lazy_after_loading():
    loaded = loaded_encoder(nn.LazyConv2d(2, 3))
    assert is_lazy(loaded.weight)
    assert loaded(torch.ones(1, 5, 8, 8)).shape == (1, 2, 6, 6)


@pytest.mark.parametrize("is_training", [True, False])
def test_the_mode_of_a_module_is_saved(is_training):
    module = nn.Sequential(nn.BatchNorm2d(3)).train(is_training)
    assert loaded_encoder(module)[0].training is is_training


def double(module, given, output):
    """A hook of a user."""
    return 2 * output


def test_hooks_of_a_module_are_saved():
    module = nn.Linear(3, 3)
    module.register_forward_hook(double)
    x = torch.ones(1, 3)
    assert torch.equal(loaded_encoder(module)(x), module(x))


def round_all(module, state_dict, prefix, metadata):
    """A hook of a user that looks at numbers."""
    for name, tensor in state_dict.items():
        state_dict[name] = torch.tensor(np.round(tensor.numpy(), 3))


def test_hooks_of_state_dicts_are_shown_no_placeholders():
    module = nn.Linear(3, 3)
    module.register_state_dict_post_hook(round_all)
    assert torch.equal(loaded_encoder(module).weight, module.weight)


@pytest.mark.parametrize("order", ["channels_last", "contiguous_format"])
def test_the_order_of_weights_in_memory_is_saved(order):
    module = nn.Conv2d(3, 4, 3).to(memory_format=getattr(torch, order))
    loaded = loaded_encoder(module)
    assert loaded.weight.stride() == module.weight.stride()
    assert torch.equal(loaded.weight, module.weight)


class Remembers(nn.Linear):
    """A module with a word in how it is pickled."""

    def __getstate__(self):
        return {**vars(self), "n_saved": getattr(self, "n_saved", 0) + 1}

    def __setstate__(self, state):
        super().__setstate__(state)
        self.n_inputs = self.weight.shape[1]


def test_a_module_may_say_how_it_is_pickled():
    module = Remembers(3, 2)
    loaded = loaded_encoder(module)
    assert loaded.n_saved > 0
    assert loaded.n_inputs == 3
    assert torch.equal(loaded.weight, module.weight)


def test_a_traced_graph_is_saved():
    module = torch.fx.symbolic_trace(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()))
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(loaded_encoder(module)(images), module(images))


class Noise(nn.Module):
    """Views of a user, with a buffer and a generator of their own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("strength", torch.tensor([0.1]))
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, images):
        noise = torch.rand(images.shape, generator=self.generator)
        return images + self.strength * noise


@pytest.mark.parametrize("kind", [tuple, list])
def test_modules_in_a_pair_of_views_are_saved(kind):
    views = kind([Noise(), v2.LinearTransformation(torch.eye(4), torch.zeros(4))])
    loaded = pickle.loads(pickle.dumps(quick(views=views))).views
    assert type(loaded) is kind
    assert torch.equal(loaded[0].strength, torch.tensor([0.1]))
    assert torch.equal(loaded[1].transformation_matrix, torch.eye(4))


def test_one_module_in_both_views_is_one_after_loading():
    views = Noise()
    loaded = pickle.loads(pickle.dumps(quick(views=(views, views)))).views
    assert loaded[0] is loaded[1]


def test_a_generator_goes_on_where_it_was():
    views = Noise()
    views(torch.zeros(5))
    loaded = pickle.loads(pickle.dumps(quick(views=views))).views
    assert torch.equal(loaded(torch.zeros(5)), views(torch.zeros(5)))


def test_views_of_a_fitted_transformer_are_drawn_after_loading(digits):
    byol = quick(views=Noise()).fit(digits[0])
    loaded = pickle.loads(pickle.dumps(byol))
    first, second = (one.sample_views(digits[0][:3], 0)[0] for one in (byol, loaded))
    assert torch.equal(first, second)


def test_tensors_of_callbacks_are_saved():
    X, y = torch.rand(2, 8, 8), torch.arange(2)
    loaded = loaded_probe(X, y)
    assert torch.equal(loaded.X, X)
    assert torch.equal(loaded.y, y)


def test_arrays_beside_tensors_in_callbacks_are_saved():
    X = np.random.default_rng(0).random((2, 8, 8))
    np.testing.assert_array_equal(loaded_probe(X, torch.arange(2)).X, X)


def test_images_of_torchvision_are_saved_as_such():
    X = tv_tensors.Image(torch.rand(2, 3, 8, 8))
    loaded = loaded_probe(X).X
    assert type(loaded) is tv_tensors.Image
    assert torch.equal(loaded, X)


@pytest.mark.parametrize("cut", [np.s_[2:4], np.s_[::3], np.s_[::2, ::2]])
def test_a_part_of_a_tensor_is_saved(cut):
    X = torch.rand(20, 8, 8)[cut]
    assert torch.equal(loaded_probe(X).X, X)


def test_of_a_large_tensor_only_the_part_is_saved():
    part = torch.rand(2000, 8, 8)[2:4]
    assert len(pickle.dumps(quick(callbacks=[ProbeCallback(part, [0, 1])]))) < 10_000


def test_a_tensor_that_repeats_itself_is_saved_once():
    X = torch.rand(1, 8, 8).expand(10_000, 8, 8)
    loaded = loaded_probe(X).X
    assert torch.equal(loaded, X)
    assert loaded.untyped_storage().nbytes() == X.untyped_storage().nbytes()


def test_sparse_tensors_are_left_as_they_are():
    # Torch would remember to look at one that was unpickled, at the next torch.load.
    byol = quick(callbacks=[ProbeCallback(torch.eye(2).to_sparse(), [0, 1])])
    loaded = copy.deepcopy(byol).callbacks[0].X
    assert torch.equal(loaded.to_dense(), torch.eye(2))


def test_a_fitted_module_is_read_from_a_memory_map(digits, tmp_path):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4))
    module.register_parameter("none", nn.Parameter(torch.empty(0)))
    byol = quick(encoder=module).fit(digits[0])
    joblib.dump(byol, tmp_path / "byol.joblib")
    loaded = joblib.load(tmp_path / "byol.joblib", mmap_mode="r")
    rows = [one.fit(digits[0]).transform(digits[0]) for one in (loaded, byol)]
    np.testing.assert_array_equal(*rows)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, clone])
def test_a_copy_has_weights_of_its_own(copied):
    byol = quick(encoder=nn.Linear(3, 3))
    with torch.no_grad():
        copied(byol).encoder.weight.fill_(7)
    assert (byol.encoder.weight != 7).all()


def test_saving_leaves_the_module_as_it_is():
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    before = [*module.parameters(), *module.buffers()]
    values = copy.deepcopy(module.state_dict())
    pickle.dumps(quick(encoder=module, views=module))
    after = [*module.parameters(), *module.buffers()]
    assert all(new is old for new, old in zip(after, before, strict=True))
    assert all(torch.equal(values[k], v) for k, v in module.state_dict().items())


def test_what_cannot_be_pickled_is_copied():
    views = nn.Linear(3, 3)
    views.rule = (number for number in range(3))  # which no pickle takes
    views.__deepcopy__ = lambda memo: views
    assert copy.deepcopy(quick(views=views)).views is views


def test_a_tensor_of_a_device_that_is_gone_is_on_the_cpu():
    state = quick(views=Noise()).__getstate__()
    (record,) = (r for r in state["_tensors"]["each"] if "device" in r)
    record["device"] = "cuda:99"
    del state["_digest"]
    loaded = BYOLTransformer()
    loaded.__setstate__(state | {"_digest": digest_of(state)})
    assert loaded.views.strength.device.type == "cpu"


def swap_weights(state):
    first, second = state["encoder"]
    first._parameters["weight"], second._parameters["weight"] = (
        second._parameters["weight"],
        first._parameters["weight"],
    )


def flip_a_bit(state):
    state["_tensors"]["each"][-1]["bytes"][0] ^= 1


def hold_the_first(state):
    state["_tensors"]["each"][0]["requires_grad"] = False


@pytest.mark.parametrize("change", [swap_weights, flip_a_bit, hold_the_first])
def test_a_changed_tensor_is_named_damage(change):
    byol = quick(encoder=nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)))
    state = byol.__getstate__()
    BYOLTransformer().__setstate__(state)
    change(state)
    with pytest.raises(ValueError, match="its digest is another"):
        BYOLTransformer().__setstate__(state)
