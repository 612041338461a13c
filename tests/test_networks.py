import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18

from sklearn_byol.networks._byol import BYOLNetwork, build_byol_network, mlp
from sklearn_byol.networks._encoders import (
    EncoderSpecification,
    Normalize,
    named_encoder,
    representation_dim,
)
from sklearn_byol.networks._readout import Readout, average_in_order

SIDES = {1: 64, 2: 64, 7: 64, 8: 512, 15: 512, 16: 864, 28: 864, 32: 864}
SIDES |= {33: 864, 64: 864, 65: 1728, 96: 1728, 224: 1728, 512: 1728}


def plain(encoder, shape, readout="auto"):
    """An encoder whose normalisation changes little."""
    statistics = [0.5] * shape[0]
    return EncoderSpecification(encoder, shape, statistics, statistics, readout).build()


@pytest.mark.parametrize(("side", "dim"), SIDES.items())
def test_auto_takes_every_side(side, dim):
    shape = (3, side, side)
    assert representation_dim(plain("auto", shape), shape) == dim


@pytest.mark.parametrize(("n_channels", "dim"), [(1, 1536), (2, 864), (4, 864)])
def test_readout_of_auto_is_finer_for_gray_images(n_channels, dim):
    shape = (n_channels, 28, 28)
    assert representation_dim(plain("auto", shape), shape) == dim


def test_readout_averages_over_the_cells_of_a_grid():
    encoder = plain("auto", (1, 8, 8), readout=2).eval()
    images = torch.rand(2, 1, 8, 8)
    maps = encoder.network(encoder.normalize(images))
    assert maps.shape == (2, 128, 2, 2)
    encoder.readout.n_cells = 1
    torch.testing.assert_close(encoder(images), maps.mean(dim=(2, 3)))
    four = Readout(2)(torch.arange(16.0).reshape(1, 1, 4, 4))
    torch.testing.assert_close(four, torch.tensor([[2.5, 4.5, 10.5, 12.5]]))


@pytest.mark.parametrize(
    ("name", "n_maps"),
    [
        ("auto", 96),
        ("resnet18", 512),
        ("densenet121", 1024),
        ("mobilenet_v2", 1280),
        ("mobilenet_v3_small", 576),
        ("shufflenet_v2_x0_5", 1024),
        ("squeezenet1_1", 512),
        ("regnet_y_400mf", 440),
        ("swin_t", 768),
        ("convnext_tiny", 768),
        ("vgg11", 512),
        ("timm/resnet10t", 512),
        ("timm/convnext_atto", 320),
    ],
)
def test_readout_lays_a_grid_on_the_last_feature_map(name, n_maps):
    shape = (3, 64, 64)
    assert representation_dim(plain(name, shape, readout=2), shape) == 4 * n_maps


@pytest.mark.parametrize(
    ("shape", "n_cells"), [((8, 8), 4), ((7, 5), 3), ((1, 4), 2), ((2, 2), 1)]
)
def test_averages_in_order_are_those_of_torch(shape, n_cells):
    maps = torch.rand(2, 3, *shape, dtype=torch.float64)
    expected = F.adaptive_avg_pool2d(maps, n_cells)
    torch.testing.assert_close(average_in_order(maps, n_cells), expected)


def test_the_global_average_is_the_mean_of_the_grid():
    shape = (3, 64, 64)
    theirs = named_encoder("resnet18", shape).eval()
    ours = plain("resnet18", shape, readout=2).eval()
    ours.network.load_state_dict(theirs.state_dict())
    image = torch.rand(1, *shape)
    cells = ours.network(image).reshape(1, 512, 4)
    torch.testing.assert_close(cells.mean(2), theirs(image), rtol=1e-4, atol=1e-5)


def test_readout_keeps_vectors_as_they_are():
    vectors = torch.rand(2, 3)
    assert Readout(1)(vectors) is vectors


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_b_32", "readout=2 needs a network that ends in a global average; Vision"),
        ("timm/vit_tiny_patch16_224", "readout=2 needs an encoder that returns featur"),
        (nn.Flatten(), "readout=2 needs an encoder that returns feature maps"),
        (nn.Conv2d(3, 4, 32, 32), "needs a last feature map of 2x2 or more; it is 1x1"),
    ],
)
def test_a_grid_that_cannot_be_laid_is_an_error(name, message):
    shape = (3, 32, 32)
    with pytest.raises(ValueError, match=message):
        representation_dim(plain(name, shape, readout=2), shape)


@pytest.mark.parametrize(
    ("name", "dim"),
    [
        ("timm/resnet10t", 512),
        ("timm/vit_tiny_patch16_224", 192),
        ("timm/efficientnet_b0", 1280),
        ("timm/mobilenetv3_small_050", 1024),
    ],
)
@pytest.mark.parametrize("n_channels", [1, 3])
def test_timm_builds_by_name_for_small_images(name, dim, n_channels):
    shape = (n_channels, 32, 32)
    assert representation_dim(plain(name, shape), shape) == dim


def test_an_unknown_name_of_timm_is_an_error_that_suggests_others():
    with pytest.raises(ValueError, match=r"not a network of timm.*'timm/resnet18'"):
        plain("timm/resnet81", (3, 32, 32))


def test_a_size_that_timm_cannot_build_for_is_an_error():
    with pytest.raises(ValueError, match="cannot be built for 20x20 pixels"):
        plain("timm/maxvit_rmlp_pico_rw_256", (3, 20, 20))


def test_without_timm_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn-byol\[timm\]'"):
        plain("timm/resnet18", (3, 32, 32))


@pytest.mark.parametrize("n_channels", [1, 3, 4, 12])
@pytest.mark.parametrize("name", ["auto", "resnet18", "mobilenet_v3_small"])
def test_first_convolution_takes_any_number_of_channels(name, n_channels):
    shape = (n_channels, 32, 32)
    encoder = plain(name, shape)
    assert encoder(torch.rand(2, *shape)).ndim == 2


@pytest.mark.parametrize(
    ("height", "width", "dim"),
    [(1, 10, 64), (16, 32, 1536), (16, 40, 384), (20, 100, 768), (300, 17, 768)],
)
def test_auto_takes_images_that_are_not_square(height, width, dim):
    shape = (1, height, width)
    assert representation_dim(plain("auto", shape), shape) == dim


def test_a_block_whose_residual_is_nothing_is_its_shortcut():
    encoder = plain("auto", (3, 32, 32))
    block = next(m for m in encoder.modules() if type(m).__name__ == "ResidualBlock")
    nn.init.zeros_(block.eval().norm2.weight)
    maps = torch.randn(2, block.conv1.in_channels, 6, 6)
    torch.testing.assert_close(block(maps), block.shortcut(maps).relu())


def test_neck_of_auto_belongs_to_the_projector_alone():
    encoder = plain("auto", (1, 16, 16))
    network = build_byol_network(encoder, 1536, 32, 8)
    trained = {id(weight) for weight in network.encoder.parameters()}
    assert trained == {id(weight) for weight in encoder.parameters()}
    assert network.projector[0][0].conv1.weight.shape == (96, 96, 3, 3)
    assert network(*torch.rand(2, 4, 1, 16, 16)).prediction_1.shape == (4, 8)


def test_readout_of_auto_does_not_change_its_training():
    images = torch.rand(4, 1, 16, 16)
    losses = []
    for readout in (1, 4):
        torch.manual_seed(0)
        encoder = plain("auto", (1, 16, 16), readout)
        dim = representation_dim(encoder, (1, 16, 16))
        network = build_byol_network(encoder, dim, 32, 8)
        losses.append(network(images, images.flip(3)).prediction_1)
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize(
    ("name", "dim"),
    [
        ("resnet18", 512),
        ("mobilenet_v3_small", 1024),
        ("squeezenet1_1", 512),
        ("densenet121", 1024),
        ("shufflenet_v2_x0_5", 1024),
        ("swin_t", 768),
        ("vit_b_32", 768),
        ("googlenet", 1024),
    ],
)
def test_the_classification_head_is_removed(name, dim):
    shape = (3, 32, 32)
    assert representation_dim(named_encoder(name, shape), shape) == dim


def test_resnet_at_224_pixels_is_torchvisions_own():
    ours = named_encoder("resnet18", (3, 224, 224))
    theirs = resnet18()
    theirs.fc = nn.Identity()
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(ours.eval()(image), theirs.eval()(image))


@pytest.mark.parametrize(
    ("side", "map_side"), [(8, 1), (32, 4), (64, 4), (96, 3), (224, 7)]
)
def test_small_images_keep_their_side_through_the_stem(side, map_side):
    encoder = named_encoder("resnet18", (3, side, side))
    sides = []
    encoder.layer4.register_forward_hook(lambda m, i, out: sides.append(out.shape[-1]))
    encoder(torch.rand(2, 3, side, side))
    assert sides == [map_side]


@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")  # torchvision 0.20
def test_maxvit_learns_the_size_of_the_image():
    shape = (3, 224, 224)
    assert representation_dim(named_encoder("maxvit_t", shape), shape) == 512


def test_an_unknown_name_is_an_error_that_suggests_others():
    with pytest.raises(ValueError, match=r"encoder='resnet81' is neither.*'resnet18'"):
        named_encoder("resnet81", (3, 32, 32))


def test_a_network_that_cannot_be_built_for_the_size_says_so():
    with pytest.raises(ValueError, match="'maxvit_t' cannot be built for 32x32 pixels"):
        named_encoder("maxvit_t", (3, 32, 32))


def test_a_network_that_cannot_take_the_size_says_so():
    encoder = named_encoder("alexnet", (3, 32, 32))
    with pytest.raises(ValueError, match="cannot take float32 images of shape 3 x 32"):
        representation_dim(encoder, (3, 32, 32))


def test_an_encoder_that_returns_maps_is_averaged():
    encoder = plain(nn.Conv2d(1, 4, 3, padding=1), (1, 8, 8))
    assert representation_dim(encoder, (1, 8, 8)) == 4


def test_an_encoder_that_returns_sequences_is_an_error():
    with pytest.raises(ValueError, match=r"one vector per image.*\(2, 1, 64\)"):
        representation_dim(nn.Flatten(2), (1, 8, 8))


def test_an_encoder_that_returns_no_tensor_is_an_error():
    class Pair(nn.Module):
        def forward(self, images):
            return images, images

    with pytest.raises(ValueError, match="it returned 'tuple'"):
        representation_dim(Pair(), (1, 8, 8))


def test_an_encoder_that_returns_more_in_training_is_an_error():
    class Auxiliary(nn.Module):
        def forward(self, images):
            rows = images.flatten(1)
            return (rows, rows) if self.training else rows

    with pytest.raises(ValueError, match="it returned 'tuple'"):
        representation_dim(Auxiliary(), (1, 8, 8))


def test_an_encoder_that_changes_its_shape_in_training_is_an_error():
    class Changing(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, : 8 if self.training else 4]

    with pytest.raises(ValueError, match=r"\(2, 8\) and \(2, 4\)"):
        representation_dim(Changing(), (1, 8, 8))


@pytest.mark.parametrize("size", [(28, 28), (32, 64)])
def test_a_vit_says_which_sizes_it_cannot_take(size):
    def build_and_try(shape):
        return representation_dim(named_encoder("vit_b_32", shape), shape)

    with pytest.raises(ValueError, match=r"Choose (another|an) encoder"):
        build_and_try((3, *size))


def test_a_function_that_returns_no_module_is_an_error():
    with pytest.raises(TypeError, match=r"must return a torch.nn.Module.*returned 3"):
        plain(lambda: 3, (1, 8, 8))


def test_trying_an_encoder_leaves_it_as_it_was():
    encoder = plain("auto", (1, 8, 8))
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    representation_dim(encoder, (1, 8, 8))
    assert encoder.training
    assert all(torch.equal(before[k], v) for k, v in encoder.state_dict().items())


def test_a_module_is_copied_not_shared():
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
    encoder = plain(module, (1, 8, 8))
    nn.init.zeros_(encoder.network[1].weight)
    assert module[1].weight.abs().sum() > 0


def test_normalize_gives_mean_zero_and_standard_deviation_one(generator):
    images = torch.rand(50, 2, 9, 9, generator=generator)
    mean = images.mean(dim=(0, 2, 3)).tolist()
    std = images.std(dim=(0, 2, 3)).tolist()
    normalised = Normalize(mean, std)(images)
    torch.testing.assert_close(
        normalised.mean(dim=(0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        normalised.std(dim=(0, 2, 3)), torch.ones(2), atol=1e-4, rtol=0
    )


def test_a_constant_channel_stays_finite():
    assert Normalize([0.3], [0.0])(torch.full((1, 1, 2, 2), 0.3)).abs().max() == 0


def test_head_is_linear_norm_relu_linear_without_last_bias():
    head = mlp(3, 5, 2)
    assert [type(layer) for layer in head] == [
        nn.Linear,
        nn.BatchNorm1d,
        nn.ReLU,
        nn.Linear,
    ]
    assert head[0].bias is not None
    assert head[3].bias is None


@pytest.fixture
def network():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.BatchNorm1d(6))
    return BYOLNetwork(encoder, 6, 10, 4)


def test_the_target_starts_as_a_copy_without_gradient(network):
    theta, xi = network.online_parameters(), list(network.target.parameters())
    assert len(theta) == len(xi)
    assert all(torch.equal(a, b) for a, b in zip(theta, xi, strict=True))
    assert not any(parameter.requires_grad for parameter in xi)


def test_each_view_has_its_own_batch_statistics(network):
    view_1 = torch.rand(8, 1, 4, 4)
    dark, bright = network(view_1, 0.1 * view_1), network(view_1, 0.9 * view_1)
    torch.testing.assert_close(dark.prediction_1, bright.prediction_1)
    torch.testing.assert_close(dark.target_1, bright.target_1)


def test_target_projections_carry_no_gradient(network):
    output = network(torch.rand(4, 1, 4, 4), torch.rand(4, 1, 4, 4))
    assert output.prediction_1.requires_grad
    assert not output.target_1.requires_grad
    assert not output.target_2.requires_grad
