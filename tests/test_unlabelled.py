"""Marks of images without a label, -1, None, NaN and NA, mean the same everywhere."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut

mpl.use("agg")
import matplotlib.pyplot as plt

from sklearn_byol import BYOLClassifier, LabelsWarning
from sklearn_byol._unlabelled import as_labels, is_labelled, labels_among
from sklearn_byol.callbacks import ProbeCallback
from sklearn_byol.estimators._labels import (
    Labels,
    labels_at,
    scored_part,
    warn_of_marks,
)
from sklearn_byol.inspection import (
    LabelEfficiencyDisplay,
    NeighborsDisplay,
    RepresentationMapDisplay,
)
from sklearn_byol.metrics import knn_accuracy
from sklearn_byol.model_selection import LabeledTestSplit
from tests.conftest import quick

NAN = float("nan")


class Column:
    """A column of another library, such as polars, with a type of its own."""

    dtype, shape = "Int64", (6,)

    def __iter__(self):
        return iter([0, 1, None, 0, 1, None])

    def to_numpy(self):
        return np.array([0, 1, NAN, 0, 1, NAN])


# Six images, of which the third and the last have no label.
NUMBERS = {
    "minus_one": [0, 1, -1, 0, 1, -1],
    "tuple": (0, 1, -1, 0, 1, -1),
    "int8": np.array([0, 1, -1, 0, 1, -1], np.int8),
    "tensor": torch.tensor([0, 1, -1, 0, 1, -1]),
    "none": [0, 1, None, 0, 1, None],
    "both": [0, 1, None, 0, 1, -1],
    "na_in_a_list": [0, 1, pd.NA, 0, 1, -1],
    "nan_in_objects": np.array([0, 1, NAN, 0, 1, -1.0], object),
    "Int64": pd.Series([0, 1, None, 0, 1, -1], dtype="Int64"),
    "extension_array": pd.array([0, 1, None, 0, 1, None], dtype="Int64"),
    "category": pd.Series([0, 1, None, 0, 1, None], dtype="category"),
    "reindexed": pd.Series([0, 1, -1, 0, 1, -1], index=[9, 8, 7, 6, 5, 4]),
    "column": Column(),
}
FLOATS = {
    "nan": [0.0, 1.0, NAN, 0.0, 1.0, NAN],
    "minus_one_float": np.array([0, 1, -1, 0, 1, -1.0]),
    "float32": np.array([0, 1, NAN, 0, 1, -1], np.float32),
    "float_tensor": torch.tensor([0, 1, NAN, 0, 1, NAN], requires_grad=True),
    "Float64": pd.Series([0, 1, None, 0, 1, -1], dtype="Float64"),
    "series": pd.Series([0, 1, None, 0, 1, None]),
}
STRINGS = {
    "minus_one_string": ["a", "b", -1, "a", "b", -1],
    "none_string": ["a", "b", None, "a", "b", None],
    "nan_string": ["a", "b", NAN, "a", "b", None],
    "objects": np.array(["a", "b", NAN, "a", "b", -1], object),
    "series_string": pd.Series(["a", "b", None, "a", "b", None]),
    "nullable_string": pd.Series(["a", "b", None, "a", "b", None], dtype="string"),
    "category_string": pd.Series(["a", "b", None, "a", "b", None], dtype="category"),
    "series_objects": pd.Series(["a", "b", pd.NaT, "a", "b", -1], dtype=object),
}
ALL = {**NUMBERS, **FLOATS, **STRINGS}
any_mark = pytest.mark.parametrize("name", ALL)
ROWS = np.array([[1, 0.1], [0.1, 1], [1, 0.2], [1, 0], [0, 1], [0.2, 1]])


@pytest.fixture
def close():
    yield
    plt.close("all")


# What a mark is


@any_mark
def test_marks_are_told_from_labels(name):
    has_label = is_labelled(as_labels("y", ALL[name]))
    assert has_label.tolist() == [True, True, False, True, True, False]


@pytest.mark.parametrize("name", NUMBERS)
def test_whole_numbers_stay_whole_beside_marks(name):
    _, labels = labels_among("y", as_labels("y", NUMBERS[name]))
    assert labels.dtype.kind == "i"


@pytest.mark.parametrize("name", FLOATS)
def test_floats_stay_floats_beside_marks(name):
    _, labels = labels_among("y", as_labels("y", FLOATS[name]))
    assert labels.dtype.kind == "f"
    assert labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("name", STRINGS)
def test_strings_stay_strings_beside_marks(name):
    _, labels = labels_among("y", as_labels("y", STRINGS[name]))
    assert labels.tolist() == ["a", "b", "a", "b"]


def test_booleans_may_be_missing():
    y = pd.Series([True, None, False], dtype="boolean")
    chosen, labels = labels_among("y", as_labels("y", y))
    assert chosen.tolist() == [0, 2]
    assert labels.dtype == bool


def test_a_frame_of_one_column_is_a_column():
    frame = pd.DataFrame({"label": NUMBERS["Int64"]})
    chosen, labels = labels_among("y", as_labels("y", frame))
    assert chosen.tolist() == [0, 1, 3, 4]
    assert labels.dtype.kind == "i"


def test_times_that_are_missing_are_no_labels():
    y = np.array(["2020-01-01", "NaT"], "datetime64[D]")
    assert is_labelled(as_labels("y", y)).tolist() == [True, False]


@pytest.mark.parametrize("text", ["-1", "nan"])
def test_a_string_that_numpy_makes_of_a_mark_is_an_error(text):
    mark = float(text) if text == "nan" else int(text)
    with pytest.raises(ValueError, match=f"string '{text}'.*dtype=object"):
        as_labels("y", np.array(["a", mark]))


def test_mixed_labels_say_how_to_mark_beside_strings():
    with pytest.raises(ValueError, match=r"int, str.*-1, None or NaN.*dtype=object"):
        labels_among("y", as_labels("y", ["a", 3, None]))


def test_masked_labels_say_how_to_mark():
    with pytest.raises(ValueError, match=r"y has masked values.*y\.filled\(-1\)"):
        as_labels("y", np.ma.masked_equal([0, 1, 2], 2))


def test_infinite_labels_are_an_error_beside_marks():
    y = pd.Series([0, np.inf, None], dtype="Float64")
    with pytest.raises(ValueError, match="y contains infinity"):
        labels_among("y", as_labels("y", y))


def test_complex_labels_are_an_error_beside_missing_ones():
    with pytest.raises(ValueError, match="y has values of the type complex128"):
        labels_among("y", as_labels("y", [0, 1j, None]))


# BYOLClassifier


@any_mark
def test_classes_are_those_of_the_labelled_images(name):
    labels = Labels.of(ALL[name], 6)
    assert labels.chosen.tolist() == [0, 1, 3, 4]
    assert labels.codes.tolist() == [0, 1, 0, 1]
    assert labels.classes.tolist() == (["a", "b"] if name in STRINGS else [0, 1])


def test_a_mark_of_any_kind_makes_the_same_classifier(fitted, digits):
    X, y = digits
    clf = BYOLClassifier(FrozenEstimator(fitted), max_epochs=1, random_state=0)
    few = np.arange(200) < 50
    expected = clf.fit(X, np.where(few, y, -1)).predict_proba(X)
    clf.fit(X, pd.Series(y, dtype="Int64").where(few))
    assert clf.classes_.dtype.kind == "i"
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


@pytest.mark.parametrize("missing", [[], [None], [NAN]])
def test_minus_one_and_one_are_two_classes_beside_missing_labels(missing):
    y = [-1, 1, -1, 1, *missing]
    with pytest.warns(LabelsWarning, match="-1 and 1 only"):
        labels = Labels.of(y, len(y))
    assert labels.classes.tolist() == [-1, 1]
    assert labels.chosen.tolist() == [0, 1, 2, 3]


def test_labels_that_are_all_missing_are_an_error():
    with pytest.raises(
        ValueError, match=r"no label: all.*None or NaN.*BYOLTransformer"
    ):
        Labels.of([None, NAN, -1], 3)


# The score of BYOLClassifier


@any_mark
def test_labelled_images_are_scored(name):
    chosen = scored_part(ALL[name])
    assert chosen.tolist() == [0, 1, 3, 4]
    expected = ["a", "b"] * 2 if name in STRINGS else [0, 1] * 2
    assert labels_at(ALL[name], chosen).tolist() == expected


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match=r"y holds no label.*nothing to score"):
        scored_part([-1, None, NAN])


@pytest.mark.parametrize(
    ("classes", "expected"), [([-1, 1], [0, 1]), ([0, 1], [1]), (["a", "b"], [1])]
)
def test_minus_one_is_scored_where_it_is_a_class(classes, expected):
    assert scored_part([-1, 1, None], np.array(classes)).tolist() == expected


def test_minus_one_and_one_alone_are_scored():
    assert scored_part([-1, 1, None]).tolist() == [0, 1]


# y that BYOLTransformer ignores


@any_mark
def test_marks_beside_two_classes_are_told(name):
    if name != "column":
        with pytest.warns(LabelsWarning, match=r"marks 2 images .*BYOLClassifier"):
            warn_of_marks(ALL[name])


class Explodes:
    def __getattr__(self, name):
        raise RuntimeError


IGNORED = {
    "nothing": None,
    "number": 3,
    "no_mark": [0, 1, 2],
    "one_other_class": [0, -1, 0],
    "two_classes": [-1, 1, -1],
    "no_label": [-1, None],
    "fractions": [0.5, -1.0, 0.25, NAN],
    "negative_integers": [-2, -1, 0, 3],
    "negative_floats": [-2.0, NAN, 0, 3],
    "two_columns": np.array([[0, -1], [1, -1], [2, -1]]),
    "lists": [[0, 1], [-1, 2], [3]],
    "arrays": [np.zeros((9, 9)), np.ones((9, 9))],
    "strings_of_mark": np.array(["a", "b", "-1"]),
    "masked": np.ma.masked_equal([0, 1, -1], 1),
    "meta": torch.zeros(3, device="meta"),
    "infinite": [0.0, 1.0, np.inf, -1.0],
    "times": np.array(["2020-01-01", "2020-01-02", "NaT"], "datetime64[D]"),
    "mixed": ["a", 0, None, "b"],
    "set": {0, 1, -1},
    "generator": (label for label in [0, 1, -1]),
    "empty": [],
    "explosive": Explodes(),
    "frame": pd.DataFrame({"a": [0, 1, None], "b": [0, 1, 2]}),
}


@pytest.mark.parametrize("name", IGNORED)
def test_nothing_else_is_told_of_a_y_that_is_ignored(name):
    warn_of_marks(IGNORED[name])  # warnings are errors


def test_missing_labels_beside_minus_one_and_one_are_told():
    with pytest.warns(LabelsWarning, match="marks 1 images"):
        warn_of_marks([-1, 1, None])


def test_a_generator_that_is_ignored_is_not_used_up():
    labels = iter([0, 1, -1])
    warn_of_marks(labels)
    assert list(labels) == [0, 1, -1]


# LabeledTestSplit


@any_mark
def test_unlabelled_images_are_never_tested_on(name):
    splits = list(LabeledTestSplit(2).split(ROWS, ALL[name]))
    assert [test.tolist() for _, test in splits] == [[0, 1], [3, 4]]
    assert all({2, 5} <= set(train) for train, _ in splits)
    assert LabeledTestSplit(2).get_n_splits(ROWS, ALL[name]) == 2


def test_splits_take_minus_one_for_the_mark_beside_one_and_tell():
    with pytest.warns(LabelsWarning, match="one class is left"):
        (_, test), *_ = LabeledTestSplit(2).split(None, [-1, 1, -1, 1])
    assert test.tolist() == [1]


def test_groups_of_unlabelled_images_are_not_counted():
    y, groups = [0, 1, None, 0, 1, -1], [0, 0, 7, 1, 1, 8]
    cv = LabeledTestSplit(LeaveOneGroupOut())
    assert cv.get_n_splits(None, y, groups) == len(list(cv.split(None, y, groups))) == 2


# Metrics and the probe


@any_mark
def test_unlabelled_neighbours_do_not_vote_nor_are_scored(name):
    y = ALL[name]
    _, labels = labels_among("y", as_labels("y", y))
    kept = ROWS[[0, 1, 3, 4]]
    for n_neighbors in (1, 3, 4):
        expected = knn_accuracy(kept, labels, kept, labels, n_neighbors=n_neighbors)
        assert knn_accuracy(ROWS, y, ROWS, y, n_neighbors=n_neighbors) == expected


def test_the_nearest_neighbour_without_a_label_is_passed_over():
    train, y_train = [[1, 0], [1, 0.5], [0, 1]], [None, "cat", "dog"]
    assert knn_accuracy(train, y_train, [[1, 0.0]], ["cat"], n_neighbors=1) == 1


@pytest.mark.parametrize("mark", [-1, NAN])
def test_a_probe_leaves_out_images_without_a_label(digits, mark):
    X, y = digits
    y = y.astype(float)
    marked = np.where(np.arange(200) < 100, y, mark)
    scores = [
        quick(callbacks=[ProbeCallback(*given)]).fit(X).history_["knn_accuracy"]
        for given in ((X, marked), (X[:100], y[:100]))
    ]
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([-1] * 10, "y holds no label: all of its values"),
        ([1, 1] + [-1] * 8, "two classes or more. Classes labelled: 1;"),
        ([0, 0, 1] + [None] * 7, "images of the rarest, 1: 1."),
    ],
)
def test_a_probe_of_too_few_labels_is_an_error(digits, labels, message):
    X, _ = digits
    with pytest.raises(ValueError, match=message):
        quick(callbacks=[ProbeCallback(X[:10], labels)]).fit(X)


# Displays


@pytest.mark.usefixtures("close")
def test_labels_are_drawn_from_labelled_images_only():
    rows = np.random.default_rng(0).normal(size=(30, 3)) + np.arange(30)[:, None] % 2
    y = np.array([*[0, 1] * 10, *[NAN] * 10])
    marked, alone = (
        LabelEfficiencyDisplay.from_representations(
            {"a": (rows[:n], rows[:n])},
            y[:n],
            y[:n],
            labels_per_class=(2, None),
            classifier=LogisticRegression(),
        )
        for n in (30, 20)
    )
    assert marked.labels_per_class == [2, 10]
    np.testing.assert_array_equal(marked.accuracies["a"], alone.accuracies["a"])


@pytest.mark.usefixtures("close")
def test_the_default_classifier_is_scaled_by_labelled_images():
    rows, y = np.repeat(ROWS, 2, axis=0), np.repeat([0, 1, -1, 0, 1, -1], 2)
    spoiled = np.where(y[:, None] < 0, 1e9, rows)
    plain, other = (
        LabelEfficiencyDisplay.from_representations(
            {"a": (one, one)}, y, y, labels_per_class=(1,)
        ).accuracies["a"]
        for one in (rows, spoiled)
    )
    np.testing.assert_array_equal(plain, other)


@any_mark
@pytest.mark.usefixtures("close")
def test_a_map_has_unlabelled_points_in_gray(name):
    display = RepresentationMapDisplay.from_representations(ROWS, ALL[name])
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names[0] == "no label"
    assert len(names) == 3
    gray, *_ = display.ax_.collections
    np.testing.assert_array_equal(gray.get_offsets(), display.points[[2, 5]])


@pytest.mark.usefixtures("close")
def test_a_map_of_fractions_has_missing_ones_in_gray():
    y = [0.5, -1, NAN, 0.25, 3, NAN]
    display = RepresentationMapDisplay.from_representations(ROWS, y)
    gray, coloured = display.ax_.collections
    np.testing.assert_array_equal(gray.get_offsets(), display.points[[2, 5]])
    assert coloured.get_array().tolist() == [0.5, -1, 0.25, 3]
    (text,) = display.ax_.get_legend().get_texts()
    assert text.get_text() == "no label"


@pytest.mark.usefixtures("close")
def test_a_map_without_any_label_is_gray():
    display = RepresentationMapDisplay.from_representations(ROWS, [None] * 6)
    assert len(display.ax_.collections) == 1


@any_mark
@pytest.mark.usefixtures("close")
def test_unlabelled_neighbours_are_named_and_not_framed(name):
    display = NeighborsDisplay.from_representations(
        ROWS, np.zeros((6, 4, 4)), ALL[name], queries=[0], n_neighbors=5
    )
    captions = [text.get_text().split("   ")[0] for text in display.ax_.texts[2:]]
    assert captions.count("no label") == 2
    assert len(display.ax_.lines) == 2  # the two images of the other class


@pytest.mark.usefixtures("close")
def test_no_neighbour_of_an_unlabelled_image_is_framed():
    display = NeighborsDisplay.from_representations(
        ROWS, np.zeros((6, 4, 4)), NUMBERS["none"], queries=[2], n_neighbors=5
    )
    assert not display.ax_.lines
