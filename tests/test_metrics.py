import pickle

import numpy as np
import pytest
import torch
from scipy.special import hyp0f1
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_byol.metrics import (
    alignment,
    alignment_scorer,
    effective_rank,
    effective_rank_scorer,
    knn_accuracy,
    uniformity,
    uniformity_scorer,
)
from tests.conftest import pipeline, quick

SCORERS = [effective_rank_scorer, alignment_scorer, uniformity_scorer]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def rows(rng):
    """40 rows of 6 numbers, far from centred."""
    return rng.normal(size=(40, 6)) + 1


def turned(rows, rng):
    """The same rows after a rotation."""
    rotation, _ = np.linalg.qr(rng.normal(size=(rows.shape[1], rows.shape[1])))
    return rows @ rotation


# Effective rank


def test_effective_rank_of_an_identity_covariance_is_the_number_of_columns(rng):
    orthogonal, _ = np.linalg.qr(rng.normal(size=(50, 8)))
    assert effective_rank(orthogonal) == pytest.approx(8, rel=1e-4)


def test_effective_rank_of_rank_one_is_one(rng):
    assert effective_rank(np.outer(rng.normal(size=20), np.arange(5))) == pytest.approx(
        1, abs=1e-4
    )


def test_effective_rank_is_the_exponential_of_an_entropy(rows):
    # From eigenvalues instead of singular values, by the formula of the paper.
    values = np.sqrt(np.linalg.eigvalsh(rows.T @ rows))
    shares = values / values.sum() + 1e-7
    expected = np.prod(shares**-shares)
    assert effective_rank(rows) == pytest.approx(expected, rel=1e-9)


def test_effective_rank_is_not_centred(rows):
    assert effective_rank(rows + 100) < effective_rank(rows) - 1


def test_effective_rank_ignores_scale_and_rotation(rows, rng):
    assert effective_rank(7 * turned(rows, rng)) == pytest.approx(effective_rank(rows))


def test_effective_rank_is_no_more_than_the_number_of_rows(rng):
    assert 3 < effective_rank(rng.normal(size=(4, 100))) <= 4.001


def test_effective_rank_takes_read_only_float32(rows):
    single = rows.astype(np.float32)
    single.flags.writeable = False
    assert effective_rank(single) == pytest.approx(effective_rank(rows), rel=1e-5)


# Alignment


def test_alignment_is_the_mean_squared_distance_of_unit_rows(rng):
    pair = rng.normal(size=(2, 9, 5))
    total = 0.0
    for a, b in zip(*pair, strict=True):
        total += 2 - 2 * a @ b / np.sqrt((a @ a) * (b @ b))
    assert alignment(*pair) == pytest.approx(total / 9)


@pytest.mark.parametrize(("sign", "alpha", "expected"), [(1, 2, 0), (-1, 2, 4)])
def test_alignment_reaches_its_bounds(rows, sign, alpha, expected):
    assert alignment(rows, sign * 3 * rows, alpha=alpha) == pytest.approx(expected)


def test_alpha_is_the_power_of_the_distance():
    assert alignment([[1.0, 0.0]], [[0.0, 1.0]], alpha=3) == pytest.approx(2**1.5)


def test_alignment_ignores_the_length_of_rows(rng):
    pair = rng.normal(size=(2, 9, 5))
    lengths = rng.uniform(1, 9, (9, 1))
    assert alignment(pair[0] * lengths, pair[1]) == pytest.approx(alignment(*pair))


# Uniformity


def test_uniformity_is_the_log_mean_of_a_kernel_over_pairs(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    kernel = [
        np.exp(-3 * np.sum((unit[i] - unit[j]) ** 2))
        for i in range(len(unit))
        for j in range(i)
    ]
    assert uniformity(rows, t=3) == pytest.approx(np.log(np.mean(kernel)))


@pytest.mark.parametrize("n_dims", [2, 3, 64])
def test_uniformity_of_the_sphere_has_its_closed_form(rng, n_dims):
    # E exp(2 t u.v) over the sphere is 0F1(; d/2; t^2).
    points = rng.normal(size=(2000, n_dims))
    expected = np.log(hyp0f1(n_dims / 2, 4.0)) - 4
    assert uniformity(points) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("other", "expected"), [([2.0, 0.0], 0), ([-1.0, 0.0], -8)])
def test_uniformity_of_two_points(other, expected):
    assert uniformity([[1.0, 0.0], other]) == pytest.approx(expected, abs=1e-12)


def test_an_encoder_that_sees_nothing_is_not_uniform():
    assert uniformity(np.zeros((10, 4))) == 0


def test_uniformity_ignores_length_rotation_and_order(rows, rng):
    other = turned(rows * rng.uniform(1, 9, (len(rows), 1)), rng)[::-1]
    assert uniformity(other) == pytest.approx(uniformity(rows))


def test_chunks_do_not_change_uniformity(rng):
    points = rng.normal(size=(3000, 4))
    whole = uniformity(points)
    with config_context(working_memory=1):  # MiB: 43 rows at a time
        assert uniformity(points) == pytest.approx(whole, rel=1e-12)


# Nearest neighbours


def naive_knn(train, y_train, test, n_neighbors, temperature):
    guesses = []
    for row in test:
        norms = np.linalg.norm(train, axis=1) * np.linalg.norm(row)
        cosines = train @ row / norms
        votes = {}
        for index in sorted(range(len(train)), key=lambda i: -cosines[i])[:n_neighbors]:
            weight = np.exp(cosines[index] / temperature)
            votes[y_train[index]] = votes.get(y_train[index], 0) + weight
        guesses.append(max(votes, key=votes.get))
    return np.array(guesses)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_knn_accuracy_is_that_of_a_weighted_vote(rng, temperature):
    train, test = rng.normal(size=(300, 5)), rng.normal(size=(290, 5))
    y_train, y_test = (rng.choice(list("abc"), n) for n in (300, 290))
    guesses = naive_knn(train, y_train, test, 20, temperature)
    assert knn_accuracy(
        train, y_train, test, y_test, n_neighbors=20, temperature=temperature
    ) == np.mean(guesses == y_test)


def test_a_vote_of_all_is_won_by_the_nearest_if_temperature_is_low():
    train, y_train = [[1.0, 0.0], [0.0, 1.0], [0.1, 1.0]], ["cat", "dog", "dog"]
    given = {"representations_test": [[1.0, 0.1]], "y_test": ["cat"], "n_neighbors": 3}
    assert knn_accuracy(train, y_train, **given, temperature=1e-5) == 1
    assert knn_accuracy(train, y_train, **given, temperature=100) == 0


def test_knn_accuracy_ignores_lengths_and_kinds_of_labels(rng, rows):
    lengths = rng.uniform(1, 9, (len(rows), 1))
    y = np.arange(len(rows)) % 2
    plain = knn_accuracy(rows, y, rows[:20] + 0.5, y[:20], n_neighbors=5)
    names = np.array(["cat", "dog"])[y]
    scaled = (rows * lengths, list(names), rows[:20] + 0.5, list(names[:20]))
    assert 0 < plain < 1
    assert knn_accuracy(*scaled, n_neighbors=5) == plain


# Errors

TWO = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("function", [effective_rank, uniformity])
@pytest.mark.parametrize(
    ("representations", "message"),
    [
        ([1.0, 2.0], r"representations must have shape .* Got shape \(2,\)"),
        ([[1.0, 2.0]], r"2 or more\. Got shape \(1, 2\)"),
        ([[1.0], [np.nan]], "representations contains NaN"),
    ],
)
def test_representations_that_are_none_are_named(function, representations, message):
    with pytest.raises(ValueError, match=message):
        function(representations)


def test_views_of_different_shape_are_named():
    with pytest.raises(ValueError, match=r"_1 has shape \(2, 2\), .*_2 has \(1, 2\)"):
        alignment(TWO, TWO[:1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": [0]}, "y_train has 1 entries, but representations_train has 2"),
        ({"y_test": [0]}, "y_test has 1 entries, but representations_test has 2"),
        ({"representations_test": [[1.0], [2.0]]}, "_test has 1 columns, but .* has 2"),
        ({"n_neighbors": 3}, "n_neighbors=3 is more than the 2 rows of represent"),
        ({"n_neighbors": 0}, "'n_neighbors' parameter of knn_accuracy must be an int"),
        ({"temperature": 0}, "'temperature' parameter of knn_accuracy must be a float"),
        ({"representations_test": [[np.inf, 0]] * 2}, "representations_test contains"),
    ],
)
def test_knn_accuracy_names_both_sides_of_a_mismatch(changes, message):
    given = {"representations_train": TWO, "y_train": [0, 1], "n_neighbors": 1}
    given |= {"representations_test": TWO, "y_test": [0, 1]}
    with pytest.raises(ValueError, match=message):
        knn_accuracy(**{**given, **changes})


# Scorers


def test_scorers_give_the_figures_of_what_transform_returns(fitted, digits):
    rows = fitted.transform(digits[0])
    assert effective_rank_scorer(fitted, digits[0]) == effective_rank(rows)
    assert uniformity_scorer(fitted, digits[0]) == -uniformity(rows)


def test_alignment_scorer_gives_that_of_two_views(fitted, digits):
    view_1, view_2 = fitted.sample_views(digits[0], random_state=0)
    with torch.inference_mode():
        rows = [fitted.encoder_(view).numpy() for view in (view_1, view_2)]
    assert alignment_scorer(fitted, digits[0]) == pytest.approx(-alignment(*rows))


def test_alignment_scorer_draws_the_same_views_at_each_call(fitted, digits):
    first = alignment_scorer(fitted, digits[0])
    assert -4 < first < 0
    assert alignment_scorer(fitted, digits[0]) == first


def test_alignment_scorer_takes_more_images_than_it_draws_at_a_time(fitted, digits):
    many = np.concatenate([digits[0], digits[0]])
    once = alignment_scorer(fitted, digits[0])
    assert alignment_scorer(fitted, many) == pytest.approx(once, rel=0.1)


@pytest.mark.parametrize("scorer", SCORERS)
def test_scorers_take_pipelines_with_and_without_a_predictor(scorer, fitted, digits):
    X, y = digits
    rows = fitted.transform(X)
    scale = StandardScaler().fit(rows)
    predict = LogisticRegression(max_iter=1000).fit(scale.transform(rows), y)
    steps = [
        ("root", FunctionTransformer(np.sqrt).fit(X)),
        ("byol", fitted),
        ("nothing", "passthrough"),
        ("scale", scale),
    ]
    alone, scaled = scorer(fitted, np.sqrt(X)), scorer(Pipeline(steps), X)
    assert scorer(Pipeline([*steps, ("clf", predict)]), X, y) == scaled
    assert scaled != pytest.approx(alone, rel=1e-3)
    assert scorer(Pipeline(steps[:3]), X) == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("estimator", [LogisticRegression(), pipeline()[2:]])
def test_scorers_want_something_that_transforms(scorer, estimator, digits):
    with pytest.raises(TypeError, match="estimator must"):
        scorer(estimator, digits[0])


def test_alignment_scorer_wants_the_transformer_itself(digits):
    with pytest.raises(TypeError, match="a BYOLTransformer or a Pipeline with one"):
        alignment_scorer(StandardScaler(), digits[0])


def test_a_search_needs_no_labels(digits):
    grid = {"momentum": [0.5, 0.99], "lr": [1e-4, 3e-3]}
    byol = quick(batch_size=25)
    search = GridSearchCV(byol, grid, scoring=effective_rank_scorer, cv=2)
    search.fit(digits[0])
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 4
    assert search.best_params_ == search.cv_results_["params"][np.argmax(scores)]


@pytest.mark.slow
def test_a_search_over_a_pipeline_runs_in_two_processes(digits):
    search = GridSearchCV(
        pipeline()[:2],
        {"byol__momentum": [0.5, 0.99]},
        scoring={scorer.__name__: scorer for scorer in SCORERS},
        refit="effective_rank_scorer",
        cv=2,
        n_jobs=2,
    ).fit(digits[0])
    assert np.isfinite(search.cv_results_["mean_test_alignment_scorer"]).all()


@pytest.mark.parametrize("scorer", SCORERS)
def test_scorers_survive_pickling(scorer):
    assert pickle.loads(pickle.dumps(scorer)) is scorer
