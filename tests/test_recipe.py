"""Optimizers, what "auto" takes, published recipes, and what is warned about."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_byol import BYOLTransformer, CollapseWarning, recipe
from sklearn_byol.objective import learning_rate_at
from sklearn_byol.training._optimizers import LARS, make_optimizer
from sklearn_byol.training._plan import resolve_schedule, warn_of_risks
from tests.conftest import quick


def schedule(optimizer="adamw", n_images=12_800, batch_size=128, epochs=10, **given):
    byol = BYOLTransformer(optimizer=optimizer, batch_size=batch_size, **given)
    return resolve_schedule(byol, n_images, epochs, is_pretrained=False)


def lars_by_hand(weight, gradients, lr, momentum, decay, coefficient, is_scaled):
    """You et al. 2017, algorithm 1, with the learning rate outside the running sum."""
    total = np.zeros_like(weight)
    for gradient in gradients:
        step = gradient + decay * weight
        if is_scaled:
            step *= coefficient * np.linalg.norm(weight) / np.linalg.norm(step)
        total = momentum * total + step
        weight = weight - lr * total
    return weight


@pytest.mark.parametrize("shape", [(3, 4), (5,), (2, 3, 3, 3)])
def test_lars_equals_its_formula_and_leaves_vectors_unscaled(shape):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=shape), rng.normal(size=(3, *shape))
    weight = nn.Parameter(torch.tensor(start))
    lars = LARS([weight], lr=0.5, momentum=0.8, weight_decay=0.1)
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        lars.step()
    expected = lars_by_hand(start, gradients, 0.5, 0.8, 0.1, 1e-3, len(shape) > 1)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-10)


def test_lars_does_not_divide_by_zero():
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    LARS([weight], lr=1.0).step()
    torch.testing.assert_close(weight.data, -torch.ones(2, 2))


def test_lars_skips_weights_without_gradient_and_calls_the_closure():
    weights = [nn.Parameter(torch.ones(2, 2)) for _ in range(2)]

    def closure():
        loss = weights[0].square().sum()
        loss.backward()
        return loss

    assert LARS(weights, lr=1.0).step(closure).item() == 4.0
    assert weights[0].data.ne(1).all()
    assert weights[1].data.eq(1).all()


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("sgd", torch.optim.SGD),
        ("lars", LARS),
        (torch.optim.RMSprop, torch.optim.RMSprop),
        (functools.partial(torch.optim.SGD, nesterov=True, momentum=0.5), None),
    ],
)
def test_optimizers_come_by_name_class_or_function(optimizer, kind):
    made = make_optimizer(optimizer, nn.Linear(2, 2), lr=0.1, weight_decay=0.2)
    assert isinstance(made, kind or torch.optim.SGD)
    assert [group["lr"] for group in made.param_groups] == [0.1, 0.1]
    assert [group["weight_decay"] for group in made.param_groups] == [0.2, 0.0]


def test_a_function_that_returns_no_optimizer_is_an_error(digits):
    with pytest.raises(TypeError, match=r"must return a torch\.optim\.Optimizer.*retu"):
        quick(optimizer=lambda groups, lr, weight_decay: 3, lr=0.1).fit(digits[0])


def test_auto_lr_of_a_class_is_an_error_before_training(digits):
    with pytest.raises(ValueError, match=r"lr='auto' is known for 'adamw', 'sgd', 'la"):
        quick(optimizer=torch.optim.RMSprop).fit(digits[0])


@pytest.mark.parametrize(("optimizer", "factor"), [("adamw", 2), ("sgd", 4)])
def test_auto_lr_follows_the_size_of_the_batch(optimizer, factor):
    small, large = (schedule(optimizer, batch_size=size).lr for size in (128, 512))
    assert large / small == pytest.approx(factor)


def test_auto_lr_counts_the_images_that_there_are():
    assert schedule(n_images=64).lr == schedule(n_images=64, batch_size=64).lr


def test_auto_momentum_follows_the_number_of_steps():
    assert schedule(epochs=1).momentum == pytest.approx(0.9)
    assert schedule(epochs=4).momentum == pytest.approx(0.95)
    assert schedule(epochs=100).momentum == pytest.approx(0.99)


def test_auto_warmup_is_a_tenth_and_ten_epochs_at_most():
    assert schedule(epochs=40).warmup_epochs == 4
    assert schedule(epochs=1000).warmup_epochs == 10
    assert schedule(epochs=40).n_warmup == 400


def test_numbers_are_taken_as_they_are():
    taken = schedule(lr=0.1, weight_decay=0.2, momentum=0.3, warmup_epochs=0.5)
    assert (taken.lr, taken.weight_decay, taken.momentum) == (0.1, 0.2, 0.3)
    assert taken.n_warmup == 50


def test_a_warm_up_longer_than_the_training_ends_one_step_before_it():
    taken = schedule(epochs=3, warmup_epochs=50)
    assert (taken.n_steps, taken.n_warmup) == (300, 299)
    rates = [learning_rate_at(i, 300, taken.n_warmup, 1.0) for i in range(300)]
    assert rates == sorted(rates)
    assert rates[-1] == 1


def test_sgd_has_the_momentum_of_the_published_recipes():
    made = make_optimizer("sgd", nn.Linear(2, 2), lr=0.1, weight_decay=0.2)
    assert [group["momentum"] for group in made.param_groups] == [0.9, 0.9]


def test_what_was_taken_is_fitted(digits):
    byol = quick(batch_size=100, max_epochs=2).fit(digits[0])
    assert byol.lr_ == pytest.approx(3e-3 * np.sqrt(100 / 128))
    assert byol.momentum_ == pytest.approx(0.9)
    assert byol.warmup_epochs_ == pytest.approx(0.2)
    assert byol.weight_decay_ == pytest.approx(1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_other_optimizers_learn(digits, optimizer):
    byol = quick(optimizer=optimizer, max_epochs=10, batch_size=50).fit(digits[0])
    assert byol.history_["loss"][-1] < byol.history_["loss"][0]


@pytest.mark.parametrize("name", ["paper", "cifar10"])
def test_a_recipe_trains(name, colour_images):
    given = recipe(name) | {
        "encoder": "auto",
        "hidden_dim": 32,
        "batch_size": 6,
        "lr": 0.01,
        "max_epochs": 1,
    }
    with pytest.warns(CollapseWarning, match="batch_size=6"):
        byol = quick(**given).fit(colour_images)
    assert byol.transform(colour_images).shape == (12, 96)


def test_the_papers_recipe_is_the_papers():
    byol = BYOLTransformer(**recipe("paper"))
    assert byol.lr == pytest.approx(0.2 * byol.batch_size / 256)
    assert (byol.hidden_dim, byol.momentum) == (4096, 0.996)
    assert byol.optimizer == "lars"


def test_changing_a_recipe_does_not_change_the_next():
    recipe("paper")["lr"] = 0
    assert recipe("paper")["lr"] == 3.2


def test_an_unknown_recipe_is_an_error():
    with pytest.raises(ValueError, match=r"one of 'paper', 'cifar10'\. Got 'imagenet'"):
        recipe("imagenet")


DEPTHWISE = nn.Sequential(nn.Conv2d(1, 8, 1), nn.Conv2d(8, 8, 3, groups=8))


@pytest.mark.parametrize(
    ("encoder", "optimizer", "lr", "batch_size", "message"),
    [
        (DEPTHWISE, "adamw", 1e-3, 128, "depthwise convolutions.*optimizer='lars'"),
        (DEPTHWISE, torch.optim.Adam, 1e-3, 128, "depthwise convolutions"),
        (DEPTHWISE, functools.partial(torch.optim.Adam), 1e-3, 128, "depthwise"),
        (nn.Conv2d(1, 8, 3), "adamw", 0.2, 128, "lr=0.2 is far above what Adam takes"),
        (nn.Conv2d(1, 8, 3), "lars", 0.2, 8, "batch_size=8 leaves batch norm"),
    ],
)
def test_risks_are_warned_about(encoder, optimizer, lr, batch_size, message):
    with pytest.warns(CollapseWarning, match=message):
        warn_of_risks(encoder, optimizer, lr, batch_size)


@pytest.mark.parametrize(
    ("encoder", "optimizer", "lr"),
    [
        (DEPTHWISE, "lars", 1.0),
        (nn.Conv2d(8, 8, 3, groups=2), "adamw", 3e-3),
        (nn.Conv2d(1, 1, 3), "sgd", 0.5),
    ],
)
def test_what_is_no_risk_is_not_warned_about(encoder, optimizer, lr):
    warn_of_risks(encoder, optimizer, lr, batch_size=16)


def test_risks_point_at_the_line_that_called_fit(colour_images):
    with pytest.warns(CollapseWarning, match="depthwise") as caught:
        quick(encoder="mobilenet_v3_small").fit(colour_images)
    assert caught[0].filename == __file__
