"""BYOLClassifier searched over, saved, and given images of any form."""

import os
import pickle
import subprocess
import sys
from typing import ClassVar

import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

import sklearn_byol
from sklearn_byol import BYOLClassifier, BYOLTransformer
from sklearn_byol.images import _decode
from sklearn_byol.model_selection import LabeledTestSplit
from tests.classifier.conftest import few, frozen
from tests.conftest import Pairs, quick, small_network


def test_both_stages_are_searched_inside_a_pipeline(digits):
    X, y = digits
    pipe = Pipeline(
        [
            ("scale", FunctionTransformer(lambda X: X / 16)),
            ("clf", BYOLClassifier(quick(), max_epochs=1, random_state=0)),
        ]
    )
    grid = {"clf__byol__momentum": [0.9, 0.99], "clf__encoder_lr": [0, 1e-3]}
    search = GridSearchCV(pipe, grid, cv=LabeledTestSplit(2)).fit(X, few(y, 6))
    assert len(search.cv_results_["params"]) == 4
    assert search.best_score_ > 0.3


def test_a_search_over_tuning_does_not_fit_byol_again(byol, images):
    X, y = images
    search = GridSearchCV(
        frozen(byol), {"encoder_lr": [0, 1e-4]}, cv=LabeledTestSplit(2)
    ).fit(X, few(y, 4))
    assert search.best_estimator_.byol_ is byol


class OnOthers(BYOLTransformer):
    """Trains on a few images, then on all in another order, and keeps a copy."""

    def fit(self, X, y=None, X_unlabeled=None):
        self.copy = pickle.dumps(super().fit(X[:20]))
        return super().fit(X[::-1], y, X_unlabeled)


class Restored(BYOLTransformer):
    """Takes what another has learned."""

    def fit(self, X, y=None):
        vars(self).update(vars(self.encoder.estimator))
        return self

    def _validate_params(self):
        """An encoder may be anything."""


@pytest.mark.parametrize("is_pool", [False, True])
def test_a_fit_of_the_users_own_is_called_and_labels_go_with_x(images, is_pool):
    X, y = images[0], few(images[1], 8)
    pool = {"X_unlabeled": images[0][:100]} if is_pool else {}
    given = {"max_epochs": 3, "random_state": 0}
    own = BYOLClassifier(OnOthers(**given, device="cpu"), **given).fit(X, y, **pool)
    plain = quick(**given).fit(X[::-1], **pool)
    np.testing.assert_array_equal(own.byol_.transform(X[:9]), plain.transform(X[:9]))
    assert own.score(X, images[1]) > 0.6


def test_labelled_images_are_read_where_a_fit_of_the_users_own_reads_none(byol, images):
    X, y = images[0], few(images[1], 5)
    own = BYOLClassifier(Restored(frozen(byol).byol), max_epochs=3, random_state=0)
    expected = frozen(byol).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(own.fit(X, y).predict_proba(X), expected)


@pytest.mark.slow
def test_a_saved_classifier_predicts_the_same_in_a_new_process(tuned, images, tmp_path):
    X = images[0][:50]
    joblib.dump((tuned, X), tmp_path / "model.joblib")
    code = (
        "import joblib, sys; clf, X = joblib.load(sys.argv[1], mmap_mode='r');"
        "joblib.dump((clf.predict_proba(X), clf.classes_), sys.argv[2])"
    )
    files = [str(tmp_path / "model.joblib"), str(tmp_path / "rows.joblib")]
    subprocess.run([sys.executable, "-c", code, *files], check=True)
    rows, classes = joblib.load(tmp_path / "rows.joblib")
    np.testing.assert_allclose(rows, tuned.predict_proba(X), 1e-5, 1e-7)
    np.testing.assert_array_equal(classes, tuned.classes_)


def test_the_file_holds_two_encoders_and_no_training(tuned):
    n_bytes = sum(t.nbytes for t in tuned.encoder_.state_dict().values())
    assert len(pickle.dumps(tuned)) < 2 * n_bytes + 100_000


def test_a_module_of_the_user_is_saved(digits):
    X, y = digits
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 16))
    clf = BYOLClassifier(quick(encoder=module), max_epochs=2, random_state=0)
    clf.fit(X, y)
    loaded = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(clf))))
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))


def test_all_forms_of_images_give_the_same(pixels, folder, paths):
    y = np.arange(len(pixels)) % 2
    y[6:] = -1
    byol = quick(image_shape=(16, 20, 3)).fit(pixels)
    order = np.argsort([path.split("images")[-1] for path in map(str, paths)])
    forms = {
        "array": pixels,
        "paths": paths,
        "PIL": [Image.fromarray(image) for image in pixels],
        "dataset": Pairs(pixels),
        "series": pd.Series(paths),
    }
    fitted = {name: frozen(byol).fit(X, y) for name, X in forms.items()}
    expected = fitted["array"].predict_proba(pixels)
    for name, X in forms.items():
        np.testing.assert_allclose(
            fitted[name].predict_proba(X), expected, 1e-5, 1e-6, err_msg=name
        )
    files = quick(image_shape=(16, 20, 3)).fit(folder).files_
    order = [paths.index(file) for file in files]
    from_folder = frozen(byol).fit(folder, y[order])
    assert from_folder.predict_proba(folder).shape == (len(pixels), 2)


def test_only_labelled_images_are_decoded_where_byol_is_fitted(paths, pixels, tmp_path):
    y = np.arange(len(paths)) % 2
    y[4:] = -1
    some = [*paths[:4], *(str(tmp_path / f"{n}.png") for n in range(4, len(paths)))]
    byol = quick().fit(pixels)
    expected = frozen(byol).fit(paths, y)
    np.testing.assert_array_equal(
        frozen(byol).fit(some, y).predict_proba(pixels), expected.predict_proba(pixels)
    )


def test_images_that_cannot_be_read_are_left_out_with_their_labels(broken):
    y = np.arange(len(broken)) % 2
    clf = BYOLClassifier(quick(on_error="skip"), max_epochs=1, random_state=0)
    clf.fit(broken, y)
    good = [index for index, path in enumerate(broken) if "good" in path]
    alone = frozen(clf.byol_, max_epochs=1).fit([broken[i] for i in good], y[good])
    probabilities = clf.predict_proba(broken)
    assert np.isfinite(probabilities[good]).all()
    assert np.isnan(np.delete(probabilities, good, axis=0)).all()
    assert alone.classes_.tolist() == clf.classes_.tolist()
    with pytest.raises(sklearn_byol.UnreadableImagesError, match="4 of 10 images"):
        clf.predict(broken)


def test_names_and_sizes_are_those_of_the_images(digits):
    X, y = digits
    frame = pd.DataFrame(X, columns=[f"p{index}" for index in range(64)])
    clf = BYOLClassifier(quick(), max_epochs=1, random_state=0).fit(frame, y)
    assert clf.feature_names_in_[:2].tolist() == ["p0", "p1"]
    assert clf.n_features_in_ == 64
    assert clf.image_shape_ == (1, 8, 8)
    assert clf.n_iter_ == len(clf.history_["loss"]) == 1
    clf.fit(X, y)
    assert not hasattr(clf, "feature_names_in_")


class Counts(Callback):
    """Counts what callbacks are told, and writes a number an epoch."""

    told: ClassVar[list] = []  # fit makes a copy of the callback

    def on_batch_end(self, net, **kwargs):
        self.told.append(kwargs["loss"].item())

    def on_epoch_end(self, net, **kwargs):
        net.history.record("n_steps", net.step_)


def test_callbacks_look_at_tuning(byol, images):
    Counts.told.clear()
    X, y = images
    labels = few(y, 10)
    plain = frozen(byol, batch_size=50).fit(X, labels)
    watched = frozen(byol, batch_size=50, callbacks=[("counts", Counts())])
    watched.fit(X, labels)
    assert len(Counts.told) == 3 * 2
    assert watched.history_["n_steps"] == [2, 4, 6]
    assert set(watched.history_) - set(plain.history_) == {"n_steps"}
    np.testing.assert_array_equal(watched.predict_proba(X), plain.predict_proba(X))


def test_a_callback_ends_tuning(byol, images):
    X, y = images
    stop = EarlyStopping("train_loss", patience=1, threshold=0.99)
    clf = frozen(byol, max_epochs=9, callbacks=[stop]).fit(X, few(y, 10))
    assert clf.n_iter_ == 2


def test_what_is_no_callback_is_an_error_before_training(images, no_training):
    with pytest.raises(TypeError, match="callbacks must be instances"):
        BYOLClassifier(callbacks=[print]).fit(*images)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_folder_is_walked_once_and_its_images_are_read_once(
    tmp_path, images, monkeypatch, on_error
):
    X, y = images[0][:40], images[1][:40]
    for index, pixels in enumerate(X):
        path = tmp_path / f"{index:02d}.png"
        Image.fromarray((pixels * 15).astype(np.uint8)).save(path)
    if on_error == "skip":
        (tmp_path / "07.png").write_bytes(b"no image")
    walks, files = [], []
    walk, decode = os.walk, _decode.decode
    monkeypatch.setattr(os, "walk", lambda *a, **k: walks.append(a) or walk(*a, **k))
    monkeypatch.setattr(
        _decode, "decode", lambda *given: files.append(given[0]) or decode(*given)
    )
    labels = np.where(np.arange(40) < 30, y, -1)
    byol = quick(encoder=small_network, on_error=on_error)
    clf = BYOLClassifier(byol, max_epochs=2, random_state=0).fit(tmp_path, labels)
    assert len(walks) == 1
    assert files == sorted(map(str, tmp_path.iterdir()))
    assert len(clf.byol_.skipped_) == (on_error == "skip")
