"""The head of a classifier that a module still ends in is found, and nothing else."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torchvision import models

from sklearn_byol.exceptions import EncoderWarning
from sklearn_byol.networks._encoders import named_encoder, timm_encoder
from sklearn_byol.networks._heads import head_of, warn_of_head

SHAPE = (1, 8, 8)
slow = pytest.mark.slow


def trunk():
    """From images of 8x8 pixels to vectors of 4 values."""
    layers = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers)


def behind(*layers):
    """A network in which layers follow the head."""
    return nn.Sequential(trunk(), nn.Linear(4, 3), *layers)


class Classifier(nn.Module):
    """A network as it is written, with what is done to the outputs of its head."""

    def __init__(self, last=lambda outputs: outputs, n_classes=3):
        super().__init__()
        self.trunk, self.fc = trunk(), nn.Linear(4, n_classes)
        self.last = last

    def forward(self, images):
        return self.last(self.fc(self.trunk(images)))


class Residual(Classifier):
    """Adds what it had before."""

    def forward(self, images):
        rows = self.trunk(images)
        return rows[:, :3] + self.fc(rows)


class Squeezed(nn.Module):
    """Ends in the average of a convolution, as SqueezeNet does."""

    def __init__(self, name="classifier", size=1, last=nn.ReLU):
        super().__init__()
        self.name, self.features = name, nn.Conv2d(1, 4, 3, padding=1)
        conv = nn.Conv2d(4, 3, size, padding=size // 2)
        layers = nn.Dropout(), conv, last(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, images):
        return getattr(self, self.name)(self.features(images))


with torch.random.fork_rng():
    torch.manual_seed(0)  # some trunks of a few weights give nothing but zeros
    HEADS = {
        "linear": (behind(), "1"),
        "behind_it_nothing_happens": (
            behind(nn.Identity(), nn.Dropout(), nn.Flatten()),
            "1",
        ),
        "probabilities": (behind(nn.Softmax(1)), "1"),
        "logarithms": (behind(nn.LogSoftmax(1)), "1"),
        "of_several_labels": (behind(nn.Sigmoid()), "1"),
        "by_a_function": (Classifier(lambda rows: F.log_softmax(rows, dim=1)), "fc"),
        "of_one_number": (Classifier(n_classes=1), "fc"),
        "two_layers": (nn.Sequential(nn.Flatten(), nn.Linear(64, 4), behind()[1]), "2"),
        "parametrized": (
            nn.Sequential(trunk(), nn.Sequential(weight_norm(nn.Linear(4, 3)))),
            "1.0",
        ),
        "averaged": (Squeezed(), "classifier.1"),
        "averaged_as_it_is": (Squeezed("head", last=nn.Identity), "head.1"),
    }
    NO_HEADS = {
        "no_weights": nn.Flatten(),
        "only_a_linear": nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
        "maps": nn.Conv2d(1, 4, 3),
        "trunk": trunk(),
        "relu_behind": behind(nn.ReLU(inplace=True)),
        "tanh_behind": behind(nn.Tanh()),
        "norm_behind": behind(nn.BatchNorm1d(3)),
        "norm_without_weights_behind": behind(
            nn.LayerNorm(3, elementwise_affine=False)
        ),
        "relu_by_a_function": Classifier(F.relu),
        "one_number_and_relu": Classifier(F.relu, n_classes=1),
        "unit_length": Classifier(F.normalize),
        "residual": Residual(),
        "several_outputs": Classifier(lambda rows: (rows, rows)),
        "named_otherwise": Squeezed("features_2"),
        "larger_convolution": Squeezed(size=3),
        "averaged_behind_tanh": Squeezed(last=nn.Tanh),
    }


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_found(name):
    network, head = HEADS[name]
    found, layer = head_of(network, SHAPE)
    assert found == head
    assert layer is network.get_submodule(head)


@pytest.mark.parametrize("name", NO_HEADS)
def test_what_is_no_head_is_not_found(name):
    assert head_of(NO_HEADS[name], SHAPE) is None


def test_a_network_that_cannot_take_the_images_has_no_head():
    assert head_of(behind(), (3, 8, 8)) is None


def test_a_network_that_cannot_be_copied_has_no_head():
    class Fixed(nn.Linear):
        def __deepcopy__(self, memo):
            raise TypeError("It stays where it is.")

    assert head_of(nn.Sequential(trunk(), Fixed(4, 3)), SHAPE) is None


def test_looking_for_a_head_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), behind()[1:])
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    head_of(network, SHAPE)
    assert [part.training for part in network] == [True, False, True]
    assert all(
        torch.equal(value, before[name]) for name, value in network.state_dict().items()
    )
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_looking_for_a_head_draws_no_numbers_of_others():
    network = Classifier(lambda rows: rows + 0 * torch.rand_like(rows))
    before = torch.get_rng_state()
    assert head_of(network, SHAPE) is not None
    assert torch.equal(torch.get_rng_state(), before)


# Networks that are known by name

OF_TORCHVISION = [
    ("resnet18", 32, "fc"),
    ("squeezenet1_1", 32, "classifier.1"),
    ("mobilenet_v2", 32, "classifier.1"),
    ("mobilenet_v3_small", 32, "classifier.3"),
    ("shufflenet_v2_x0_5", 32, "fc"),
    ("mnasnet0_5", 32, "classifier.1"),
    ("regnet_y_400mf", 32, "fc"),
    pytest.param("densenet121", 32, "classifier", marks=slow),
    pytest.param("efficientnet_b0", 32, "classifier.1", marks=slow),
    pytest.param("googlenet", 32, "fc", marks=slow),
    pytest.param("vgg11", 32, "classifier.6", marks=slow),
    pytest.param("alexnet", 64, "classifier.6", marks=slow),
    pytest.param("convnext_tiny", 32, "classifier.2", marks=slow),
    pytest.param("vit_b_16", 32, "heads.head", marks=slow),
    pytest.param("swin_t", 32, "head", marks=slow),
    pytest.param("inception_v3", 80, "fc", marks=slow),
]
OF_TIMM = [
    ("resnet18", 32, "fc"),
    ("mobilenetv3_small_100", 32, "classifier"),
    ("convnext_atto", 32, "head.fc"),
    pytest.param("efficientnet_b0", 32, "classifier", marks=slow),
    pytest.param("vit_tiny_patch16_224", 224, "head", marks=slow),
    pytest.param("legacy_xception", 64, "fc", marks=slow),
    pytest.param("hgnet_tiny", 64, "head.fc", marks=slow),
    pytest.param("dm_nfnet_f0", 64, "head.fc", marks=slow),
]


def of_torchvision(name, side):
    options = {}
    if name in {"googlenet", "inception_v3"}:
        options = {"aux_logits": False, "init_weights": False}
    if name.startswith("vit_"):
        options = {"image_size": side}
    return models.get_model(name, weights=None, num_classes=10, **options)


@pytest.mark.parametrize(("name", "side", "head"), OF_TORCHVISION)
def test_the_head_of_a_network_of_torchvision_is_found(name, side, head):
    network = of_torchvision(name, side)
    assert head_of(network, (3, side, side))[0] == head


@pytest.mark.parametrize(("name", "side", "head"), OF_TORCHVISION)
def test_a_named_network_of_torchvision_has_no_head(name, side, head):
    shape = (3, side, side)
    assert head_of(named_encoder(name, shape), shape) is None


@pytest.mark.parametrize(("name", "side", "head"), OF_TIMM)
def test_the_head_of_a_network_of_timm_is_found(name, side, head):
    timm = pytest.importorskip("timm")
    network = timm.create_model(name, num_classes=10)
    assert head_of(network, (3, side, side))[0] == head


@pytest.mark.parametrize(("name", "side", "head"), OF_TIMM)
def test_a_named_network_of_timm_has_no_head(name, side, head):
    pytest.importorskip("timm")
    shape = (3, side, side)
    network = timm_encoder(f"timm/{name}", shape, keeps_map=False, keeps_stem=True)
    assert head_of(network, shape) is None


# What is said


def test_the_warning_names_the_head_and_the_way_out():
    words = (
        r"^encoder ends in fc, Linear\(in_features=4, out_features=3\), whose outputs "
        r"would be the representations\. .* take it off before: encoder\.fc = torch\.nn"
        r"\.Identity\(\)\. If it is meant, silence this by filtering sklearn_byol\.exc"
    )
    with pytest.warns(EncoderWarning, match=words):
        warn_of_head(Classifier(), SHAPE)


class Odd(Classifier):
    """Has a head that only its name leads to."""

    def __init__(self):
        super().__init__()
        del self.fc
        self.add_module("0", nn.Linear(4, 3))

    def forward(self, images):
        return self.get_submodule("0")(self.trunk(images))


@pytest.mark.parametrize(
    ("network", "code"),
    [
        (behind(), "encoder[1] = torch.nn.Identity()"),
        (Squeezed(), "encoder.classifier[1] = torch.nn.Identity()"),
        (Odd(), "encoder.set_submodule('0', torch.nn.Identity())"),
    ],
)
def test_the_code_of_the_warning_takes_the_head_off(network, code):
    with pytest.warns(EncoderWarning) as caught:
        warn_of_head(network, SHAPE)
    assert f"take it off before: {code}. If" in str(caught[0].message)
    exec(code, {"encoder": network, "torch": torch})
    assert head_of(network, SHAPE) is None


def test_a_network_without_a_head_is_no_warning():
    warn_of_head(trunk(), SHAPE)
