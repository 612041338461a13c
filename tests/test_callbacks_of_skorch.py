"""Callbacks as users of skorch write them: which one runs, and its parameters."""

import pickle
from collections import namedtuple

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    LoadInitState,
    LRScheduler,
    TrainEndCheckpoint,
)
from torchvision import transforms

from sklearn_byol import BYOLClassifier, BYOLTransformer
from sklearn_byol.callbacks import ProbeCallback
from tests.conftest import quick

STOP = "callbacks__EarlyStopping__patience"
# Of older ones, how they read what they have written.
OF_SKORCH = pytest.mark.filterwarnings("ignore:You are using `torch.load`")


class CollectsInInit(Callback):
    """Makes its list in `__init__`, so that it has no parameter to be made anew of."""

    def __init__(self):
        self.losses = []

    def on_epoch_end(self, net, **kwargs):
        self.losses.append(net.history[-1, "train_loss"])


class Collects(Callback):
    """Makes its list where training begins, as skorch's own callbacks do."""

    def on_train_begin(self, net, **kwargs):
        self.losses_ = []

    def on_epoch_end(self, net, **kwargs):
        self.losses_.append(net.history[-1, "train_loss"])


class Renames(Callback):
    """Keeps its parameter under another name."""

    def __init__(self, every):
        self.n = every

    def on_epoch_end(self, net, **kwargs):
        self.seen_ = self.n


class Hides(Callback):
    """Keeps its parameter under a private name, as optuna's callback does."""

    def __init__(self, shown):
        self._shown = shown

    def on_epoch_end(self, net, **kwargs):
        self._shown.append(len(net.history))


class CannotBeCopied:
    """Stands for a run of a service, which writes to one place."""

    def __deepcopy__(self, memo):
        raise RuntimeError("cannot be copied")


class Writes(Callback):
    def __init__(self, run):
        self.run = run


def ran(estimator, name):
    return dict(estimator.callbacks_)[name]


def test_a_callback_that_makes_a_list_in_init_runs_itself(digits):
    mine = CollectsInInit()
    byol = quick(max_epochs=3, callbacks=[mine]).fit(digits[0])
    assert mine.losses == byol.history_["loss"]
    assert ran(byol, "CollectsInInit") is mine


def test_one_that_can_be_made_anew_stays_as_it_was(digits):
    mine = Collects()
    byol = quick(max_epochs=3, callbacks=[mine]).fit(digits[0])
    assert ran(byol, "Collects").losses_ == byol.history_["loss"]
    assert not hasattr(mine, "losses_")


@pytest.mark.parametrize("kind", [Renames, Hides])
def test_a_parameter_may_be_kept_under_another_name(digits, kind):
    mine = kind([])
    byol = quick(callbacks=[mine]).fit(digits[0])
    assert ran(byol, kind.__name__) is mine


def test_a_class_is_made_into_a_callback(digits):
    byol = quick(callbacks=[Collects]).fit(digits[0])
    assert len(ran(byol, "Collects").losses_) == 1


def test_a_pair_with_none_is_no_callback(digits):
    byol = quick(callbacks=[("off", None), Collects()]).fit(digits[0])
    assert [name for name, _ in byol.callbacks_] == ["Collects"]


def test_names_are_those_of_skorch(digits):
    callbacks = [Collects(), ("mine", Collects()), EarlyStopping("spread"), Collects()]
    byol = quick(callbacks=callbacks).fit(digits[0])
    names = [name for name, _ in byol.callbacks_]
    assert names == ["Collects_1", "mine", "EarlyStopping", "Collects_2"]


def test_the_bar_is_none_of_the_callbacks_that_ran(digits):
    assert quick(verbose=1).fit(digits[0]).callbacks_ == []


def test_clones_have_callbacks_of_their_own():
    byol = BYOLTransformer(callbacks=[EarlyStopping(patience=3), ("p", LRScheduler)])
    copy = clone(byol)
    assert copy.callbacks[0] is not byol.callbacks[0]
    assert copy.callbacks[0].patience == 3
    assert copy.callbacks[1] == ("p", LRScheduler)


@pytest.mark.parametrize(
    "mine", [CollectsInInit(), Hides([]), Writes(CannotBeCopied())]
)
def test_what_cannot_be_copied_is_shared_by_clones(mine):
    (copy,) = clone(BYOLTransformer(callbacks=[mine])).callbacks
    assert copy is mine or copy.run is mine.run


def test_a_search_trains_with_a_callback_of_ones_own(digits):
    X, y = digits
    mine = CollectsInInit()
    pipe = Pipeline([("byol", quick(callbacks=[mine])), ("clf", LogisticRegression())])
    search = GridSearchCV(pipe, {"byol__momentum": [0.9, 0.99]}, cv=2, refit=False)
    search.set_params(estimator__clf__max_iter=2000).fit(X, y)
    assert len(mine.losses) == 4


def test_parameters_of_a_callback_are_set_by_its_name():
    byol = BYOLTransformer(callbacks=[EarlyStopping("spread")])
    byol.set_params(**{STOP: 2})
    assert byol.callbacks[0][1].patience == 2
    assert byol.get_params()[STOP] == 2
    assert byol.get_params(deep=False).keys() == clone(byol).get_params(False).keys()


def test_parameters_of_a_class_are_those_it_is_made_with():
    byol = BYOLTransformer(callbacks=[("lr", LRScheduler)])
    byol.set_params(callbacks__lr__policy="StepLR", callbacks__lr__step_size=3)
    assert byol.get_params()["callbacks__lr__step_size"] == 3


def test_a_callback_is_replaced_or_taken_out_by_its_name(digits):
    byol = quick(callbacks=[EarlyStopping("spread"), Collects()])
    byol.set_params(callbacks__EarlyStopping=None, callbacks__Collects=Hides([]))
    names = [type(one).__name__ for _, one in byol.fit(digits[0]).callbacks_]
    assert names == ["Hides"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"callbacks__Stop__patience": 1}, "not there. The names .* 'EarlyStopping'"),
        ({"callbacks__EarlyStopping__patients": 1}, "Invalid parameter 'patients'"),
        ({"callbacks__EarlyStopping": None, STOP: 1}, "was set to None"),
    ],
)
def test_a_name_that_is_not_there_is_an_error(parameters, message):
    byol = BYOLTransformer(callbacks=[EarlyStopping("spread")])
    with pytest.raises(ValueError, match=message):
        byol.set_params(**parameters)


def test_a_grid_searches_over_parameters_of_callbacks(digits):
    X, y = digits
    stops = EarlyStopping("train_loss", threshold=0.9)
    pipe = Pipeline([("byol", quick(max_epochs=4, callbacks=[stops])), ("clf", _clf())])
    search = GridSearchCV(pipe, {f"byol__{STOP}": [1, 2]}, cv=2).fit(X, y)
    chosen = search.best_params_[f"byol__{STOP}"]
    assert search.best_estimator_["byol"].n_iter_ == chosen + 1


def _clf():
    return LogisticRegression(max_iter=2000)


def test_a_classifier_passes_parameters_on_to_callbacks_of_byol():
    classifier = BYOLClassifier(BYOLTransformer(callbacks=[EarlyStopping("spread")]))
    classifier.set_params(**{f"byol__{STOP}": 7})
    assert classifier.get_params()[f"byol__{STOP}"] == 7


def test_tuning_has_the_callbacks_that_ran(digits):
    X, y = digits
    settings = {"max_epochs": 2, "callbacks": [Collects()], "random_state": 0}
    classifier = BYOLClassifier(quick(), **settings).fit(X, y)
    assert ran(classifier, "Collects").losses_ == classifier.history_["loss"]


def test_what_callbacks_have_collected_is_not_saved(digits):
    byol = quick(callbacks=[Collects()]).fit(digits[0])
    assert not hasattr(pickle.loads(pickle.dumps(byol)), "callbacks_")


class Keeps(Callback):
    """Keeps the weights of the encoder at the end of each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.weights_ = []

    def on_epoch_end(self, net, **kwargs):
        encoder = net.module_.encoder
        self.weights_.append([w.detach().clone() for w in encoder.parameters()])


def are_equal(weights, byol):
    pairs = zip(weights, byol.encoder_.parameters(), strict=True)
    return all(torch.equal(kept, own) for kept, own in pairs)


# What makes the last epoch a bad one is said, as it should be.
@OF_SKORCH
@pytest.mark.filterwarnings("ignore::sklearn_byol.CollapseWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda folder: EarlyStopping(
            "knn_accuracy", lower_is_better=False, patience=9, load_best=True
        ),
        lambda folder: Checkpoint("knn_accuracy_best", dirname=folder, load_best=True),
    ],
)
def test_the_best_epoch_by_a_probe_is_kept(digits, tmp_path, make):
    X, y = digits
    callbacks = [ProbeCallback(X, y), Keeps(), make(tmp_path)]
    settings = {"max_epochs": 5, "lr": 0.02, "momentum": 0.5}
    byol = quick(**settings, callbacks=callbacks).fit(X)
    kept = ran(byol, "Keeps").weights_
    plain = quick(**settings, callbacks=callbacks[:1]).fit(X)
    best = int(np.argmax(plain.history_["knn_accuracy"]))
    assert best < 4  # else it says nothing
    assert [are_equal(weights, byol) for weights in kept].index(True) == best


def test_whether_an_epoch_is_the_best_so_far_is_beside_each_number(digits):
    X, y = digits
    rows = []

    class Reads(Callback):
        def on_train_end(self, net, **kwargs):
            rows.extend(net.history)

    quick(max_epochs=5, callbacks=[ProbeCallback(X, y), Reads()]).fit(X)
    for name, sign in [("train_loss", -1), ("spread", 1), ("knn_accuracy", 1)]:
        values = np.array([sign * row[name] for row in rows])
        are_best = [bool((values[:n] < value).all()) for n, value in enumerate(values)]
        assert [row[f"{name}_best"] for row in rows] == are_best


def test_an_epoch_without_a_score_is_not_the_best(digits):
    X, y = digits
    rows = []

    class Reads(Callback):
        def on_train_end(self, net, **kwargs):
            rows.extend(net.history)

    quick(max_epochs=2, callbacks=[ProbeCallback(X, y, n_epochs=2), Reads()]).fit(X)
    assert [row["knn_accuracy_best"] for row in rows] == [False, True]


def test_validation_scores_have_it_too(digits):
    X, y = digits
    rows = []

    class Reads(Callback):
        def on_train_end(self, net, **kwargs):
            rows.extend(net.history)

    BYOLClassifier(
        quick(), early_stopping=True, max_epochs=2, callbacks=[Reads], random_state=0
    ).fit(X, y)
    assert rows[0]["validation_score_best"] is True


def test_a_name_that_a_class_has_already_is_refused(digits):
    callbacks = [("EarlyStopping", EarlyStopping("spread")), EarlyStopping("spread")]
    byol = quick(callbacks=callbacks)
    with pytest.raises(ValueError, match="names of their own"):
        byol.fit(digits[0])
    with pytest.raises(ValueError, match="names of their own"):
        byol.set_params(callbacks__EarlyStopping__patience=1)


def test_parameters_are_set_of_a_copy():
    mine, own = EarlyStopping("spread"), CollectsInInit()
    byol = BYOLTransformer(callbacks=[mine, own])
    byol.set_params(**{STOP: 2}, callbacks__CollectsInInit__losses=[1])
    assert mine.patience == 5
    assert own.losses == []


class Reads(Callback):
    """Reads what another callback has found."""

    def __init__(self, other):
        self.other = other

    def on_epoch_end(self, net, **kwargs):
        self.seen_ = self.other.best_epoch_


class Watches(Reads):
    """Refers to another callback and cannot be made anew."""

    def __init__(self, other):
        super().__init__(other)
        self.best = []

    def on_epoch_end(self, net, **kwargs):
        self.best.append(self.other.best_epoch_)


@pytest.mark.parametrize("copy", [lambda byol: byol, clone])
def test_a_callback_refers_to_another_one_that_runs(digits, copy):
    stop = EarlyStopping("train_loss")
    byol = copy(quick(max_epochs=2, callbacks=[stop, Reads(stop)])).fit(digits[0])
    assert ran(byol, "Reads").other is ran(byol, "EarlyStopping")
    assert not hasattr(stop, "best_epoch_")


def test_what_one_that_runs_itself_refers_to_runs_itself(digits):
    stop = EarlyStopping("train_loss")
    watches = Watches(stop)
    quick(max_epochs=2, callbacks=[stop, watches]).fit(digits[0])
    assert watches.best == [1, 2]


@OF_SKORCH
def test_a_training_is_saved_and_begun_from_again_as_in_skorch(digits, tmp_path):
    saves = TrainEndCheckpoint(dirname=tmp_path)
    quick(callbacks=[saves]).fit(digits[0])
    byol = quick(max_epochs=2, callbacks=[saves, LoadInitState(saves)]).fit(digits[0])
    assert byol.history_["epoch"][-1] == 2


@pytest.mark.parametrize(
    "views",
    [
        transforms.RandomResizedCrop(8),
        (transforms.RandomCrop(8, padding=1), "gray"),
        transforms.ColorJitter(0.5),
    ],
)
def test_views_of_torchvision_are_cloned(views):
    byol = BYOLTransformer(views=views)
    assert repr(clone(byol).views) == repr(views)
    assert byol.get_params()["views"] is views


class Counts(Callback):
    """Counts epochs, from a number on."""

    def __init__(self, first=0):
        self.first = first

    def on_train_begin(self, net, **kwargs):
        self.n_ = self.first

    def on_epoch_end(self, net, **kwargs):
        self.n_ += 1


class Looks(Callback):
    """Looks at a number of the callbacks that it holds."""

    def __init__(self, held=None):
        self.held = held

    def on_epoch_end(self, net, **kwargs):
        held = self.held.values() if isinstance(self.held, dict) else self.held
        one = self.held if isinstance(held, Callback) else next(iter(held))
        self.seen_ = one.n_


Pair = namedtuple("Pair", "one other")


@pytest.mark.parametrize(
    "hold", [lambda it: it, lambda it: [it], lambda it: (it, 1), lambda it: {"a": it}]
)
def test_callbacks_are_held_in_containers(digits, hold):
    counts = Counts()
    byol = quick(max_epochs=2, callbacks=[counts, Looks(hold(counts))]).fit(digits[0])
    assert ran(byol, "Looks").seen_ == 2


def test_a_named_tuple_that_holds_one_is_left_as_it_is():
    held = Pair(Counts(), 1)
    copy = clone(quick(callbacks=[held.one, Looks(held)]))
    assert copy.callbacks[1].held.other == 1


def test_others_refer_to_what_takes_a_place(digits):
    counts = Counts()
    byol = quick(callbacks=[("c", counts), ("w", Looks(counts))])
    changed = clone(byol).set_params(callbacks__c__first=5).fit(digits[0])
    assert ran(changed, "w").seen_ == 6
    replaced = clone(byol).set_params(callbacks__c=Counts(7)).fit(digits[0])
    assert ran(replaced, "w").seen_ == 8


def test_callbacks_that_refer_to_each_other_run_themselves(digits):
    first, second = Looks(), Looks()
    first.held, second.held = [Counts(), second], [Counts(), first]
    for one in (first, second):
        one.held[0].n_ = 1
    byol = quick(callbacks=[("a", first), ("b", second)]).fit(digits[0])
    assert ran(byol, "a") is first
    assert ran(byol, "b") is second


class Tree(Callback):
    """Holds a container that holds itself."""

    def __init__(self):
        self.root = {"children": []}
        self.root["children"].append({"parent": self.root})


def test_a_container_that_holds_itself_is_no_matter(digits):
    assert quick(callbacks=[Tree()]).fit(digits[0]).n_iter_ == 1
    clone(quick(callbacks=[Tree()]))
