"""Arithmetic: float32 against double precision, bfloat16 against float32, extremes."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_byol import CollapseWarning
from sklearn_byol.networks._byol import BYOLNetwork
from sklearn_byol.objective import byol_loss, update_target
from tests.conftest import quick


def normalized(x, weight, bias):
    """Batch norm of rows by their own statistics, as in training."""
    mean = x.mean(dim=0)
    variance = ((x - mean) ** 2).mean(dim=0)
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def encode(p, images):
    """Linear, batch norm, ReLU."""
    rows = images.flatten(1) @ p["1.weight"].T + p["1.bias"]
    return normalized(rows, p["2.weight"], p["2.bias"]).clamp_min(0)


def head(p, rows):
    """Linear, batch norm, ReLU, Linear."""
    hidden = rows @ p["0.weight"].T + p["0.bias"]
    hidden = normalized(hidden, p["1.weight"], p["1.bias"]).clamp_min(0)
    return hidden @ p["3.weight"].T


def direction(q, z):
    q = q / (q**2).sum(dim=1, keepdim=True).sqrt()
    z = z / (z**2).sum(dim=1, keepdim=True).sqrt()
    return ((q - z) ** 2).sum(dim=1).mean()


def part(parameters, prefix):
    return {
        name.removeprefix(prefix): value
        for name, value in parameters.items()
        if name.startswith(prefix)
    }


def reference_step(network, view_1, view_2, lr, tau):
    """Algorithm 1 in double precision, from the paper's formulas and plain products."""
    values = {
        name: value.detach().double().requires_grad_(not name.startswith("target"))
        for name, value in network.named_parameters()
    }
    f, g, q = (part(values, name) for name in ("encoder.", "projector.", "predictor."))
    f_xi, g_xi = part(values, "target.0."), part(values, "target.1.")
    view_1, view_2 = view_1.double(), view_2.double()
    q_1, q_2 = (head(q, head(g, encode(f, view))) for view in (view_1, view_2))
    z_1, z_2 = (head(g_xi, encode(f_xi, view)) for view in (view_1, view_2))
    loss = direction(q_1, z_2.detach()) + direction(q_2, z_1.detach())
    online = {n: v for n, v in values.items() if v.requires_grad}
    gradients = torch.autograd.grad(loss, list(online.values()))
    moved = {
        name: (value - lr * gradient).detach()
        for (name, value), gradient in zip(online.items(), gradients, strict=True)
    }
    for name, value in values.items():
        if name.startswith("target.0."):
            theta = moved[name.replace("target.0.", "encoder.")]
        elif name.startswith("target.1."):
            theta = moved[name.replace("target.1.", "projector.")]
        else:
            continue
        moved[name] = tau * value + (1 - tau) * theta
    return loss.item(), moved


def our_step(network, view_1, view_2, lr, tau, dtype=torch.float32):
    """The same by the library's own parts."""
    optimizer = torch.optim.SGD(network.parameters(), lr=lr)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        out = network(view_1, view_2)
    loss = byol_loss(out.prediction_1, out.prediction_2, out.target_1, out.target_2)
    loss.backward()
    gradients = torch.cat([p.grad.flatten() for p in network.online_parameters()])
    optimizer.step()
    xi = list(network.target.parameters())
    update_target(xi, network.online_parameters(), tau)
    return loss.item(), gradients


@pytest.fixture
def step():
    """A small network in training, and two views of 32 images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU()
        )
        network = BYOLNetwork(encoder, 16, 32, 8).train()
        images = torch.rand(32, 1, 8, 8)
        views = images + 0.1 * torch.randn(2, 32, 1, 8, 8)
    return network, *views.unbind(0)


def test_a_step_in_float32_is_that_in_double_precision(step):
    network, *views = step
    expected_loss, expected = reference_step(network, *views, lr=0.1, tau=0.9)
    loss, _ = our_step(network, *views, lr=0.1, tau=0.9)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for name, value in network.named_parameters():
        torch.testing.assert_close(
            value.detach().double(), expected[name], rtol=1e-4, atol=1e-5, msg=name
        )


def test_bfloat16_is_within_a_hundredth_of_float32(step):
    """Eight bits of mantissa are 0.4 % a product; gradients point the same way."""
    network, *views = step
    loss, gradients = our_step(copy.deepcopy(network), *views, lr=0.1, tau=0.9)
    other, others = our_step(network, *views, 0.1, 0.9, torch.bfloat16)
    assert other == pytest.approx(loss, rel=0.01)
    cosine = torch.nn.functional.cosine_similarity(gradients, others, dim=0)
    assert cosine > 0.98


EXTREMES = {
    "black": np.zeros((8, 8, 8), np.uint8),
    "white": np.full((8, 8, 8), 255, np.uint8),
    "saturated": np.random.default_rng(0).choice([0, 255], (8, 8, 8)).astype(np.uint8),
    "very_dark": np.random.default_rng(0).integers(0, 2, (8, 8, 8), dtype=np.uint8),
    "tiny_floats": np.random.default_rng(0).random((8, 8, 8)) * 1e-30,
    "denormal_floats": np.random.default_rng(0).random((8, 8, 8)) * 1e-310,
    "huge_floats": np.random.default_rng(0).random((8, 8, 8)) * 1e37,
    "far_from_zero": 1e6 + np.random.default_rng(0).random((8, 8, 8)),
    "one_bright_pixel": np.eye(64)[:8].reshape(8, 8, 8) * 255.0,
    "equal_images": np.repeat(np.random.default_rng(0).random((1, 8, 8)), 8, axis=0),
}


@pytest.mark.filterwarnings("ignore::sklearn_byol.exceptions.CollapseWarning")
@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_images_give_finite_losses_and_representations(name):
    X = EXTREMES[name]
    byol = quick(hidden_dim=16, projection_dim=8, max_epochs=2).fit(X)
    assert np.isfinite(byol.history_["loss"]).all()
    assert np.isfinite(byol.transform(X)).all()


def test_a_constant_set_is_told_to_have_collapsed():
    with pytest.warns(CollapseWarning):
        quick(hidden_dim=16, projection_dim=8).fit(EXTREMES["black"])


@pytest.mark.parametrize("shape", [(1, 8), (2, 2), (7, 7), (7, 64)])
def test_bfloat16_of_fewer_than_8_pixels_is_an_error_before_training(
    shape, no_training
):
    X = np.random.default_rng(0).random((12, *shape))
    with pytest.raises(ValueError, match=r"='bfloat16' .* fewer than 8 pixels"):
        quick(precision="bfloat16").fit(X)
