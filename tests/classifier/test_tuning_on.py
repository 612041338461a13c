"""BYOLClassifier goes on: warm_start, partial_fit, weights of images, transform."""

import pickle
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from sklearn_byol import BYOLClassifier, InterruptWarning, LabelsWarning
from sklearn_byol.callbacks import ProbeCallback
from sklearn_byol.estimators import _linear_head
from sklearn_byol.estimators._linear_head import fit_head
from sklearn_byol.training._labelled_images import LabelledImages
from tests.conftest import quick


@pytest.fixture(scope="module")
def byol(digits):
    """A transformer that is fitted, to be tuned."""
    return FrozenEstimator(quick(max_epochs=2).fit(digits[0]))


def tuned(byol, **parameters):
    settings = {"max_epochs": 2, "random_state": 0, **parameters}
    return BYOLClassifier(byol, **settings)


def weights(classifier):
    return [w.detach().clone() for w in classifier.encoder_.parameters()]


def are_equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_warm_start_goes_on_to_the_number_of_epochs(byol, digits):
    classifier = tuned(byol, warm_start=True).fit(*digits)
    first = classifier.history_["loss"]
    classifier.set_params(max_epochs=5).fit(*digits)
    assert classifier.history_["loss"][:2] == first
    assert classifier.n_iter_ == 5


def test_a_warm_start_that_has_its_epochs_trains_none(byol, digits):
    classifier = tuned(byol, warm_start=True).fit(*digits)
    before = weights(classifier)
    assert are_equal(weights(classifier.fit(*digits)), before)


def test_a_warm_start_leaves_byol_as_it_is(digits):
    X, y = digits
    classifier = tuned(quick(), warm_start=True).fit(X, y)
    before = classifier.byol_
    assert classifier.set_params(max_epochs=3).fit(X, y).byol_ is before


def test_a_warm_start_goes_on_after_it_was_saved(byol, digits):
    classifier = tuned(byol, warm_start=True).fit(*digits)
    loaded = pickle.loads(pickle.dumps(classifier))
    for one in (classifier, loaded):
        one.set_params(max_epochs=4).fit(*digits)
    assert are_equal(weights(classifier), weights(loaded))


def test_a_warm_start_goes_on_from_weights_that_are_not_averaged(byol, digits):
    X, y = digits
    short = tuned(byol, warm_start=True, encoder_lr=1e-3).fit(X, y)
    state = short._state["network"]
    mine = short.encoder_.state_dict()
    names = [name for name, _ in short.encoder_.named_parameters()]
    assert any(
        not np.array_equal(mine[name].numpy(), state[f"0.{name}"]) for name in names
    )


def test_a_warm_start_keeps_the_best_epoch_on_held_out_images(byol, digits):
    X, y = digits
    classifier = tuned(byol, warm_start=True, early_stopping=True).fit(X, y)
    classifier.set_params(max_epochs=4).fit(X, y)
    assert len(classifier.history_["validation_score"]) == 4


def test_after_a_fit_without_it_the_optimizer_is_new(byol, digits):
    classifier = tuned(byol).fit(*digits)
    assert classifier.set_params(warm_start=True).fit(*digits).n_iter_ == 2


def test_another_class_cannot_join_a_warm_start(byol, digits):
    X, y = digits
    classifier = tuned(byol, warm_start=True).fit(X, np.where(y < 5, y, -1))
    with pytest.raises(ValueError, match="the label 5, which is none of the classes"):
        classifier.fit(X, y)


def test_partial_fit_tunes_once_more(byol, digits):
    classifier = tuned(byol)
    for n_epochs in (1, 2, 3):
        classifier.partial_fit(*digits)
        assert classifier.n_iter_ == n_epochs
        assert classifier.history_["encoder_lr"][1:] == [
            classifier.history_["encoder_lr"][0]
        ] * (n_epochs - 1)


def test_partial_fit_trains_byol_at_its_first_call_alone(digits):
    classifier = tuned(quick()).partial_fit(*digits)
    before = classifier.byol_
    assert classifier.partial_fit(*digits).byol_ is before


def test_partial_fit_learns(byol, digits):
    X, y = digits
    classifier = tuned(byol, encoder_lr=1e-3)
    scores = [classifier.partial_fit(X, y).score(X, y) for _ in range(8)]
    assert scores[-1] > 0.95


def test_partial_fit_keeps_the_history_of_a_fit(byol, digits):
    classifier = tuned(byol).fit(*digits)
    losses = classifier.history_["loss"]
    assert classifier.partial_fit(*digits).history_["loss"][:2] == losses
    assert classifier.n_iter_ == 3


def test_partial_fit_meets_classes_later(byol, digits):
    X, y = digits
    few = np.where(y < 3, y, -1)
    classifier = tuned(byol, head_lr=0.05).partial_fit(X, few, classes=np.arange(10))
    assert classifier.classes_.tolist() == list(range(10))
    for _ in range(12):
        classifier.partial_fit(X, y)
    assert classifier.score(X, y) > 0.9


def test_partial_fit_may_see_one_class_at_a_time(byol, digits):
    X, y = digits
    classifier = tuned(byol).partial_fit(X[y == 0], y[y == 0], classes=[0, 1])
    classifier.partial_fit(X[y == 1], y[y == 1])
    assert set(classifier.predict(X)) <= {0, 1}


def test_marks_among_the_classes_are_passed_over(byol, digits):
    X, y = digits
    few = np.where(np.arange(200) < 100, y, -1)
    classifier = tuned(byol).partial_fit(X, few, classes=np.unique(few))
    assert classifier.classes_.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("parameters", "classes", "message"),
    [
        ({}, [0], "classes must hold two labels or more. Got"),
        ({}, [0, 1], "which is none of the classes"),
        ({"class_weight": "balanced"}, None, "'balanced' needs all labels"),
    ],
)
def test_what_partial_fit_cannot_do_is_an_error(
    byol, digits, parameters, classes, message
):
    with pytest.raises(ValueError, match=message):
        tuned(byol, **parameters).partial_fit(*digits, classes=classes)


def test_an_image_without_weight_is_unlabelled(byol, digits):
    X, y = digits
    is_first = np.arange(200) < 100
    weighted = tuned(byol).fit(X, y, sample_weight=is_first.astype(float))
    marked = tuned(byol).fit(X, np.where(is_first, y, -1))
    assert are_equal(weights(weighted), weights(marked))


def test_the_linear_layer_takes_a_weight_for_as_many_images():
    rng = np.random.default_rng(0)
    rows, codes = rng.normal(size=(40, 5)).astype(np.float32), np.arange(40) % 2
    rows[codes == 1, 0] += 1
    counts = np.where(np.arange(40) < 10, 3, 1)
    heads = []
    for times, weights in ((np.ones(40, int), counts), (counts, np.ones(60))):
        repeated = np.repeat(np.arange(40), times)
        images = LabelledImages(None, repeated, codes[repeated], weights, weights)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_linear_head, "_choose_regularisation", lambda *_: 1.0)
            heads.append(fit_head(rows[repeated], images, 2, 0).folded())
    for first, second in zip(*heads, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-3)


def test_heavier_images_are_learned_rather(byol, digits):
    X, y = digits
    wrong = np.where(np.arange(200) < 20, (y + 1) % 10, y)
    counts = np.where(np.arange(200) < 20, 200.0, 1.0)
    settings = {"encoder_lr": 1e-3, "max_epochs": 10}
    heavy = tuned(byol, **settings).fit(X, wrong, sample_weight=counts)
    light = tuned(byol, **settings).fit(X, wrong, sample_weight=1 / counts)
    assert heavy.score(X[:20], wrong[:20]) > light.score(X[:20], wrong[:20]) + 0.5


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.ones(3), "200"),
        (np.full(200, -1.0), "must not be negative"),
        (np.where(np.arange(200), 0.0, 1.0), "labels of 1 class"),
        (np.full(200, np.nan), "NaN"),
    ],
)
def test_weights_that_cannot_be_are_an_error(digits, no_training, counts, message):
    with pytest.raises(ValueError, match=message):
        tuned(quick()).fit(*digits, sample_weight=counts)


def test_transform_is_what_the_tuned_encoder_sees(byol, digits):
    X, y = digits
    classifier = tuned(byol, encoder_lr=1e-3).fit(X, y)
    rows = classifier.transform(X)
    logits = rows.astype(float) @ classifier.coefficients_.T + classifier.intercepts_
    assert (classifier.classes_[logits.argmax(1)] == classifier.predict(X)).all()
    assert (rows != byol.transform(X)).any()
    assert rows.dtype == np.float32


def test_a_classifier_may_stand_before_another(byol, digits):
    X, y = digits
    pipe = make_pipeline(tuned(byol), LogisticRegression(max_iter=2000)).fit(X, y)
    assert pipe.score(X, y) > 0.9
    assert len(pipe[:-1].get_feature_names_out()) == pipe[0].transform(X).shape[1]


def test_score_passes_over_images_without_a_label(byol, digits):
    X, y = digits
    classifier = tuned(byol).fit(X, y)
    part = np.where(np.arange(200) < 50, y, -1)
    assert classifier.score(X, part) == classifier.score(X[:50], y[:50])
    counts = np.arange(200.0)
    weighted = classifier.score(X, part, sample_weight=counts)
    assert weighted == classifier.score(X[:50], y[:50], sample_weight=counts[:50])


def test_cross_validation_scores_labelled_images(byol, digits):
    X, y = digits
    part = np.where(np.arange(200) < 100, y, -1)
    scores = cross_val_score(tuned(byol), X, part, cv=2)
    assert min(scores) > 0.6


def test_a_transformer_says_what_a_classifier_makes_of_marks(digits):
    X, y = digits
    part = np.where(np.arange(200) < 100, y, -1)
    pipe = make_pipeline(quick(), LogisticRegression(max_iter=2000))
    with pytest.warns(LabelsWarning, match="y marks 100 images as unlabelled"):
        pipe.fit(X, part)


def test_strings_are_no_labels_of_classes_that_are_numbers(byol, digits):
    X, y = digits
    classifier = tuned(byol).partial_fit(X, y)
    with pytest.raises(ValueError, match="the label '0', which is none of the classes"):
        classifier.partial_fit(X, y.astype(str))


def test_a_new_learning_rate_is_taken_by_what_goes_on(byol, digits):
    classifier = tuned(byol, warm_start=True, encoder_lr=1e-5).fit(*digits)
    classifier.set_params(encoder_lr=1e-3, max_epochs=6).fit(*digits)
    assert max(classifier.history_["encoder_lr"][2:]) > 1e-4
    partly = tuned(byol, encoder_lr=1e-5).partial_fit(*digits)
    partly.set_params(encoder_lr=1e-3).partial_fit(*digits)
    assert partly.history_["encoder_lr"] == pytest.approx([1e-5, 1e-3])


def test_what_was_best_on_other_labels_is_not_kept(byol, digits):
    X, y = digits
    X, y = X[y < 2], y[y < 2]
    settings = {"early_stopping": True, "warm_start": True, "head_lr": 0.5}
    classifier = tuned(byol, **settings).fit(X, y)
    classifier.set_params(max_epochs=40).fit(X, 1 - y)
    assert classifier.score(X, 1 - y) > 0.9


def test_a_warm_start_without_an_epoch_left_leaves_what_there_is(byol, digits):
    X, y = digits
    few = np.where(np.arange(200) < 50, y, -1)
    classifier = tuned(byol, warm_start=True, encoder_lr=1e-3).fit(X, few)
    before = classifier.predict_proba(X)
    assert (classifier.fit(X, y).predict_proba(X) == before).all()


def test_a_class_without_an_image_to_hold_out_is_counted(byol, digits):
    X, y = digits
    settings = {"early_stopping": True, "warm_start": True}
    classifier = tuned(byol, **settings).fit(X, y)
    with pytest.raises(ValueError, match="class 9 has 0 labelled images"):
        classifier.fit(X, np.where(y == 9, -1, y))


def test_a_probe_on_a_frame_is_read_as_byol_reads_it(digits):
    X, y = digits
    frame = pd.DataFrame(X, columns=[f"pixel{n}" for n in range(64)])
    callbacks = [ProbeCallback(frame, y)]
    tuned(quick(), callbacks=callbacks).fit(frame, y)


def test_a_kept_interrupt_of_partial_fit_goes_on_counting_steps(digits):
    X, _ = digits

    class Presses(Callback):
        def on_epoch_end(self, net, **kwargs):
            signal.raise_signal(signal.SIGINT)

    byol = quick(batch_size=50, on_interrupt="keep")
    for _ in range(30):
        byol.partial_fit(X)
    byol.set_params(callbacks=[Presses()])
    with pytest.warns(InterruptWarning):
        byol.partial_fit(X[:50])
    rates = byol.set_params(callbacks=None).partial_fit(X).history_["lr"]
    assert rates[-1] == pytest.approx(max(rates))


def test_weights_of_another_length_are_refused_by_score(byol, digits):
    X, y = digits
    classifier = tuned(byol).fit(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier.score(X[:50], y[:50], sample_weight=np.ones(200))
