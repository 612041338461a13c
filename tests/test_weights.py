"""Encoders that begin with weights of other trainings."""

import pickle
import re
import urllib.error
import warnings
from collections import OrderedDict

import joblib
import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from sklearn_byol import WeightsWarning
from tests.conftest import quick


@pytest.fixture(scope="module")
def resnet():
    """A classifier of torchvision whose weights are not those of any other."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = torchvision.models.resnet18()
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.uniform_(norm.running_mean, -0.1, 0.1)
    return network.eval()


def frozen(images, path, **parameters):
    """An encoder with these weights, not trained."""
    given = {"encoder": "resnet18", "weights": path, "max_epochs": 0}
    return quick(**given | {"input_size": None} | parameters).fit(images)


def expected(resnet, images):
    """What the classifier makes of images in front of its head."""
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    batch = torch.from_numpy(images).movedim(-1, 1) / 255
    trunk = nn.Sequential(*list(resnet.children())[:-1], nn.Flatten())
    with torch.no_grad():
        return trunk((batch - mean) / std).numpy()


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)


def numbered(state):
    children = [name for name, _ in torchvision.models.resnet18().named_children()]
    return {
        f"{children.index(name.split('.')[0])}.{name.split('.', 1)[1]}": value
        for name, value in state.items()
        if not name.startswith("fc.")
    }


def prefixed(state, prefix):
    return OrderedDict((prefix + name, value) for name, value in state.items())


FORMS = {
    "torchvision": lambda state: state,
    "DataParallel": lambda state: {"state_dict": prefixed(state, "module.")},
    "lightly": lambda state: {
        "epoch": 3,
        "state_dict": prefixed(numbered(state), "backbone.")
        | {"projection_head.layers.0.weight": torch.ones(4, 4)},
    },
    "solo-learn": lambda state: {
        "state_dict": prefixed(state, "backbone.")
        | {"projector.0.weight": torch.ones(4, 4)},
    },
    "MoCo": lambda state: {"state_dict": prefixed(state, "module.encoder_q.")},
    "PyTorch Lightning": lambda state: {
        "state_dict": prefixed(state, "model.encoder."),
        "hyper_parameters": {"lr": 0.1},
    },
    "DINO": lambda state: {"teacher": prefixed(state, "backbone.")},
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_of_other_libraries_are_found(resnet, images, tmp_path, form):
    torch.save(FORMS[form](resnet.state_dict()), tmp_path / "weights.pth")
    byol = frozen(images, tmp_path / "weights.pth")
    np.testing.assert_allclose(
        byol.transform(images), expected(resnet, images), rtol=1e-4, atol=1e-4
    )


def test_safetensors_are_read(resnet, images, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(resnet.state_dict(), path)
    np.testing.assert_allclose(
        frozen(images, str(path)).transform(images),
        expected(resnet, images),
        rtol=1e-4,
        atol=1e-4,
    )
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"damaged, or no file of safetensors"):
        frozen(images, path)


@pytest.fixture
def path(resnet, tmp_path):
    torch.save(resnet.state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def test_gray_images_go_into_all_three_channels(resnet, images, path):
    gray = images[..., 0]
    byol = frozen(gray, path)
    assert byol.image_shape_ == (1, 40, 40)
    np.testing.assert_allclose(
        byol.transform(gray),
        expected(resnet, np.stack([gray] * 3, -1)),
        rtol=1e-4,
        atol=1e-4,
    )


def test_other_channels_repeat_the_first_layer(resnet, path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 40, 40), dtype=np.uint8)
    byol = frozen(pixels, path)
    ours, theirs = byol.encoder_.network.conv1.weight, resnet.conv1.weight
    torch.testing.assert_close(ours[:, 3] * 5 / 3, theirs[:, 0])
    statistics = pixels.mean((0, 2, 3)) / 255
    np.testing.assert_allclose(byol.encoder_.normalize.mean.flatten(), statistics, 1e-5)


def test_a_stem_for_small_images_is_recognised(tmp_path, images):
    small = images[:, :32, :32]
    trained = quick(encoder="resnet18").fit(small)
    torch.save(trained.encoder_.network.state_dict(), tmp_path / "weights.pth")
    byol = frozen(small, tmp_path / "weights.pth")
    assert byol.encoder_.network.conv1.kernel_size == (3, 3)
    torch.save(trained.encoder_.state_dict(), tmp_path / "whole.pth")
    byol = frozen(small, tmp_path / "whole.pth")
    np.testing.assert_allclose(
        byol.transform(small), trained.transform(small), rtol=1e-4, atol=1e-5
    )


def test_auto_takes_weights_of_auto(digits, tmp_path):
    X, _ = digits
    trained = quick().fit(X)
    torch.save(trained.encoder_.state_dict(), tmp_path / "weights.pth")
    byol = frozen(X / 16, tmp_path / "weights.pth", encoder="auto")
    np.testing.assert_allclose(
        byol.transform(X / 16), trained.transform(X), rtol=1e-4, atol=1e-5
    )


def test_normalisation_that_is_not_in_the_file_is_no_random_weight(images, tmp_path):
    trained = quick(encoder="resnet18").fit(images)
    state = trained.encoder_.state_dict()
    path = tmp_path / "weights.pth"
    torch.save({k: v for k, v in state.items() if "normalize" not in k}, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", WeightsWarning)
        byol = frozen(images, path)
    assert torch.equal(
        byol.encoder_.network.conv1.weight, state["network.conv1.weight"]
    )
    assert byol.encoder_.normalize.mean.flatten().tolist() == pytest.approx(
        [0.485, 0.456, 0.406]
    )


def test_a_module_takes_weights(images, tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    byol = frozen(images, tmp_path / "weights.pth", encoder=other)
    assert torch.equal(byol.encoder_.network[0].weight, module[0].weight)


@pytest.mark.filterwarnings("ignore::sklearn_byol.exceptions.CollapseWarning")
def test_weights_that_are_missing_are_told(resnet, images, tmp_path):
    state = {k: v for k, v in resnet.state_dict().items() if "layer4" not in k}
    torch.save(state, tmp_path / "weights.pth")
    with pytest.warns(
        WeightsWarning, match=r"25 of 100 .*network\.layer4\.0\.conv1"
    ) as caught:
        byol = frozen(images, tmp_path / "weights.pth")
    assert torch.equal(byol.encoder_.network.conv1.weight, resnet.conv1.weight)
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.filterwarnings("ignore::sklearn_byol.exceptions.CollapseWarning")
def test_weights_that_torchvision_publishes_of_densenets_are_found(images, tmp_path):
    state = torchvision.models.densenet121().state_dict()
    published = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): weight
        for name, weight in state.items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in published
    torch.save(published, tmp_path / "weights.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error", WeightsWarning)
        byol = frozen(images, tmp_path / "weights.pth", encoder="densenet121")
    name = "features.denseblock4.denselayer16.conv2.weight"
    assert torch.equal(byol.encoder_.network.get_parameter(name), state[name])


@pytest.mark.parametrize("prefix", ["", "module.backbone."])
def test_weights_of_a_deeper_network_are_told(images, tmp_path, prefix):
    state = prefixed(torchvision.models.resnet34().state_dict(), prefix)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.warns(
        WeightsWarning, match=r"deeper network.*layer1\.2\.conv1\.weight"
    ):
        frozen(images, tmp_path / "weights.pth")


@pytest.mark.filterwarnings("ignore::sklearn_byol.exceptions.CollapseWarning")
@pytest.mark.parametrize("name", ["convnext_tiny", "mobilenet_v3_small"])
def test_the_head_of_a_classifier_is_no_deeper_network(images, tmp_path, name):
    torch.save(
        torchvision.models.get_model(name).state_dict(), tmp_path / "weights.pth"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", WeightsWarning)
        frozen(images, tmp_path / "weights.pth", encoder=name)


def test_weights_that_fit_nothing_are_an_error(images, tmp_path):
    torch.save(torchvision.models.resnet50().state_dict(), tmp_path / "weights.pth")
    encoder = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 8, 5), relu=nn.ReLU()))
    with pytest.raises(
        ValueError,
        match=r"conv1\.weight has the shape \(64, 3, 7, 7\) in the file and "
        r"\(8, 3, 5, 5\) in the encoder",
    ):
        frozen(images, tmp_path / "weights.pth", encoder=encoder)
    torch.save({"vision.patch": torch.ones(3, 3)}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"is not there.*The file has vision\.patch"):
        frozen(images, tmp_path / "weights.pth")


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_nothing_else_is_unpickled(images, tmp_path):
    bad = tmp_path / "bad"
    for content in ({"state_dict": Evil(bad)}, Evil(bad)):
        torch.save(content, tmp_path / "weights.pth")
        with pytest.raises(ValueError, match="Only tensors and plain values are read"):
            frozen(images, tmp_path / "weights.pth")
        (tmp_path / "weights.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(ValueError, match="Only tensors and plain values are read"):
            frozen(images, tmp_path / "weights.pkl")
    assert not bad.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no file. Pass the path of a state dict, or 'pretrained'"),
        (b"text", "cannot be read as a state dict"),
        ({"epoch": 3}, "holds no state dict"),
        ([1, 2], "holds no state dict"),
    ],
)
def test_files_that_hold_no_weights_are_errors(images, tmp_path, content, message):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        frozen(images, path)


def test_pretrained_needs_an_encoder_that_is_known(images):
    with pytest.raises(ValueError, match="needs an encoder with published weights"):
        frozen(images, "pretrained", encoder="auto")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache of torch that nothing can be fetched into."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))

    def fail(url, *args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def test_pretrained_takes_torchvisions_file(resnet, images, hub):
    torch.save(resnet.state_dict(), hub / "resnet18-f37072fd.pth")
    byol = frozen(images, "pretrained")
    np.testing.assert_allclose(
        byol.transform(images), expected(resnet, images), rtol=1e-4, atol=1e-4
    )


def test_without_network_the_error_says_which_file_and_where(images, hub):
    with pytest.raises(OSError, match="no network") as caught:
        frozen(images, "pretrained")
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in str(
        caught.value
    )
    assert str(hub / "resnet18-f37072fd.pth") in str(caught.value)


def test_a_saved_model_needs_no_weights_again(images, path):
    byol = quick(encoder="resnet18", weights=path, min_similarity=0).fit(images)
    rows = byol.transform(images)
    joblib.dump(byol, path.with_name("byol.joblib"))
    path.unlink()
    loaded = joblib.load(path.with_name("byol.joblib"))
    np.testing.assert_array_equal(loaded.transform(images), rows)


def test_a_fitted_encoder_is_a_start(digits):
    X, _ = digits
    first = quick(readout=1).fit(X)
    same = quick(encoder=first.encoder_, max_epochs=0).fit(X[::-1] / 2)
    np.testing.assert_allclose(
        same.transform(X / 2), first.transform(X), rtol=1e-4, atol=1e-5
    )
    wider = quick(encoder=first.encoder_, readout=2, max_epochs=0).fit(X)
    assert wider.transform(X).shape == (200, 512)
    rows = first.transform(X)
    further = quick(encoder=first.encoder_).fit(X)
    np.testing.assert_array_equal(first.transform(X), rows)
    assert further.lr_ == pytest.approx(first.lr_ / 3)
    assert further.encoder_lr_ == pytest.approx(first.lr_ / 45)
    copied = pickle.loads(pickle.dumps(further))
    np.testing.assert_array_equal(copied.transform(X), further.transform(X))
    with pytest.raises(ValueError, match="encoder cannot take float32 images"):
        quick(encoder=first.encoder_).fit(np.ones((4, 8, 8, 2)) * X[:4, :1, None, None])


def test_history_of_a_trained_encoder_begins_with_epoch_0(digits):
    X, _ = digits
    first = quick().fit(X)
    assert first.history_["epoch"] == [1]
    byol = quick(encoder=first.encoder_, max_epochs=2).fit(X)
    assert byol.history_["epoch"] == [0, 1, 2]
    assert byol.history_["lr"][0] == 0
    assert {len(figures) for figures in byol.history_.values()} == {3}
    assert byol.n_iter_ == 2


def test_no_epochs_leave_the_encoder_as_it_begins(digits):
    X, _ = digits
    byol = quick(max_epochs=0).fit(X)
    assert byol.n_iter_ == 0
    assert byol.history_["epoch"] == [0]
    hardly_trained = quick(lr=1e-12).fit(X)
    for name, weight in byol.encoder_.named_parameters():
        expected = hardly_trained.encoder_.get_parameter(name)
        torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn_byol.exceptions.CollapseWarning")
@pytest.mark.parametrize("encoder", ["mobilenet_v2", "densenet121", "vgg11"])
def test_weights_reach_networks_that_are_read_on_a_grid(tmp_path, encoder):
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    with torch.random.fork_rng():
        network = torchvision.models.get_model(encoder)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    byol = frozen(images, tmp_path / "weights.pth", encoder=encoder, readout=2)
    first = next(iter(network.parameters()))
    assert torch.equal(next(byol.encoder_.network.parameters()), first)


def test_inception_turns_its_input_as_its_weights_expect(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    with torch.random.fork_rng():
        network = torchvision.models.googlenet(init_weights=True, transform_input=True)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    byol = frozen(images, tmp_path / "weights.pth", encoder="googlenet")
    network.fc = nn.Identity()
    network.eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    with torch.no_grad():
        batch = torch.from_numpy(images).movedim(-1, 1) / 255
        expected = network((batch - mean) / std).numpy()
    np.testing.assert_allclose(byol.transform(images), expected, rtol=1e-3, atol=1e-5)


def test_positions_of_a_vision_transformer_are_interpolated(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    with torch.random.fork_rng():
        network = torchvision.models.vit_b_32(image_size=64)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    byol = frozen(images, tmp_path / "weights.pth", encoder="vit_b_32")
    positions = byol.encoder_.network.encoder.pos_embedding
    assert positions.shape == (1, 2, 768)
    assert torch.equal(positions[:, 0], network.encoder.pos_embedding[:, 0])


class WithToken(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(4))
        self.first = nn.Conv2d(1, 4, 3)

    def forward(self, images):
        return self.first(images).mean(dim=(2, 3)) + self.token


def test_tensors_of_the_network_itself_are_found_beside_numbered_children(tmp_path):
    state = {"0.weight": torch.ones(4, 1, 3, 3), "0.bias": torch.ones(4)}
    torch.save({**state, "token": torch.full((4,), 7.0)}, tmp_path / "file.pth")
    byol = quick(encoder=WithToken(), weights=tmp_path / "file.pth", max_epochs=0)
    encoder = byol.fit(np.random.default_rng(0).random((4, 8, 8))).encoder_
    assert encoder.network.token.tolist() == [7.0] * 4
    assert encoder.network.first.bias.tolist() == [1.0] * 4
