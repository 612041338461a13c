"""Libraries that few users have: containers of images, TensorBoard, optuna."""

import datasets
import numpy as np
import optuna
import pandas as pd
import polars as pl
import pytest
from optuna_integration import OptunaSearchCV, SkorchPruningCallback
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import TensorBoard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from sklearn_byol import BYOLClassifier, list_images
from sklearn_byol.callbacks import ProbeCallback
from tests.conftest import N_FILES, pipeline, quick, tiny
from tests.test_depth import DEPTHS, NO_SUCH, written

pytestmark = pytest.mark.slow
# That OptunaSearchCV is experimental, and calls what is deprecated.
OF_OPTUNA = pytest.mark.filterwarnings("ignore:.*[oO]ptuna")


def pictures(pixels):
    """Make a dataset of Hugging Face's, with a column beside the images."""
    return datasets.Dataset.from_dict(
        {
            "label": list(range(N_FILES)),
            "image": [Image.fromarray(image) for image in pixels],
        },
        features=datasets.Features(
            {"label": datasets.Value("int64"), "image": datasets.Image()}
        ),
    )


@pytest.mark.parametrize(
    "make", [pl.Series, lambda paths: pl.DataFrame({"path": paths})]
)
def test_paths_in_polars_are_read_as_the_array(make, paths, rows):
    byol = quick()
    np.testing.assert_array_equal(byol.fit_transform(make(paths)), rows)
    assert byol.files_ == paths


def test_hugging_face_datasets_are_read(pixels, rows):
    np.testing.assert_array_equal(quick().fit_transform(pictures(pixels)), rows)


@pytest.mark.parametrize(
    "make",
    [
        lambda pixels, paths: pl.Series(paths),
        lambda pixels, paths: pictures(pixels)["image"],
    ],
)
def test_other_containers_go_through_cross_validation(make, pixels, paths):
    y = np.arange(N_FILES) % 2
    expected, found = (
        cross_val_predict(pipeline(), X, y, cv=2, method="decision_function")
        for X in (pixels, make(pixels, paths))
    )
    np.testing.assert_array_equal(found, expected)


def test_a_polars_frame_names_its_features_too(digits):
    X = pl.DataFrame(digits[0], schema=[f"pixel_{i}" for i in range(64)])
    byol = quick().fit(X)
    assert list(byol.feature_names_in_) == X.columns
    same = pd.DataFrame(digits[0], columns=X.columns)
    np.testing.assert_array_equal(byol.transform(X), byol.transform(same))


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (pl.DataFrame({"a": [1.0, None], "b": [1.0, 2.0]}), "Input X contains NaN."),
        (pl.Series([1.0] * 64), "X has one axis, of 64 values. Reshape your data:"),
    ],
)
def test_what_polars_holds_and_is_no_image_is_an_error(X, words, no_training):
    with pytest.raises((ValueError, TypeError)) as caught:
        tiny().fit(X)
    assert words in str(caught.value)


def test_the_column_of_a_frame_of_polars_has_its_name(paths):
    frame = pl.DataFrame({"file": paths})
    byol = quick().fit(frame)
    assert [*byol.feature_names_in_] == ["file"]
    n_outputs = byol.transform(frame).shape[1]
    assert len(byol.get_feature_names_out(["file"])) == n_outputs


def test_tensorboard_has_what_the_history_has(digits, tmp_path):
    writer = SummaryWriter(tmp_path)
    byol = quick(max_epochs=2, callbacks=[TensorBoard(writer)]).fit(digits[0])
    events = EventAccumulator(str(tmp_path)).Reload()
    for tag, name in [("Loss/train_loss", "loss"), ("spread", "spread")]:
        written = [event.value for event in events.Scalars(tag)]
        assert written == pytest.approx(byol.history_[name])


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_hugging_face_columns_keep_their_depth(depth, ending, tmp_path):
    if (depth, ending) in NO_SUCH:
        pytest.skip("no such files of Pillow")
    X = DEPTHS[depth]
    paths = list_images(written(X, tmp_path, f".{ending}"))
    column = datasets.Dataset.from_dict({"image": paths})
    by_array = quick().fit(X)
    for decodes in (True, False):
        images = column.cast_column("image", datasets.Image(decode=decodes))
        by_column = quick().fit(images)
        for byol, given in ((by_array, images), (by_column, images["image"])):
            np.testing.assert_allclose(
                byol.transform(given), by_array.transform(X), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("n_bands", [3, 5, 13])
def test_hugging_face_arrays_of_many_bands_are_read(n_bands):
    shape = (8, 8, n_bands)
    X = np.random.default_rng(0).integers(0, 4096, (6, *shape), dtype=np.uint16)
    features = datasets.Features({"tile": datasets.Array3D(shape, "uint16")})
    tiles = datasets.Dataset.from_dict({"tile": list(X)}, features=features)
    byol = quick(image_shape=shape).fit(X)
    for given in (tiles.with_format("numpy"), tiles.with_format("torch")):
        np.testing.assert_allclose(
            byol.transform(given), byol.transform(X), rtol=1e-4, atol=1e-5
        )


def test_optuna_prunes_by_a_number_of_the_history(digits):
    X, y = digits
    epochs = []

    def objective(trial):
        pruning = SkorchPruningCallback(trial, "knn_accuracy")
        callbacks = [ProbeCallback(X, y), pruning]
        byol = quick(max_epochs=3, callbacks=callbacks, lr=(3e-3, 1e-9)[trial.number])
        byol.fit(X)
        epochs.append(byol.n_iter_)
        return byol.history_["knn_accuracy"][-1] + 1

    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=0.99)
    )
    study.optimize(objective, n_trials=2)
    states = [trial.state.name for trial in study.trials]
    assert states == ["PRUNED", "PRUNED"]
    assert all(len(trial.intermediate_values) == 1 for trial in study.trials)
    assert not epochs


def test_optuna_has_a_number_of_each_epoch(digits):
    X, _ = digits
    seen = []

    def objective(trial):
        pruning = SkorchPruningCallback(trial, "spread")
        byol = quick(max_epochs=3, callbacks=[pruning]).fit(X)
        seen.append(byol.history_["spread"])
        return seen[-1][-1]

    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    study.optimize(objective, n_trials=1)
    assert list(study.trials[0].intermediate_values.values()) == seen[0]


@pytest.mark.filterwarnings("ignore:The reported value is ignored:UserWarning")
def test_optuna_searches_by_cross_validation_with_its_own_callback(digits):
    X, y = digits

    def objective(trial):
        byol = quick(max_epochs=2, callbacks=[SkorchPruningCallback(trial, "spread")])
        pipe = make_pipeline(byol, LogisticRegression(max_iter=2000))
        return cross_val_score(pipe, X, y, cv=2).mean()

    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    study.optimize(objective, n_trials=1)
    assert len(study.trials[0].intermediate_values) == 2


def test_a_monitor_of_optuna_that_nothing_writes_is_named(digits):
    pruning = SkorchPruningCallback(optuna.create_study().ask(), "valid_loss")
    with pytest.raises(ValueError, match="monitors 'valid_loss', which nothing writes"):
        quick(callbacks=[pruning]).fit(digits[0])


@OF_OPTUNA
def test_optuna_prunes_a_classifier_by_partial_fit(digits):
    X, y = digits
    few = np.where(np.arange(200) < 100, y, -1)
    classifier = BYOLClassifier(quick(), random_state=0)
    search = OptunaSearchCV(
        classifier,
        {"encoder_lr": optuna.distributions.FloatDistribution(1e-5, 1e-3, log=True)},
        cv=2,
        n_trials=3,
        max_iter=3,
        enable_pruning=True,
        random_state=0,
    )
    search.fit(X, few)
    assert search.best_score_ > 0.6
    assert max(len(trial.intermediate_values) for trial in search.trials_) == 3


@OF_OPTUNA
def test_optuna_searches_a_pipeline(digits):
    pipe = make_pipeline(quick(), LogisticRegression(max_iter=2000))
    space = {
        "byoltransformer__momentum": optuna.distributions.FloatDistribution(0.9, 0.99)
    }
    search = OptunaSearchCV(pipe, space, cv=2, n_trials=2, random_state=0)
    assert search.fit(*digits).best_score_ > 0.6
