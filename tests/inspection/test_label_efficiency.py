"""LabelEfficiencyDisplay: accuracy over labels."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

mpl.use("agg")

from sklearn_byol.inspection import (
    LabelEfficiencyDisplay,
)
from tests.conftest import pipeline
from tests.inspection.conftest import Y


class Recorder(KNeighborsClassifier):
    """Remembers what it is fitted on."""

    seen: list = []  # noqa: RUF012  shared by all clones, on purpose

    def fit(self, X, y):
        Recorder.seen.append((X[:, 0].copy(), y))
        return super().fit(X, y)


def test_all_representations_see_the_same_draws():
    Recorder.seen = []
    rows = np.arange(20.0)[:, None] + [0, 1]
    pairs = {"a": (rows, rows), "b": (rows, rows)}
    display = LabelEfficiencyDisplay.from_representations(
        pairs,
        Y,
        Y,
        labels_per_class=(2, 4),
        n_draws=3,
        classifier=Recorder(n_neighbors=1),
    )
    first, second = Recorder.seen[:6], Recorder.seen[6:]
    assert len(second) == 6
    for (a, y_a), (b, y_b) in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
        assert list(np.bincount(y_a)) == list(np.bincount(y_b)) == [len(a) // 2] * 2
    assert len({tuple(rows) for rows, _ in first}) == 6
    assert display.accuracies["a"].shape == (2, 3)


def test_accuracies_are_those_of_the_default_probe(digits):
    X, y = digits
    pair = {"pixels": (X[:100], X[100:])}
    display = LabelEfficiencyDisplay.from_representations(
        pair, y[:100], y[100:], labels_per_class=(None,), n_draws=2
    )
    rows = X / np.sqrt(X[:100].var(axis=0).mean())
    probe = LogisticRegression(max_iter=1000).fit(rows[:100], y[:100])
    expected = probe.score(rows[100:], y[100:])
    assert display.accuracies["pixels"].tolist() == [[expected, expected]]
    assert display.labels_per_class == [10]


def test_a_line_is_the_mean_and_a_band_the_range():
    scores = np.array([[0.2, 0.4, 0.9], [0.5, 0.6, 0.7]])
    display = LabelEfficiencyDisplay([1, 10], {"a": scores, "b": scores / 2}).plot()
    assert [line.get_label() for line in display.ax_.lines] == ["a", "b"]
    np.testing.assert_allclose(display.ax_.lines[0].get_ydata(), [0.5, 0.6])
    band = display.ax_.collections[0].get_paths()[0].vertices
    assert band[band[:, 0] == 1][:, 1].min() == 0.2
    assert band[band[:, 0] == 1][:, 1].max() == 0.9
    ticks = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert ticks == ["1", "10"]


def test_estimators_are_compared_by_what_they_make_of_images(fitted, digits):
    X, y = digits
    split = (X[:100], y[:100], X[100:], y[100:])
    options = {"labels_per_class": (2,), "n_draws": 2}
    display = LabelEfficiencyDisplay.from_estimator(fitted, *split, **options)
    pair = (fitted.transform(X[:100]), fitted.transform(X[100:]))
    expected = LabelEfficiencyDisplay.from_representations(
        {"same": pair}, y[:100], y[100:], **options
    )
    np.testing.assert_array_equal(
        display.accuracies["BYOLTransformer"], expected.accuracies["same"]
    )
    pipe = {"pipe": pipeline().fit(*split[:2])}
    assert set(
        LabelEfficiencyDisplay.from_estimator(pipe, *split, **options).accuracies
    ) == {"pipe"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels_per_class": (11,)}, "labels_per_class has 11, but class 0 has 10 im"),
        (
            {"y_test": Y[:3]},
            r"y_test has 3 entries, but representations\['a'\] of test",
        ),
        ({"y_train": Y[:3]}, r"y_train has 3 entries, but .* of train has 20"),
    ],
)
def test_label_efficiency_names_both_sides_of_a_mismatch(rows, changes, message):
    given = {"representations": {"a": (rows, rows)}, "y_train": Y, "y_test": Y}
    with pytest.raises(ValueError, match=message):
        LabelEfficiencyDisplay.from_representations(**{**given, **changes})
