import copy

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_byol import BYOLTransformer
from sklearn_byol.images._in_memory import Images
from sklearn_byol.networks._byol import BYOLNetwork
from sklearn_byol.networks._encoders import EncoderSpecification
from sklearn_byol.networks._readout import Readout
from sklearn_byol.objective import effective_rank, learning_rate_at, momentum_at
from sklearn_byol.training import _training
from sklearn_byol.training._batches import ViewBatches, one_ahead
from sklearn_byol.training._device import (
    draws_globally,
    resolve_device,
    resolve_precision,
    seeded_torch,
)
from sklearn_byol.training._loop import train_epoch, train_step
from sklearn_byol.training._optimizers import parameter_groups
from sklearn_byol.training._plan import Plan, count_batches, resolve_schedule
from sklearn_byol.training._run import run
from sklearn_byol.training._training import Training
from sklearn_byol.views._pair import views_for
from tests.conftest import quick

CPU = torch.device("cpu")


@pytest.fixture
def images():
    pixels = np.random.default_rng(0).random((10, 1, 8, 8))
    return Images(pixels, (0.0, 1.0))


SHAPE = (1, 8, 8)


def auto():
    """The encoder that "auto" builds for 8x8 gray images."""
    return EncoderSpecification("auto", SHAPE, [0.5], [0.5]).build()


def settings(*, lr=1e-3, weight_decay=0.1, momentum=0.9, warmup_epochs=0.0, **changes):
    values = {
        "representation_dim": 512,
        "projection_dim": 8,
        "hidden_dim": 16,
        "optimizer": "adamw",
        "batch_size": 5,
        "max_epochs": 2,
        "callbacks": (),
        "device": CPU,
        "precision": torch.float32,
        "seed": 0,
        "is_drawing": False,
        "verbose": 0,
    }
    values |= changes
    byol = BYOLTransformer(
        lr=lr,
        weight_decay=weight_decay,
        momentum=momentum,
        warmup_epochs=warmup_epochs,
        optimizer=values["optimizer"],
        batch_size=values["batch_size"],
    )
    schedule = resolve_schedule(byol, 10, values["max_epochs"], is_pretrained=False)
    return Plan(schedule=schedule, **values)


def plain_step(network, view_1, view_2, optimizer, lr, tau):
    """One step of Algorithm 1 written out, with the paper's formulas alone."""
    f, g, q = network.encoder, network.projector, network.predictor
    f_xi, g_xi = network.target

    def distance(prediction, projection):
        prediction = prediction / prediction.norm(dim=1, keepdim=True)
        projection = projection / projection.norm(dim=1, keepdim=True)
        return ((prediction - projection) ** 2).sum(dim=1).mean()

    q_1, q_2 = q(g(f(view_1))), q(g(f(view_2)))
    with torch.no_grad():
        z_1, z_2 = g_xi(f_xi(view_1)), g_xi(f_xi(view_2))
    loss = distance(q_1, z_2) + distance(q_2, z_1)
    optimizer.zero_grad()
    loss.backward()
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    online = [*f.parameters(), *g.parameters()]
    with torch.no_grad():
        for xi, theta in zip(network.target.parameters(), online, strict=True):
            xi.copy_(tau * xi + (1 - tau) * theta)
    return loss.item()


class Batches(list):
    """Pairs of views that are given."""

    weight = 1.0


def test_two_steps_equal_the_algorithm_written_out(images, generator):
    # Plain gradient descent, since Adam would blow up the rounding errors of gradients
    # that are zero, such as those of a bias in front of batch norm.
    views, _ = views_for("auto", SHAPE)
    plan = settings(optimizer=torch.optim.SGD, lr=1e-2, max_epochs=1)
    with seeded_torch(0):  # with one in a hundred first weights rounding errors grow
        encoder = auto()
    training = Training(encoder, images, views, plan)
    ours = training.net.module_
    theirs = copy.deepcopy(ours).train()
    batches = [
        tuple(torch.rand(2, 6, 1, 8, 8, generator=generator).unbind(0))
        for _ in range(2)
    ]
    training.batches = Batches(batches)
    train_epoch(training, train_step)
    decayed = [p for p in theirs.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in theirs.parameters() if p.requires_grad and p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others}], lr=0.0
    )
    losses = [
        plain_step(
            theirs,
            *batch,
            optimizer,
            learning_rate_at(step, 2, 0, 1e-2),
            momentum_at(step, 2, 0.9),
        )
        for step, batch in enumerate(batches)
    ]
    assert training.net.history[-1]["train_loss"] == pytest.approx(
        np.mean(losses), rel=1e-4
    )
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(
            ours.state_dict()[name], value, rtol=1e-4, atol=1e-5, msg=name
        )


def test_only_weights_decay():
    groups = parameter_groups(auto(), 0.1)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"])
    assert all(p.ndim == 1 for p in groups[1]["params"])
    n_parameters = len(list(auto().parameters()))
    assert sum(len(group["params"]) for group in groups) == n_parameters


def test_frozen_parameters_are_not_trained():
    module = nn.Linear(2, 2).requires_grad_(False)
    assert parameter_groups(module, 0.1) == []


@pytest.mark.parametrize(
    ("n_images", "batch_size", "expected"),
    [(2, 256, 1), (256, 256, 1), (257, 256, 2), (3, 2, 1), (21, 2, 10), (513, 256, 3)],
)
def test_batches_are_as_few_as_allowed(n_images, batch_size, expected):
    assert count_batches(n_images, batch_size) == expected


@pytest.mark.parametrize("n_images", [2, 3, 5, 9, 10])
@pytest.mark.parametrize("batch_size", [2, 3, 4, 100])
def test_batches_hold_every_image_once_and_never_one_alone(n_images, batch_size):
    pixels = np.arange(n_images, dtype=float).reshape(n_images, 1, 1, 1) / n_images
    views, _ = views_for("jitter", (1, 1, 1))
    views.laws = (lambda images, generator: images,) * 2
    plan = settings(batch_size=batch_size)
    batches = ViewBatches(Images(pixels, (0.0, 1.0)), views, plan)
    drawn = [view_1.flatten() for view_1, _ in batches]
    sizes = [len(batch) for batch in drawn]
    assert min(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    np.testing.assert_allclose(np.sort(torch.cat(drawn)), pixels.flatten(), rtol=1e-6)


def test_each_epoch_has_an_order_of_its_own(images):
    views, _ = views_for("jitter", (1, 8, 8))
    views.laws = (lambda images, generator: images,) * 2
    batches = ViewBatches(images, views, settings(batch_size=10))
    first, second = (
        {tuple(b.flatten(1).sum(1).tolist()) for b, _ in batches} for _ in range(2)
    )
    assert first == second  # one batch, whose order inside does not matter
    batches = ViewBatches(images, views, settings(batch_size=2))
    first, second = (
        {tuple(b.flatten(1).sum(1).tolist()) for b, _ in batches} for _ in range(2)
    )
    assert first != second


def test_training_leaves_torchs_random_state_alone(images):
    views, _ = views_for("auto", (1, 8, 8))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(Training(auto(), images, views, settings()))
    after = torch.get_rng_state()
    torch.manual_seed(3)
    auto()  # what the line above drew itself
    torch.testing.assert_close(torch.get_rng_state(), after)
    assert not torch.equal(before, after)


def test_history_has_a_number_an_epoch(images):
    views, _ = views_for("auto", (1, 8, 8))
    history = run(
        Training(auto(), images, views, settings(max_epochs=3, warmup_epochs=1.0))
    )
    assert {len(figures) for figures in history.values()} == {3}
    assert history["lr"][-1] == pytest.approx(learning_rate_at(5, 6, 2, 1e-3))
    assert history["momentum"][-1] == pytest.approx(momentum_at(5, 6, 0.9))
    assert min(history["images_per_second"]) > 0
    assert all(0 <= loss <= 8 for loss in history["loss"])


def test_effective_rank_is_of_the_last_batch_of_each_epoch(images):
    batches = []

    class Keep(Callback):
        def on_batch_end(self, net, **kw):
            batches.append(kw["projection"])

    views, _ = views_for("auto", (1, 8, 8))
    history = run(Training(auto(), images, views, settings(callbacks=[Keep()])))
    assert len(batches) == 4
    expected = [effective_rank(batches[i]).item() for i in (1, 3)]
    assert history["effective_rank"] == pytest.approx(expected, rel=1e-6)
    assert not any(batch.requires_grad for batch in batches)


def test_a_loss_that_is_not_finite_names_its_step(images):
    class Broken(nn.Module):
        """Returns NaN from the fourth pass on, which is the second step's first."""

        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(64, 4)
            self.n_passes = 0

        def forward(self, images):
            self.n_passes += 1
            return self.linear(images.flatten(1)) * (1 if self.n_passes < 3 else np.nan)

    views, _ = views_for("auto", (1, 8, 8))
    with pytest.raises(FloatingPointError, match=r"nan at step 1\. Try a lower lr"):
        run(Training(Broken(), images, views, settings(representation_dim=4)))


def test_weights_that_the_last_step_destroyed_are_an_error(images):
    views, _ = views_for("auto", (1, 8, 8))
    with pytest.raises(FloatingPointError, match="Weights of the encoder are infinite"):
        run(
            Training(
                auto(), images, views, settings(lr=1e39, batch_size=10, max_epochs=1)
            )
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": torch.bfloat16},
        {"precision": torch.float16},
        {"weight_decay": 50.0},
        {"momentum": 0.0},
        {"warmup_epochs": 2.0},
        {"lr": 1e-2},
        {"batch_size": 2},
        {"optimizer": "sgd"},
        {"optimizer": "lars"},
        {"optimizer": torch.optim.RMSprop},
    ],
)
def test_every_setting_reaches_the_training(images, changes):
    views, _ = views_for("auto", (1, 8, 8))
    weights = []
    for values in ({}, changes):
        with seeded_torch(0):
            encoder = auto()
        run(Training(encoder, images, views, settings(**values)))
        weights.append(torch.cat([p.flatten() for p in encoder.parameters()]))
    assert not torch.equal(*weights)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precision_is_what_was_asked_for(precision):
    assert resolve_precision(precision, CPU, SHAPE) == getattr(torch, precision)


def test_auto_precision_follows_the_processor(monkeypatch):
    for has_it in (True, False):
        monkeypatch.setattr(
            torch.cpu,
            "get_capabilities",
            lambda has_it=has_it: {"avx512_bf16": has_it},
            raising=False,
        )
        expected = torch.bfloat16 if has_it else torch.float32
        assert resolve_precision("auto", CPU, SHAPE) == expected
        assert resolve_precision("auto", CPU, (3, 7, 8)) == torch.float32


def test_a_device_that_torch_has_no_name_for_is_an_error():
    with pytest.raises(ValueError, match=r"device must be 'auto'.*Got 'gpu'"):
        resolve_device("gpu")


def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="device='cuda:99' is not there"):
        resolve_device("cuda:99")


def test_auto_takes_a_gpu_before_the_cpu(monkeypatch):
    assert resolve_device("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("auto") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == CPU


def test_inside_the_context_torch_is_seeded():
    with seeded_torch(5):
        inside = torch.rand(3)
    torch.testing.assert_close(
        inside, torch.rand(3, generator=torch.Generator().manual_seed(5))
    )


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)), True),
        (nn.MultiheadAttention(4, 1, dropout=0.1), True),
        (auto(), False),
    ],
)
def test_modules_that_draw_are_told_from_others(module, expected):
    assert draws_globally(module) == expected


def test_one_ahead_maps_in_order_and_runs_ahead():
    started, taken = [], []

    def double(number):
        started.append(number)
        return 2 * number

    for result in one_ahead(double, range(6)):
        taken.append(result)
        assert len(taken) <= len(started) <= len(taken) + 1
    assert taken == [0, 2, 4, 6, 8, 10]


def test_one_ahead_hands_on_what_was_raised():
    results = one_ahead(lambda number: 1 // number, [1, 0, 1])
    with pytest.raises(ZeroDivisionError):
        list(results)


def test_a_gpu_without_room_is_an_error_that_names_the_batch(images, monkeypatch):
    def fail(*args):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(BYOLNetwork, "forward", fail)
    views, _ = views_for("auto", (1, 8, 8))
    with pytest.raises(
        torch.OutOfMemoryError, match=r"no room for batches of 5 .*lower batch_size"
    ):
        run(Training(auto(), images, views, settings()))


@pytest.mark.parametrize(
    ("method", "advice"),
    [("fit", "room for batches of 64 "), ("transform", "room to represent .*cpu")],
)
def test_other_work_without_room_is_an_error_with_advice(
    method, advice, digits, monkeypatch
):
    def fail(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    byol = quick(batch_size=64)
    if method == "fit":
        monkeypatch.setattr(_training, "make_net", fail)
    else:
        byol.fit(digits[0])
        monkeypatch.setattr(Readout, "forward", fail)
    with pytest.raises(torch.OutOfMemoryError, match=advice):
        getattr(byol, method)(digits[0])


def test_epochs_are_logged(images, caplog):
    caplog.set_level("INFO", logger="sklearn_byol")
    views, _ = views_for("auto", (1, 8, 8))
    run(Training(auto(), images, views, settings()))
    assert [record.args["epoch"] for record in caplog.records] == [1, 2]
    assert "effective rank" in caplog.text


def test_looking_before_the_first_step_changes_nothing(images):
    views, _ = views_for("auto", (1, 8, 8))
    weights, epochs = [], []
    for is_pretrained in (False, True):
        with seeded_torch(0):
            encoder = auto()
        plan = settings(is_pretrained=is_pretrained)
        epochs.append(run(Training(encoder, images, views, plan))["epoch"])
        weights.append(torch.cat([v.flatten() for v in encoder.state_dict().values()]))
    assert epochs == [[1, 2], [0, 1, 2]]
    assert torch.equal(*weights)
