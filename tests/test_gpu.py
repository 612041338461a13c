"""What takes a GPU to see: its views, weights and files are those of the CPU."""

import gc
import os
import pickle
import warnings
from contextlib import nullcontext
from itertools import product

# Before CUDA starts: deterministic algorithms want it.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import joblib
import matplotlib as mpl
import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from sklearn_byol import BYOLClassifier, RandomViews, ViewsWarning
from sklearn_byol.callbacks import ProbeCallback
from sklearn_byol.images import _cache
from sklearn_byol.images._in_memory import Images
from sklearn_byol.inspection import OcclusionDisplay, ViewsDisplay
from sklearn_byol.metrics import (
    alignment_scorer,
    effective_rank,
    knn_accuracy,
    uniformity_scorer,
)
from sklearn_byol.networks._readout import CellAverage
from sklearn_byol.training import _recorded, _run
from sklearn_byol.training._loop import train_step
from sklearn_byol.training._training import Training
from sklearn_byol.views import _colour, _geometry
from sklearn_byol.views._pair import views_for
from sklearn_byol.views._presets import PRESETS
from tests.conftest import Pairs, quick, small_network
from tests.test_checkpoints import assert_same, cut_off_and_go_on, dropping, noisy

pytestmark = pytest.mark.gpu
mpl.use("agg")

DEVICE = "cuda"
GPU = torch.device(DEVICE)


def gpu(**parameters):
    """A transformer that is trained in a moment on the GPU."""
    sizes = {"hidden_dim": 32, "projection_dim": 16, "batch_size": 16}
    return quick(**{"device": DEVICE, **sizes, **parameters})


class Steps(Callback):
    """Collects the loss of each step."""

    def __init__(self, losses):
        self.losses = losses

    def on_batch_end(self, net, loss=None, **kw):
        self.losses.append(loss.item())


class Types(Callback):
    """Collects the type of what the predictor returns."""

    def __init__(self, found):
        self.found = found

    def on_batch_end(self, net, y_pred=None, **kw):
        self.found.append(y_pred.dtype)


class CutAtTheEnd(Callback):
    """Ends a training between the last step of an epoch and its row."""

    def on_epoch_end(self, net, **kw):
        raise ConnectionError("power cut")


def losses_of(X, **parameters):
    """The loss of each step of a training."""
    losses = []
    gpu(callbacks=[Steps(losses)], **parameters).fit(X)
    return np.array(losses)


def assert_near(rows, others):
    """Convolutions of a GPU have ten bits of each product, unless told otherwise."""
    lengths = np.linalg.norm(rows, axis=1), np.linalg.norm(others, axis=1)
    cosines = (rows * others).sum(axis=1) / (lengths[0] * lengths[1])
    assert cosines.min() > 0.999
    np.testing.assert_allclose(*lengths, rtol=1e-2)


def copied(estimator):
    return pickle.loads(pickle.dumps(estimator))


@pytest.fixture(scope="module")
def colours():
    """64 RGB images of 32x32 pixels, of blocks of one colour."""
    blocks = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), dtype=np.uint8)
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture(scope="module")
def trained(colours):
    """A transformer that the GPU has trained; tests do not change it."""
    return gpu(max_epochs=2).fit(colours)


@pytest.fixture
def same_draws(monkeypatch):
    """Let views be drawn on the CPU, the same for each device."""
    twins = {}

    def uniform(shape, low, high, generator):
        if id(generator) not in twins:
            twin = torch.Generator().manual_seed(generator.initial_seed())
            twins[id(generator)] = generator, twin
        draws = torch.rand(shape, generator=twins[id(generator)][1])
        return draws.mul_(high - low).add_(low).to(generator.device)

    for module in (_geometry, _colour):
        monkeypatch.setattr(module, "uniform", uniform)


@pytest.fixture
def _deterministic():
    """Have torch compute the same bits each time, or raise."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


# Views


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_views_are_those_of_the_cpu_for_the_same_draws(same_draws, name, n_channels):
    shape = (n_channels, 48, 56)
    images = torch.rand(16, *shape, generator=torch.Generator().manual_seed(0))
    views = RandomViews(name)
    if views.resolve(shape).blur[1] % 1:  # of some: a GPU draws for all of them
        views = RandomViews(name, blur=1.0)
    pair, _ = views_for(views, shape)
    on_cpu, on_gpu = (
        pair(images.to(device), torch.Generator(device).manual_seed(1))
        for device in ("cpu", DEVICE)
    )
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert other.device.type == GPU.type
        torch.testing.assert_close(other.cpu(), one, atol=2e-3, rtol=0)


def test_a_gpu_draws_the_same_views_for_the_same_seed(trained, colours):
    images = torch.rand(8, 3, 40, 40, device=GPU)
    byol, again, other = (
        RandomViews("byol", random_state=seed).sample(images) for seed in (0, 0, 1)
    )
    assert torch.equal(byol[0], again[0])
    assert torch.equal(byol[1], again[1])
    assert not torch.equal(byol[0], other[0])
    views = trained.sample_views(colours, random_state=0)
    assert torch.equal(views[1], trained.sample_views(colours, random_state=0)[1])
    assert views[1].device.type == GPU.type


# Trainings


@pytest.mark.parametrize("name", [DEVICE, f"{DEVICE}:0", "auto"])
def test_a_gpu_is_taken_by_its_names(name, colours):
    byol = gpu(device=name).fit(colours)
    for tensor in byol.encoder_.state_dict().values():
        assert tensor.device.type == GPU.type
        assert tensor.isfinite().all()
    assert np.isfinite(list(byol.history_.values())).all()
    assert np.isfinite(byol.transform(colours)).all()


def test_a_gpu_represents_as_the_cpu_does(trained, colours):
    on_cpu = copied(trained).set_params(device="cpu")
    assert_near(trained.transform(colours), on_cpu.transform(colours))
    assert on_cpu.encoder_.normalize.mean.device.type == "cpu"


def test_a_model_goes_between_devices(trained, colours):
    byol = copied(trained)
    rows = [
        byol.set_params(device=device).transform(colours)
        for device in (DEVICE, "cpu", DEVICE)
    ]
    assert_near(rows[0], rows[1])
    np.testing.assert_allclose(rows[0], rows[2], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("kind", ["rows", "colours"])
def test_the_first_losses_are_those_of_the_cpu(same_draws, kind, digits, colours):
    X = digits[0][:64] if kind == "rows" else colours
    on_cpu, on_gpu = (
        losses_of(X, device=device, precision="float32") for device in ("cpu", DEVICE)
    )
    assert len(on_gpu) == 4
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=2e-2)


@pytest.mark.parametrize("precision", ["bfloat16", "auto"])
def test_bfloat16_has_the_losses_of_float32(precision, colours):
    single = losses_of(colours, precision="float32")
    half = losses_of(colours, precision=precision)
    np.testing.assert_allclose(half, single, rtol=5e-2)


def test_float16_learns_what_float32_does(colours):
    """From the same first loss; it may leave steps out at first."""
    single = losses_of(colours, precision="float32", max_epochs=12)
    half = losses_of(colours, precision="float16", max_epochs=12)
    assert half[0] == pytest.approx(single[0], rel=2e-2)
    assert half[-8:].mean() == pytest.approx(single[-8:].mean(), rel=0.1)


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("auto", torch.bfloat16),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
        ("float32", torch.float32),
    ],
)
def test_products_have_the_precision(precision, expected, colours):
    found = []
    gpu(precision=precision, callbacks=[Types(found)]).fit(colours)
    assert set(found) == {expected}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lars"])
def test_every_optimizer_trains(optimizer, colours):
    losses = losses_of(colours, optimizer=optimizer, max_epochs=8)
    assert np.isfinite(losses).all()
    assert losses[-4:].mean() < losses[:4].mean()


@pytest.mark.parametrize(
    ("encoder", "n_dims"),
    [("resnet18", 512), (small_network(), 4), (small_network, 4)],
    ids=["name", "module", "function"],
)
def test_any_encoder_is_trained(encoder, n_dims, colours):
    X = colours if isinstance(encoder, str) else colours[..., 0]
    byol = gpu(encoder=encoder, precision="bfloat16").fit(X)
    rows = byol.transform(X)
    assert rows.shape == (64, n_dims)
    assert_near(rows, copied(byol).set_params(device="cpu").transform(X))


def test_an_encoder_that_is_on_the_gpu_is_copied(trained, colours):
    before = trained.encoder_.state_dict()["network.stem.0.weight"].clone()
    byol = gpu(encoder=trained.encoder_).fit(colours)
    assert byol.history_["epoch"] == [0, 1]
    after = trained.encoder_.state_dict()["network.stem.0.weight"]
    assert torch.equal(before, after)
    assert after.device.type == GPU.type


def test_a_function_draws_views(colours):
    byol = gpu(views=noisy).fit(colours)
    assert np.isfinite(byol.history_["loss"]).all()


def test_transforms_of_torchvision_draw_views(colours):
    flip = v2.Compose([v2.RandomHorizontalFlip(), v2.ColorJitter(0.4, 0.4)])
    with pytest.warns(ViewsWarning, match="one image at a time"):
        byol = gpu(views=flip).fit(colours)
    assert np.isfinite(byol.history_["loss"]).all()


# Random states


def global_states():
    return torch.get_rng_state(), torch.cuda.get_rng_state()


@pytest.mark.usefixtures("_deterministic")
@pytest.mark.parametrize(
    "parameters",
    [{"encoder": dropping}, {"views": noisy}, {}],
    ids=["dropout", "views", "neither"],
)
def test_random_state_is_all_that_draws(digits, parameters):
    losses = []
    for seed in (1, 2):
        torch.cuda.manual_seed(seed)
        before = global_states()
        losses.append(losses_of(digits[0], max_epochs=2, **parameters))
        assert all(map(torch.equal, before, global_states()))
    np.testing.assert_array_equal(*losses)
    assert (losses_of(digits[0], random_state=1, **parameters) != losses[0][:13]).all()


# Deterministic algorithms


@pytest.mark.parametrize(
    ("shape", "n_cells"), [((8, 8), 4), ((7, 5), 3), ((1, 4), 2), ((2, 2), 2)]
)
@pytest.mark.usefixtures("_deterministic")
def test_averages_over_cells_are_those_of_the_cpu(shape, n_cells):
    maps = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(2, 3, n_cells, n_cells)
    found = []
    for device in ("cpu", DEVICE):
        on_device = maps.clone().to(device).requires_grad_()
        averages = CellAverage(n_cells)(on_device)
        (averages * weights.to(device)).sum().backward()
        found.append((averages.detach().cpu(), on_device.grad.cpu()))
    torch.testing.assert_close(*found)


@pytest.mark.usefixtures("_deterministic")
@pytest.mark.parametrize(
    ("encoder", "side"),
    [("auto", 8), ("auto", 32), ("auto", 48), ("auto", 96), ("resnet18", 96)],
)
def test_two_trainings_give_the_same_bits(encoder, side):
    shape = (32, side, side, 3)
    X = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    one, other = (gpu(encoder=encoder, views="byol").fit(X) for _ in range(2))
    assert_same(one, other)
    np.testing.assert_array_equal(one.transform(X), other.transform(X))


@pytest.mark.usefixtures("_deterministic")
@pytest.mark.parametrize("step", [1, 4, 11])
def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(
    colours, tmp_path, step
):
    settings = {"max_epochs": 3, "hidden_dim": 32, "batch_size": 16, "device": DEVICE}
    whole = quick(**settings).fit(colours)
    kept = {"checkpoint": tmp_path, "checkpoint_minutes": 0}
    assert_same(whole, cut_off_and_go_on(colours, step, **settings, **kept))


@pytest.mark.usefixtures("_deterministic")
@pytest.mark.parametrize(
    "parameters",
    [
        {"encoder": dropping},
        {"views": noisy},
        {"optimizer": "lars"},
        {"optimizer": "sgd"},
        {"precision": "float32"},
        {"precision": "float16"},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
def test_every_random_state_and_optimizer_goes_on(digits, tmp_path, parameters):
    X, _ = digits
    settings = {"max_epochs": 2, "batch_size": 50, "device": DEVICE, **parameters}
    whole = quick(**settings).fit(X)
    kept = {"checkpoint": tmp_path, "checkpoint_minutes": 0}
    assert_same(whole, cut_off_and_go_on(X, 6, **settings, **kept))


@pytest.mark.usefixtures("_deterministic")
def test_an_epoch_of_which_only_the_row_was_lost_has_the_same_row(colours, tmp_path):
    kept = {"checkpoint": tmp_path, "checkpoint_minutes": 0}
    with pytest.raises(ConnectionError):
        gpu(**kept, callbacks=[CutAtTheEnd()]).fit(colours)
    assert_same(gpu(**kept).fit(colours), gpu().fit(colours))


@pytest.mark.usefixtures("_deterministic")
def test_passes_go_on_after_loading_as_without(colours):
    one, other = gpu().partial_fit(colours), gpu().partial_fit(colours)
    other = copied(other)
    assert_same(one.partial_fit(colours), other.partial_fit(colours))
    assert one.n_iter_ == 2


# What is gone on with, and saved


def test_warm_start_trains_up_to_max_epochs_in_all(colours):
    byol = gpu(warm_start=True).fit(colours)
    first = byol.history_["loss"]
    byol = copied(byol).set_params(max_epochs=3).fit(colours)
    assert byol.history_["loss"][:1] == first
    assert byol.n_iter_ == 3
    byol.set_params(warm_start=False).fit(colours)
    assert byol.history_["loss"][0] == pytest.approx(first[0], rel=2e-2)


@pytest.mark.parametrize("devices", [(DEVICE, "cpu"), ("cpu", DEVICE)])
def test_a_training_goes_on_where_there_is_another_device(devices, digits, tmp_path):
    X, _ = digits
    kept = {"warm_start": True, "batch_size": 50, "encoder": dropping}
    byol = quick(device=devices[0], checkpoint=tmp_path, **kept).fit(X)
    moved = copied(byol).set_params(device=devices[1], max_epochs=2, checkpoint=None)
    assert moved.fit(X).n_iter_ == 2
    assert moved.history_["loss"][0] == byol.history_["loss"][0]
    files = quick(device=devices[1], checkpoint=tmp_path, max_epochs=2, **kept)
    assert files.fit(X).history_["loss"][0] == byol.history_["loss"][0]


def test_what_is_saved_is_read_for_any_device(trained, colours, tmp_path):
    joblib.dump(copied(trained).set_params(device="auto"), tmp_path / "byol.joblib")
    loaded = joblib.load(tmp_path / "byol.joblib")
    assert loaded.encoder_.normalize.mean.device.type == "cpu"
    assert_near(loaded.transform(colours), trained.transform(colours))
    assert loaded.encoder_.normalize.mean.device.type == GPU.type


def test_safetensors_hold_the_same_encoder(trained, colours, tmp_path):
    trained.to_safetensors(tmp_path / "encoder.safetensors")
    byol = gpu(weights=tmp_path / "encoder.safetensors", max_epochs=0).fit(colours)
    assert_near(byol.transform(colours), trained.transform(colours))


# The classifier


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_classifier_is_tuned_on_the_gpu(early_stopping, digits):
    X, y = digits
    few = np.where(np.arange(len(y)) < 100, y, -1)
    options = {"early_stopping": early_stopping, "validation_fraction": 0.2}
    before = global_states()
    classifier = BYOLClassifier(gpu(), max_epochs=3, random_state=0, **options)
    classifier.fit(X, few)
    assert all(map(torch.equal, before, global_states()))
    assert np.isfinite(list(classifier.history_.values())).all()
    assert classifier.encoder_.normalize.mean.device.type == GPU.type
    on_cpu = copied(classifier)
    on_cpu.byol_.set_params(device="cpu")
    probabilities = classifier.predict_proba(X)
    np.testing.assert_allclose(on_cpu.predict_proba(X), probabilities, atol=5e-2)
    assert (probabilities.argmax(axis=1) == y)[:100].mean() > 0.5


# Images that are not on the GPU


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_images_on_the_gpu_are_those_in_memory(colours, dtype):
    pixels = colours.transpose(0, 3, 1, 2).astype(dtype)
    images, kept = (Images(pixels, (0.0, 255.0)) for _ in range(2))
    kept.keep_on(GPU)
    for index in (np.array([3, 1, 1]), slice(2, 5)):
        assert kept[index].device.type == GPU.type
        torch.testing.assert_close(kept[index].cpu(), images[index])


@pytest.mark.parametrize("kind", ["folder", "paths", "dataset"])
def test_images_that_are_decoded_again_and_again_train(
    kind, folder, paths, pixels, monkeypatch
):
    dataset = Pairs([image.transpose(2, 0, 1) for image in pixels])
    X = {"folder": folder, "paths": paths, "dataset": dataset}[kind]
    expected = gpu(random_state=0).fit(X)
    monkeypatch.setattr(_cache, "MEMORY_SHARE", 0)
    byol = gpu(random_state=0).fit(X)
    assert byol.history_["loss"] == pytest.approx(expected.history_["loss"], rel=2e-2)
    rows = byol.transform(X)
    assert_near(rows, copied(byol).set_params(device="cpu").transform(X))


def test_images_of_both_kinds_train_together(pixels, paths, monkeypatch):
    expected = gpu().fit(pixels, X_unlabeled=pixels[:6])
    monkeypatch.setattr(_cache, "MEMORY_SHARE", 0)
    order = [int(path.rsplit("/", 1)[1].partition(".")[0]) for path in paths[:6]]
    assert order == list(range(6))
    byol = gpu().fit(pixels, X_unlabeled=paths[:6])
    assert byol.history_["loss"] == pytest.approx(expected.history_["loss"], rel=2e-2)


@pytest.mark.usefixtures("_deterministic")
def test_images_that_find_no_room_train_the_same(colours, monkeypatch):
    expected = losses_of(colours, precision="float32")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 1))
    losses = losses_of(colours, precision="float32")
    np.testing.assert_allclose(losses, expected, rtol=2e-2)


# Recorded steps


@pytest.fixture
def recordings(monkeypatch):
    """Count what is recorded."""
    found = []
    usual = _recorded.GraphMemory.record

    def record(self, function, inputs, generators):
        found.append([tuple(tensor.shape) for tensor in inputs])
        return usual(self, function, inputs, generators)

    monkeypatch.setattr(_recorded.GraphMemory, "record", record)
    return found


SETTINGS = {
    "rows": {},
    "sgd": {"optimizer": "sgd"},
    "float32": {"precision": "float32"},
    "float16": {"precision": "float16"},
    "float16, sgd": {"precision": "float16", "optimizer": "sgd"},
    "resnet": {"encoder": "resnet18"},
    "stopping": {"callbacks": [EarlyStopping("train_loss", patience=9)]},
    "numbered": {"device": f"{DEVICE}:0"},
}


@pytest.mark.usefixtures("_deterministic")
@pytest.mark.parametrize("name", SETTINGS)
def test_recorded_steps_give_the_same_bits(
    name, colours, digits, recordings, monkeypatch
):
    X = digits[0] if name == "rows" else colours[:63]  # batches of two sizes
    settings = {**SETTINGS[name], "max_epochs": 6}
    recorded = gpu(**settings).fit(X)
    assert len(recordings) == 4  # views and steps of each size
    monkeypatch.setattr(_recorded, "can_record", lambda training: False)
    assert_same(recorded, gpu(**settings).fit(X))


def test_recorded_steps_learn_what_usual_ones_do(colours, recordings, monkeypatch):
    settings = {"max_epochs": 6, "precision": "float32", "optimizer": "sgd"}
    recorded = gpu(**settings).fit(colours)
    assert len(recordings) == 2
    monkeypatch.setattr(_run, "steps_of", lambda training: nullcontext(train_step))
    usual = gpu(**settings).fit(colours)
    np.testing.assert_allclose(
        recorded.history_["loss"], usual.history_["loss"], rtol=5e-2
    )


@pytest.mark.usefixtures("_deterministic")
@pytest.mark.parametrize("step", [10, 17])
def test_what_was_cut_off_while_recorded_goes_on(
    colours, step, tmp_path, recordings, monkeypatch
):
    settings = {"max_epochs": 8, "batch_size": 16}
    whole = gpu(**settings).fit(colours)
    kept = {"checkpoint": tmp_path, "checkpoint_minutes": 0}
    write = Training.write_if_due

    def cut(training):
        write(training)
        if training.net.step_ == step:
            raise ConnectionError("power cut")

    monkeypatch.setattr(Training, "write_if_due", cut)
    with pytest.raises(ConnectionError):
        gpu(**settings, **kept).fit(colours)
    assert len(recordings) == 4
    monkeypatch.setattr(Training, "write_if_due", write)
    assert_same(whole, gpu(**settings, **kept).fit(colours))


@pytest.mark.usefixtures("_deterministic")
def test_recorded_steps_leave_what_others_draw(colours, recordings):
    torch.cuda.manual_seed(3)
    before = global_states()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gpu(max_epochs=6).fit(colours)
    assert len(recordings) == 2
    assert all(map(torch.equal, before, global_states()))


@pytest.mark.usefixtures("_deterministic")
def test_scores_of_labels_change_no_recorded_step(colours, recordings):
    callbacks = [ProbeCallback(colours, np.arange(64) % 2)]
    one, other = (
        gpu(max_epochs=6, **given).fit(colours)
        for given in ({}, {"callbacks": callbacks})
    )
    assert len(recordings) == 4
    assert_same(one, other)


def test_recorded_trainings_are_gone_on_with(colours, recordings):
    byol = gpu(max_epochs=6, warm_start=True).fit(colours)
    byol.set_params(max_epochs=12).fit(colours)
    assert len(recordings) == 4
    assert np.isfinite(byol.history_["loss"]).all()
    assert len(byol.history_["loss"]) == 12


class Collects(Dataset):
    """Frees what a process has inherited and nobody uses."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        gc.collect()
        return index


def test_processes_that_fork_after_recording_live(colours, recordings):
    gc.disable()
    try:
        for _ in range(2):
            gpu(max_epochs=6).fit(colours)
        loader = DataLoader(Collects(), num_workers=1, multiprocessing_context="fork")
        assert len(list(loader)) == 4
    finally:
        gc.enable()
    assert len(recordings) == 4


def test_memory_is_given_back_after_recording(colours, recordings):
    reserved = []
    for _ in range(3):
        gpu(max_epochs=6).fit(colours)
        gc.collect()
        torch.cuda.empty_cache()
        reserved.append(torch.cuda.memory_reserved(0))
    assert len(recordings) == 6
    assert reserved[2] <= reserved[1]


@pytest.mark.parametrize(
    "parameters",
    [
        {"encoder": dropping},
        {"encoder": small_network, "readout": 1},
        {"views": noisy},
        {"optimizer": "lars"},
        {"callbacks": [LRScheduler()]},
        {"callbacks": [Steps([])]},
    ],
)
def test_steps_that_may_differ_are_not_recorded(parameters, digits, recordings):
    gpu(max_epochs=4, **parameters).fit(digits[0])
    assert recordings == []


# Callbacks, metrics and pictures


def test_callbacks_score_on_the_gpu(digits):
    X, y = digits
    byol = gpu(callbacks=[ProbeCallback(X, y)], max_epochs=2).fit(X)
    assert all(0.1 < accuracy <= 1 for accuracy in byol.history_["knn_accuracy"])
    rows = byol.transform(X)
    assert knn_accuracy(rows[:100], y[:100], rows[100:], y[100:], n_neighbors=5) > 0.5


def test_metrics_are_those_of_the_cpu(trained, colours):
    on_cpu = copied(trained).set_params(device="cpu")
    expected = uniformity_scorer(on_cpu, colours)
    assert uniformity_scorer(trained, colours) == pytest.approx(expected, rel=1e-2)
    assert -4 <= alignment_scorer(trained, colours) <= 0
    rows = trained.transform(colours)
    on_gpu = torch.from_numpy(rows).to(GPU)
    assert effective_rank(on_gpu) == pytest.approx(effective_rank(rows), rel=1e-3)


def test_pictures_are_drawn_of_what_is_on_the_gpu(trained, colours):
    on_cpu = copied(trained).set_params(device="cpu")
    on_cpu.transform(colours[:1])
    moves = OcclusionDisplay.from_estimator(trained, colours[:2]).moves
    expected = OcclusionDisplay.from_estimator(on_cpu, colours[:2]).moves
    np.testing.assert_allclose(moves, expected, atol=5e-3)
    ViewsDisplay.from_estimator(trained, colours[:2])
    ViewsDisplay.from_views(["byol"], torch.rand(2, 3, 16, 16, device=GPU))
    mpl.pyplot.close("all")


# Memory and time


@pytest.fixture
def _little_memory():
    """Leave 400 MB of the GPU's memory beyond what is taken now."""
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    allowed = torch.cuda.memory_reserved(0) + 400 * 2**20
    torch.cuda.set_per_process_memory_fraction(allowed / total, 0)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, 0)
    gc.collect()
    torch.cuda.empty_cache()


@pytest.mark.usefixtures("_little_memory")
def test_too_large_a_batch_is_told_of():
    X = np.random.default_rng(0).integers(0, 256, (1024, 64, 64, 3), dtype=np.uint8)
    with pytest.raises(torch.OutOfMemoryError, match=r"batches of 1024 images: lower"):
        gpu(batch_size=1024, precision="float32").fit(X)
    gc.collect()
    assert gpu(batch_size=16).fit(X[:32]).n_iter_ == 1


def test_a_fit_leaves_nothing_on_the_gpu_but_the_encoder(colours):
    gpu().fit(colours)  # takes what cuBLAS keeps
    gc.collect()
    before = torch.cuda.memory_allocated(0)
    byol = gpu().fit(colours)
    gc.collect()
    left = torch.cuda.memory_allocated(0) - before
    weights = byol.encoder_.state_dict().values()
    n_bytes = sum(512 * -(-weight.nbytes // 512) for weight in weights)
    assert n_bytes <= left < 1.5 * n_bytes


class RefusesToWait(Callback):
    """Raises where the program waits for the GPU, from one step to another."""

    def __init__(self, first, last):
        self.first, self.last = first, last

    def on_batch_begin(self, net, **kw):
        if net.step_ == self.first:
            set_mode("error")

    def on_batch_end(self, net, **kw):
        if net.step_ == self.last:
            set_mode("default")


def set_mode(mode):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is a prototype
        torch.cuda.set_sync_debug_mode(mode)


@pytest.fixture
def _may_wait_again():
    yield
    set_mode("default")


@pytest.mark.usefixtures("_may_wait_again")
@pytest.mark.parametrize(
    ("optimizer", "precision"),
    [
        *product(["adamw", "sgd", "lars"], ["float32", "bfloat16"]),
        # LARS in float16 asks whether gradients have overflowed.
        *product(["adamw", "sgd"], ["float16"]),
    ],
)
def test_steps_do_not_wait_for_the_gpu(colours, optimizer, precision):
    callbacks = [RefusesToWait(1, 4)]
    settings = {"optimizer": optimizer, "precision": precision, "callbacks": callbacks}
    assert gpu(**settings).fit(colours).n_iter_ == 1


def asks(images):
    return images * images.max().item()


@pytest.mark.usefixtures("_may_wait_again")
def test_what_waits_is_found(colours):
    with pytest.raises(RuntimeError, match="synchronizing"):
        gpu(views=asks, callbacks=[RefusesToWait(1, 4)]).fit(colours)
