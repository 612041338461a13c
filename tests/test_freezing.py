"""Layers that stay as they are, to the bit, while the others learn."""

import pytest
import torch
from skorch.callbacks import Callback
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from sklearn_byol import BYOLClassifier, EncoderWarning
from tests.conftest import quick

SMALL = {"encoder": "resnet18", "batch_size": 25}


@pytest.fixture
def network():
    """Two convolutions with batch norm and dropout, for gray images."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5)),
        nn.ReLU(),
        nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU()),
    )


class Target(Callback):
    """Keeps the target network's encoder as it is in the end, and its mode."""

    def on_train_end(self, net, **kwargs):
        encoder = net.module_.target[0]
        self.state_ = {k: v.clone() for k, v in encoder.state_dict().items()}


def changed(before, after):
    """Name what differs in two states, without counts and what images decide."""
    own = (name for name in before if name.startswith("network"))
    return {name for name in own if not torch.equal(before[name], after[name])}


def test_what_asks_for_no_gradient_stays_in_both_networks(digits, network):
    network[0].requires_grad_(False)
    before = quick(encoder=network, max_epochs=0).fit(digits[0]).encoder_.state_dict()
    byol = quick(encoder=network, callbacks=[Target()]).fit(digits[0])
    after = byol.encoder_.state_dict()
    state = dict(byol.callbacks_)["Target"].state_
    for found in (after, state):
        names = changed(before, found)
        assert all(name.startswith("network.2.") for name in names)
        assert "network.2.1.running_mean" in names
    assert byol.frozen_layers_ == ["network.0"]


def test_an_encoder_with_nothing_to_train_stays_as_it_is(digits, network):
    network.requires_grad_(False)
    before = quick(encoder=network, max_epochs=0).fit(digits[0])
    with pytest.warns(EncoderWarning, match="nothing to train, since all its"):
        byol = quick(encoder=network, max_epochs=3).fit(digits[0])
    assert (byol.transform(digits[0]) == before.transform(digits[0])).all()
    assert byol.n_iter_ == 0


def test_an_encoder_without_parameters_has_nothing_to_train(digits):
    with pytest.warns(EncoderWarning, match="nothing to train, since it has none"):
        quick(encoder=nn.Flatten).fit(digits[0])


@pytest.mark.parametrize(
    ("freeze", "learns"),
    [
        ("layer[123]", ("conv1", "bn1", "layer4")),
        (["conv1", "bn1", "layer1"], ("layer2", "layer3", "layer4")),
        (("*bn?", "*downsample.1"), ("conv", "layer")),
        (2, ("layer",)),
        (-3, ("layer4.1",)),
        (-6, ("layer4.0.downsample", "layer4.1")),
        ("layer4.1.conv2.weight", ("conv1", "bn1", "layer")),
    ],
)
def test_layers_are_frozen_by_name_or_depth(digits, freeze, learns):
    X = digits[0][:50]
    before = quick(**SMALL, max_epochs=0).fit(X).encoder_.state_dict()
    byol = quick(**SMALL, freeze=freeze).fit(X)
    names = changed(before, byol.encoder_.state_dict())
    assert names
    assert all(name.startswith(tuple(f"network.{n}" for n in learns)) for name in names)
    frozen = tuple(byol.frozen_layers_)
    assert not frozen or not any(name.startswith(frozen) for name in names)


def test_the_encoder_of_an_image_is_frozen_by_its_stem(digits):
    before = quick(max_epochs=0).fit(digits[0]).encoder_.state_dict()
    byol = quick(freeze="stem").fit(digits[0])
    names = changed(before, byol.encoder_.state_dict())
    assert names
    assert all(name.startswith("network.stages") for name in names)


def test_layers_may_learn_again_afterwards(digits):
    byol = quick(freeze="stem").fit(digits[0])
    assert all(weight.requires_grad for weight in byol.encoder_.parameters())
    again = quick(encoder=byol.encoder_).fit(digits[0])
    names = changed(byol.encoder_.state_dict(), again.encoder_.state_dict())
    assert any(name.startswith("network.stem") for name in names)


def test_what_a_user_has_frozen_stays_frozen_afterwards(digits, network):
    network[0].requires_grad_(False)
    byol = quick(encoder=network, freeze=-2).fit(digits[0])
    frozen = {n for n, w in byol.encoder_.named_parameters() if not w.requires_grad}
    assert frozen == {f"network.0.{name}" for name, _ in network[0].named_parameters()}


def test_a_training_goes_on_with_the_same_layers_frozen(digits):
    byol = quick(freeze="stem", warm_start=True).fit(digits[0])
    before = {k: v.clone() for k, v in byol.encoder_.state_dict().items()}
    byol.set_params(max_epochs=2).fit(digits[0])
    names = changed(before, byol.encoder_.state_dict())
    assert names
    assert not any(name.startswith("network.stem") for name in names)
    with pytest.raises(ValueError, match="freeze was 'stem' when training began"):
        byol.set_params(freeze=None).fit(digits[0])


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        ("layre1", "names no layer of the encoder, which consists of 'conv1', 'bn1'"),
        (["layer1", "nothing"], "freeze='nothing' names no layer"),
        (99, "freeze=99 counts more layers than the encoder has: 40 "),
    ],
)
def test_a_layer_that_is_not_there_is_an_error(digits, no_training, freeze, message):
    with pytest.raises(ValueError, match=message):
        quick(**SMALL, freeze=freeze).fit(digits[0])


def test_tuning_leaves_layers_that_are_frozen(digits):
    X, y = digits
    classifier = BYOLClassifier(quick(), freeze="stem", max_epochs=2, random_state=0)
    classifier.fit(X, y)
    before = classifier.byol_.encoder_.state_dict()
    names = changed(before, classifier.encoder_.state_dict())
    assert names
    assert all(name.startswith("network.stages") for name in names)
    assert classifier.frozen_layers_ == ["network.stem"]


def test_tuning_with_all_layers_frozen_learns_the_linear_layer(digits):
    X, y = digits
    classifier = BYOLClassifier(quick(), freeze="*", max_epochs=2, random_state=0)
    classifier.fit(X, y)
    before, after = classifier.byol_.encoder_, classifier.encoder_
    assert not changed(before.state_dict(), after.state_dict())
    assert len(classifier.history_["loss"]) == 2


def test_weights_that_are_computed_from_others_are_frozen_as_a_layer(digits, network):
    weight_norm(network[0][0])
    before = quick(encoder=network, max_epochs=0).fit(digits[0]).encoder_.state_dict()
    byol = quick(encoder=network, freeze=1).fit(digits[0])
    names = changed(before, byol.encoder_.state_dict())
    assert not any(name.startswith("network.0.0") for name in names)
    assert byol.frozen_layers_ == ["network.0.0"]


class Tied(nn.Module):
    """Two layers of the same weights."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)
        self.b.weight = self.a.weight
        self.last = nn.Conv2d(1, 16, 3)

    def forward(self, images):
        return self.last(self.b(self.a(images)))


@pytest.mark.parametrize("freeze", [2, -1, "b", "b.weight"])
def test_tied_weights_are_frozen_by_either_name(digits, freeze):
    before = quick(encoder=Tied(), max_epochs=0).fit(digits[0])
    byol = quick(encoder=before.encoder_.network, freeze=freeze).fit(digits[0])
    names = changed(before.encoder_.state_dict(), byol.encoder_.state_dict())
    assert "network.a.weight" not in names
    assert "network.last.weight" in names


@pytest.mark.parametrize("freeze", [[3], True, ["layer1", None]])
def test_what_is_no_name_is_refused(digits, no_training, freeze):
    with pytest.raises(TypeError, match="freeze must be a number of layers, the name"):
        quick(freeze=freeze).fit(digits[0])


@pytest.mark.parametrize("freeze", [2, -1, ["0", "3"], None])
def test_statistics_between_frozen_layers_stay(digits, freeze):
    layers = [nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8, affine=False), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Conv2d(8, 8, 3), nn.Conv2d(8, 16, 3))
    if freeze is None:
        network[:4].requires_grad_(False)
    before = quick(encoder=network, max_epochs=0).fit(digits[0]).encoder_.state_dict()
    byol = quick(encoder=network, freeze=freeze).fit(digits[0])
    names = changed(before, byol.encoder_.state_dict())
    assert {name.rpartition(".")[0] for name in names} == {"network.4"}


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_module_of_torchscript_is_refused(digits, no_training):
    network = torch.jit.trace(nn.Conv2d(1, 8, 3), torch.zeros(2, 1, 8, 8))
    with pytest.raises(TypeError, match="a module of TorchScript, of which no target"):
        quick(encoder=network).fit(digits[0])


class OwnsBuffers(nn.Module):
    """Has statistics of its own, and a norm without weights that is made first."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.first = nn.BatchNorm2d(8, affine=False)
        self.a, self.b = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, images):
        return self.first(self.norm(self.b(self.a(images - self.mean))))


@pytest.mark.parametrize("freeze", ["a", 1])
def test_a_module_with_buffers_is_not_frozen_for_them(digits, freeze):
    byol = quick(encoder=OwnsBuffers(), freeze=freeze, batch_size=50).fit(digits[0])
    assert byol.frozen_layers_ == ["network.a"]
    assert byol.encoder_.network.norm.num_batches_tracked == 8
    assert byol.encoder_.network.first.num_batches_tracked == 8
