"""BYOLTransformer as its users meet it."""

import copy
import inspect
import math
import pickle
import re
import signal
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from sklearn_byol import (
    BYOLClassifier,
    BYOLTransformer,
    CollapseWarning,
    RandomViews,
)
from sklearn_byol.training import _callbacks
from tests.conftest import Blind, pipeline, quick


def weights(byol):
    return torch.cat(
        [v.flatten().double() for v in byol.encoder_.state_dict().values()]
    )


# Inputs


def test_rows_images_and_tensors_of_the_same_pixels_are_the_same(colour_images):
    first = np.ascontiguousarray(colour_images.transpose(0, 3, 1, 2))
    expected = quick().fit(colour_images).transform(colour_images)
    for X, image_shape in [
        (first, None),
        (torch.from_numpy(first), None),
        (colour_images.tolist(), None),
        (colour_images.reshape(12, -1), (16, 16, 3)),
        (first.reshape(12, -1), (3, 16, 16)),
        (colour_images.astype(np.float64), None),
        (colour_images.astype(np.int64), None),
    ]:
        byol = quick(image_shape=image_shape).fit(X)
        np.testing.assert_allclose(byol.transform(X), expected, rtol=1e-5, atol=1e-6)
        assert byol.n_features_in_ == 768
        assert byol.image_shape_ == (3, 16, 16)


def test_gray_images_equal_their_rows(digits, fitted):
    X = digits[0]
    expected = fitted.transform(X)
    np.testing.assert_array_equal(fitted.transform(X.reshape(-1, 8, 8)), expected)
    np.testing.assert_array_equal(fitted.transform(X.reshape(-1, 8, 8, 1)), expected)
    np.testing.assert_array_equal(fitted.transform(X.reshape(-1, 1, 8, 8)), expected)


def test_a_memory_map_is_read_and_not_written(tmp_path, colour_images):
    np.save(tmp_path / "X.npy", colour_images)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    expected = quick().fit(colour_images).transform(colour_images)
    np.testing.assert_array_equal(quick().fit(X).transform(X), expected)


def test_a_data_frame_of_pixels_names_its_features(digits):
    X = pd.DataFrame(digits[0], columns=[f"pixel_{i}" for i in range(64)])
    byol = quick().fit(X)
    assert list(byol.feature_names_in_) == list(X.columns)
    with pytest.raises(ValueError, match="feature names"):
        byol.transform(X.rename(columns=str.upper))
    byol.fit(digits[0].reshape(-1, 8, 8))
    assert not hasattr(byol, "feature_names_in_")


def test_the_number_of_images_asked_for_does_not_change_a_row(digits, fitted):
    X = digits[0]
    one_by_one = np.vstack([fitted.transform(X[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(fitted.transform(X)[:20], one_by_one, 1e-4, 1e-5)


def test_representations_are_float32_rows_named_after_the_class(digits, fitted):
    rows = fitted.transform(digits[0])
    assert rows.dtype == np.float32
    assert rows.shape == (200, len(fitted.get_feature_names_out()))
    assert fitted.get_feature_names_out()[0] == "byoltransformer0"


@pytest.mark.parametrize("n_channels", [2, 4, 12])
def test_images_of_many_channels_are_learned_from(n_channels):
    X = np.random.default_rng(0).random((6, 16, 16, n_channels))
    shape = quick(image_shape=(16, 16, n_channels)).fit(X).transform(X).shape
    assert shape == (6, 864 + 441)


def test_two_images_are_enough(digits):
    assert quick().fit(digits[0][:2]).transform(digits[0][:2]).shape == (2, 512)


@pytest.mark.filterwarnings("ignore::sklearn_byol.CollapseWarning")
def test_constant_images_give_finite_representations():
    X = np.full((4, 8, 8), 7.0)
    assert np.isfinite(quick().fit(X).transform(X)).all()


# Learning


def probe(encode, X, y, n_labelled=100):
    classifier = LogisticRegression(max_iter=1000)
    rows = StandardScaler().fit_transform(encode(X))
    return classifier.fit(rows[:n_labelled], y[:n_labelled]).score(
        rows[n_labelled:], y[n_labelled:]
    )


@pytest.mark.slow
def test_training_beats_the_untrained_encoder_by_four_points():
    X, y = sklearn.datasets.load_digits(return_X_y=True)
    X, y = X[:1000], y[:1000]
    # A learning rate of nearly nothing leaves the weights as they were drawn, while
    # batch norm still sees the images.
    untrained = quick(lr=1e-12, max_epochs=15).fit(X)
    trained = quick(max_epochs=15).fit(X)
    gain = probe(trained.transform, X, y) - probe(untrained.transform, X, y)
    assert gain > 0.04


def test_collapse_is_told(digits):
    with pytest.warns(CollapseWarning, match="spread of the projections is 0.000"):
        byol = quick(encoder=Blind, max_epochs=3).fit(digits[0])
    assert byol.history_["spread"][-1] < 0.05


def test_healthy_training_has_spread(digits):
    history = quick(max_epochs=3).fit(digits[0]).history_
    assert 0.4 < history["spread"][-1] <= 1.01
    assert len(history["loss"]) == 3


def test_views_say_what_was_chosen(digits, colour_images):
    assert quick().fit(digits[0]).views_.preset == "digits"
    assert quick().fit(colour_images).views_.preset == "natural"
    byol = quick(views=RandomViews("safe", rotation=3)).fit(digits[0])
    assert byol.views_.rotation == 3
    assert byol.views_.crop_scale == (1.0, 1.0)


# Randomness


def test_the_same_seed_gives_the_same_bits(digits):
    first, second = (quick(max_epochs=2).fit(digits[0]) for _ in range(2))
    assert torch.equal(weights(first), weights(second))


def test_another_seed_gives_other_weights(digits):
    first, second = (quick(random_state=seed).fit(digits[0]) for seed in (0, 1))
    assert not torch.equal(weights(first), weights(second))


def jitter(images):
    """A law of views that draws from torch's global state."""
    return images * torch.rand(len(images), 1, 1, 1)


class FunctionalDropout(nn.Module):
    """Draws from the global state where no module shows it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 4)

    def forward(self, images):
        kept = nn.functional.dropout(images.flatten(1), 0.3, self.training)
        return self.linear(kept)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {
            "encoder": lambda: nn.Sequential(
                nn.Flatten(), nn.Dropout(), nn.Linear(64, 4)
            )
        },
        {"views": jitter},
        {"encoder": FunctionalDropout},
        {"encoder": lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(4))},
    ],
)
def test_global_random_states_are_left_as_found(digits, parameters):
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    byol = quick(**parameters).fit(digits[0])
    byol.transform(digits[0])
    pickle.loads(pickle.dumps(quick().fit(digits[0])))
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_dropout_is_seeded_too(digits):
    def with_dropout():
        return nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 4))

    first, second = (
        quick(encoder=with_dropout, random_state=1).fit(digits[0]) for _ in range(2)
    )
    assert torch.equal(weights(first), weights(second))


def test_callables_that_draw_globally_are_seeded_too(digits):
    first, second = (quick(views=jitter).fit(digits[0]) for _ in range(2))
    assert torch.equal(weights(first), weights(second))


def test_threads_give_the_scores_of_one_after_another(digits):
    X, y = digits
    serial = cross_val_score(pipeline(), X, y, cv=4)
    with joblib.parallel_backend("threading"):
        threaded = cross_val_score(pipeline(), X, y, cv=4, n_jobs=2)
    np.testing.assert_array_equal(threaded, serial)


# scikit-learn's world


def test_clone_is_unfitted_and_has_the_same_parameters(fitted):
    copied = clone(fitted)
    assert not hasattr(copied, "encoder_")
    assert copied.get_params() == fitted.get_params()


def test_strengths_of_views_can_be_searched(digits):
    X, y = digits
    search = GridSearchCV(
        pipeline(views=RandomViews()),
        {"byol__views__crop_scale": [(0.2, 1.0), (1.0, 1.0)]},
        cv=2,
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.slow
def test_grid_search_with_two_processes_ranks_momentum_and_lr(digits):
    X, y = digits
    search = GridSearchCV(
        pipeline(),
        {"byol__momentum": [0.9, 0.996], "byol__lr": [3e-4, 3e-3]},
        cv=2,
        n_jobs=2,
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ > 0.3


@pytest.mark.parametrize("is_routed", [True, False])
def test_metadata_routing_changes_nothing(digits, is_routed):
    X, y = digits
    with sklearn.config_context(enable_metadata_routing=is_routed):
        assert pipeline().fit(X, y).predict(X).shape == (200,)


def test_set_output_gives_a_data_frame_with_the_index(digits):
    X = pd.DataFrame(digits[0], index=np.arange(200) + 1000)
    rows = quick().set_output(transform="pandas").fit_transform(X)
    assert list(rows.index[:2]) == [1000, 1001]
    assert rows.columns[-1] == "byoltransformer511"


def test_html_shows_the_parameters(fitted):
    assert "BYOLTransformer" in fitted._repr_html_()


def test_every_parameter_is_documented_in_its_order():
    names = list(inspect.signature(BYOLTransformer).parameters)
    documented = re.findall(
        r"^(\w+) : .*default=", inspect.getdoc(BYOLTransformer), re.MULTILINE
    )
    assert documented == names


def test_numpy_numbers_are_numbers(digits):
    quick(momentum=np.float32(0.5), lr=np.float64(1e-3), batch_size=np.int64(50)).fit(
        digits[0]
    )


def test_user_callbacks_are_copied_and_heard(digits):
    class Counter(Callback):
        heard = 0

        def on_epoch_end(self, net, **kwargs):
            assert net.history[-1]["train_loss"] >= 0
            type(self).heard += 1

    counter = Counter()
    quick(max_epochs=3, callbacks=[("counter", counter)]).fit(digits[0])
    assert Counter.heard == 3
    assert "initialized_" not in vars(counter)


def test_early_stopping_ends_training_early(digits):
    stopping = EarlyStopping("train_loss", patience=1, threshold=10, sink=str)
    byol = quick(max_epochs=50, callbacks=[stopping]).fit(digits[0])
    assert byol.n_iter_ < 50
    assert byol.transform(digits[0]).shape == (200, 512)


@pytest.mark.parametrize("moment", ["on_batch_end", "on_epoch_end"])
def test_ctrl_c_is_not_swallowed(digits, moment):
    def interrupt(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)
        for _ in range(1000):
            pass  # Python looks for signals between instructions

    pressed = type("Pressed", (Callback,), {moment: interrupt})
    byol = quick(callbacks=[pressed()], max_epochs=3)
    with pytest.raises(KeyboardInterrupt):
        byol.fit(digits[0])
    assert not hasattr(byol, "encoder_")


def test_silent_by_default(digits, capfd):
    quick().fit(digits[0])
    assert capfd.readouterr() == ("", "")


def test_verbose_shows_a_bar(digits, capfd):
    quick(verbose=1, max_epochs=2).fit(digits[0])
    shown = capfd.readouterr().err
    for word in ("epoch 2/2", "loss", "spread", "images/s"):
        assert word in shown


def test_in_a_log_the_bar_is_the_first_epoch_and_the_last(digits, capfd, monkeypatch):
    monkeypatch.setattr(_callbacks, "SECONDS", math.inf)
    quick(verbose=1, max_epochs=30).fit(digits[0])
    shown = capfd.readouterr().err
    assert "\r" not in shown
    assert [line.partition(":")[0] for line in shown.splitlines()] == [
        "epoch 1/30",
        "epoch 30/30",
    ]


def test_in_a_log_a_tenth_that_took_its_time_has_a_line(digits, capfd, monkeypatch):
    monkeypatch.setattr(_callbacks, "SECONDS", 0.0)
    quick(verbose=1, max_epochs=30).fit(digits[0])
    shown = capfd.readouterr().err.splitlines()
    epochs = [line.partition(":")[0] for line in shown]
    assert epochs == [f"epoch {n}/30" for n in (1, *range(3, 31, 3))]


def test_a_bar_where_there_is_no_stderr_is_no_error(digits, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    quick(verbose=1).fit(digits[0])


def test_torchvision_encoders_train(colour_images):
    byol = quick(encoder="resnet18", hidden_dim=32).fit(colour_images)
    assert byol.transform(colour_images).shape == (12, 512)


def test_a_module_is_not_changed_by_fit(digits):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    before = copy.deepcopy(module.state_dict())
    quick(encoder=module).fit(digits[0])
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_transform_puts_a_part_that_trains_into_evaluation(colour_images):
    byol = quick().fit(colour_images)
    expected = byol.transform(colour_images)
    byol.encoder_.network.train()
    np.testing.assert_array_equal(byol.transform(colour_images), expected)
    assert not any(part.training for part in byol.encoder_.modules())


def test_no_gradients_stay_with_a_fitted_encoder(fitted, digits):
    X, y = digits
    classifier = BYOLClassifier(FrozenEstimator(fitted), max_epochs=1).fit(X, y)
    for encoder in (fitted.encoder_, classifier.encoder_):
        assert all(weight.grad is None for weight in encoder.parameters())
