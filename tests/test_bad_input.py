"""Whatever is no image, and any number outside its interval, is an error that names it.

Drawn by hypothesis, always the same ones, and before any training. The tables beside
this file have one row for each thing that is said.
"""

import copy
import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.utils._param_validation import Interval, make_constraint

from sklearn_byol import BYOLClassifier, BYOLTransformer, RandomViews, UnlabeledPool
from sklearn_byol.metrics import alignment, effective_rank, knn_accuracy, uniformity
from tests.conftest import tiny

pytestmark = pytest.mark.usefixtures("no_training")
few = functools.partial(
    settings,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

GOOD = np.random.default_rng(0).random((6, 8, 8))
LABELS = np.arange(6) % 2
SHAPES = st.sampled_from([(6, 64), (6, 8, 8), (6, 8, 8, 3)])
NO_NUMBERS = (
    *("c8", "c16", "M8[s]", "m8[s]", "U1", "S1", "V1"),
    np.dtype([("value", float), ("other", int)]),
)


class Rude:
    """Has a length and cannot be indexed."""

    def __len__(self):
        return 3


class RudeArray:
    """Claims to be an array and is none."""

    shape, ndim, dtype = (6, 64), 2, np.dtype(float)

    def __len__(self):
        return 6


# What is no array, and of what no array can be made that has two axes or more.
SCALARS = st.one_of(
    st.none(), st.integers(), st.floats(), st.complex_numbers(), st.booleans()
)
WORDS = st.text(max_size=20).filter(lambda text: not Path(text or "x").exists())
OBJECTS = st.sampled_from(
    [print, np.ndarray, object(), slice(3), Rude(), RudeArray(), range(64)]
)
UNORDERED = st.one_of(
    st.dictionaries(st.text(max_size=5), SCALARS, max_size=3),
    st.sets(st.integers(), max_size=3),
    st.builds(lambda items: (item for item in items), st.lists(st.floats())),
    st.builds(iter, st.lists(st.floats())),
    st.binary(max_size=9),
    st.builds(bytearray, st.binary(max_size=9)),
)
LISTS = st.one_of(
    st.lists(st.one_of(SCALARS, OBJECTS, UNORDERED), max_size=4),
    st.builds(tuple, st.lists(SCALARS, max_size=4)),
    st.lists(st.just([]), min_size=1, max_size=3),
    st.lists(st.integers(1, 70), min_size=2, max_size=4, unique=True).map(
        lambda lengths: [[0.5] * n for n in lengths]
    ),
)


def shapes_of_no_images():
    """No axis or one, more than four, or one that is empty."""
    sides = st.integers(1, 9)
    return st.one_of(
        st.just(()),
        st.tuples(sides),
        st.lists(sides, min_size=5, max_size=6).map(tuple),
        st.tuples(SHAPES, st.integers(0, 3)).map(
            lambda drawn: tuple(
                0 if axis == drawn[1] % len(drawn[0]) else n
                for axis, n in enumerate(drawn[0])
            )
        ),
    )


@st.composite
def spoiled(draw):
    """Images of which one pixel is no finite number."""
    images = np.full(draw(SHAPES), 0.5, draw(st.sampled_from(["f2", "f4", "f8", "g"])))
    place = draw(st.integers(0, images.size - 1))
    images.flat[place] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return images


@st.composite
def without_numbers(draw):
    """Arrays of the right shape, of what are no real numbers, or not all."""
    shape = draw(SHAPES)
    if draw(st.booleans()):
        return np.zeros(shape, draw(st.sampled_from(NO_NUMBERS)))
    if draw(st.booleans()):
        return np.full(shape, draw(st.sampled_from([None, "a", b"a"])), object)
    images = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    return np.ma.masked_greater(images, draw(st.floats(0, 0.9)))


@st.composite
def containers(draw):
    """Rows in a container of which no array of numbers can be made."""
    rows = GOOD.reshape(6, 64)
    kinds = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    return draw(
        st.one_of(
            st.sampled_from(kinds).map(
                lambda kind: sparse.csr_matrix(rows).asformat(kind)
            ),
            st.sampled_from(kinds).map(
                lambda kind: sparse.csr_array(rows).asformat(kind)
            ),
            st.sampled_from(
                [
                    torch.from_numpy(rows).to_sparse(),
                    torch.from_numpy(rows).to("meta"),
                    torch.from_numpy(rows) + 0j,
                    pd.Series(rows[0]),
                    pd.Series([None, None], dtype=object),
                    pd.RangeIndex(6),
                ]
            ),
        )
    )


ARRAYS = st.one_of(
    spoiled(),
    without_numbers(),
    st.builds(np.zeros, shapes_of_no_images(), st.sampled_from(["u1", "f4", "f8"])),
)
TENSORS = shapes_of_no_images().map(torch.zeros)
NO_IMAGES = st.one_of(
    SCALARS, WORDS, OBJECTS, UNORDERED, LISTS, ARRAYS, TENSORS, containers()
)


@pytest.fixture(scope="module")
def byol():
    """A fitted transformer; tests do not change it."""
    return tiny().fit(GOOD)


CALLS = {
    "fit": lambda byol, X: tiny().fit(X),
    "refit": lambda byol, X: copy.deepcopy(byol).fit(X),
    "partial_fit": lambda byol, X: copy.deepcopy(byol).partial_fit(X),
    "transform": lambda byol, X: byol.transform(X),
    "read_images": lambda byol, X: byol.read_images(X),
    "sample_views": lambda byol, X: byol.sample_views(X),
    "classifier": lambda byol, X: BYOLClassifier(tiny()).fit(X, LABELS),
}


@pytest.mark.parametrize("call", CALLS)
@few(max_examples=150)
@given(X=NO_IMAGES)
def test_whatever_is_no_image_is_an_error_that_names_x(byol, call, X):
    with pytest.raises((ValueError, TypeError), match=r"\bX\b"):
        CALLS[call](byol, X)


@few(max_examples=150)
@given(X=NO_IMAGES)
def test_errors_of_a_pool_name_it(X):
    with pytest.raises((ValueError, TypeError), match=r"\bX\b") as caught:
        tiny().fit(GOOD, X_unlabeled=UnlabeledPool(X))
    assert "X_unlabeled" in caught.value.__notes__[0]


@few(max_examples=150)
@given(images=NO_IMAGES)
@example(images=1e39)
@example(images=np.full((2, 1, 8, 8), 1e39))
def test_whatever_is_no_image_has_no_views(images):
    with pytest.raises((ValueError, TypeError), match="images"):
        RandomViews().sample(images)


LABELS_THAT_ARE_NONE = st.one_of(
    SCALARS,
    st.text(max_size=5),
    OBJECTS,
    UNORDERED,
    LISTS,
    st.lists(SCALARS, min_size=6, max_size=6).map(lambda some: [*some[:5], 1j]),
    st.sampled_from(["c8", "c16", "M8[s]", "S1", NO_NUMBERS[-1]]).map(
        lambda dtype: np.zeros(6, dtype)
    ),
    st.sampled_from([np.nan, np.inf, 0.5]).map(
        lambda value: np.where(LABELS, value, 0)
    ),
    st.sampled_from(
        [
            np.eye(2)[LABELS],
            LABELS[:, None, None],
            np.ma.masked_equal(LABELS, 1),
            sparse.csr_array(LABELS[None]),
            torch.tensor(LABELS).to("meta"),
            pd.DataFrame({"a": LABELS, "b": LABELS}),
            [{1}, {2}] * 3,
            [(1, 2), (3, 4)] * 3,
            [2**70, 2**71] * 3,
        ]
    ),
)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@few(max_examples=150)
@given(y=LABELS_THAT_ARE_NONE)
def test_whatever_is_no_label_an_image_is_an_error_that_names_y(y):
    with pytest.raises((ValueError, TypeError), match=r"\by\b|label"):
        BYOLClassifier(tiny()).fit(GOOD, y)


FIGURES = {
    "effective_rank": effective_rank,
    "uniformity": uniformity,
    "alignment": lambda rows: alignment(GOOD[0], rows),
    "knn_accuracy": lambda rows: knn_accuracy(GOOD[0], LABELS, rows, LABELS),
}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", FIGURES)
@few(max_examples=150)
@given(rows=NO_IMAGES)
def test_whatever_are_no_representations_are_named(name, rows):
    with pytest.raises((ValueError, TypeError), match="representations"):
        FIGURES[name](rows)


# Parameters

OTHERS = st.one_of(
    SCALARS,
    st.text(max_size=5),
    st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.integers(), st.integers(), max_size=1),
)
NUMBERS = st.one_of(
    st.floats(), st.integers(), st.floats(-2, 2), st.integers(-3, 3), st.just(10**30)
)
TABLES = {
    BYOLTransformer: BYOLTransformer._parameter_constraints,
    BYOLClassifier: BYOLClassifier._parameter_constraints,
    **{
        function: {
            name: constraints
            for name, constraints in function._skl_parameter_constraints.items()
            if constraints != ["array-like"]
        }
        for function in (alignment, uniformity, knn_accuracy)
    },
}
ROWS = GOOD[:, 0]
USES = {
    BYOLTransformer: lambda **given: tiny(**given).fit(GOOD),
    BYOLClassifier: lambda **given: BYOLClassifier(**{"byol": tiny(), **given}).fit(
        GOOD, LABELS
    ),
    alignment: lambda **given: alignment(ROWS, ROWS, **given),
    uniformity: lambda **given: uniformity(ROWS, **given),
    knn_accuracy: lambda **given: knn_accuracy(ROWS, LABELS, ROWS, LABELS, **given),
}
PARAMETERS = [
    pytest.param(use, name, id=f"{use.__name__}-{name}")
    for use, table in TABLES.items()
    for name in table
]
OF_NUMBERS = [
    row
    for row in PARAMETERS
    for use, name in [row.values]
    if any(isinstance(constraint, Interval) for constraint in TABLES[use][name])
]


def refused(values, constraints):
    """Draw those of the values that no constraint is satisfied by."""
    constraints = [make_constraint(constraint) for constraint in constraints]
    return values.filter(
        lambda value: not any(one.is_satisfied_by(value) for one in constraints)
    )


@pytest.mark.parametrize(("use", "name"), OF_NUMBERS)
@few(max_examples=15)
@given(data=st.data())
def test_a_number_outside_an_interval_is_named(use, name, data):
    value = data.draw(refused(NUMBERS, TABLES[use][name]))
    with pytest.raises(
        ValueError, match=f"'{name}' parameter of .*{use.__name__}"
    ) as caught:
        USES[use](**{name: value})
    assert f"Got {value!r} instead" in str(caught.value)


@pytest.mark.parametrize(("use", "name"), PARAMETERS)
@few(max_examples=10)
@given(data=st.data())
def test_a_value_of_another_type_is_named(use, name, data):
    value = data.draw(refused(OTHERS, TABLES[use][name]))
    with pytest.raises(
        ValueError, match=f"'{name}' parameter of .*{use.__name__}"
    ) as caught:
        USES[use](**{name: value})
    assert f"Got {value!r} instead" in str(caught.value)


SHARES = (0, 1)
LIMITS = {
    **dict.fromkeys(["crop_scale", "blur", "solarize", "solarize_threshold"], SHARES),
    **dict.fromkeys(["size"], SHARES),
    **dict.fromkeys(["horizontal_flip", "vertical_flip", "grayscale"], SHARES),
    **dict.fromkeys(["perspective", "perspective_probability"], SHARES),
    **dict.fromkeys(["jitter_probability", "inversion"], SHARES),
    **dict.fromkeys(["crop_ratio", "blur_sigma", "brightness"], (0, 1e6)),
    **dict.fromkeys(["contrast", "saturation"], (0, 1e6)),
    "rotation": (0, 180),
    "hue": (0, 0.5),
}
RANGES = ("crop_scale", "crop_ratio", "blur_sigma")
SAMPLE = torch.full((2, 3, 8, 8), 0.5)


def test_every_strength_has_its_limits_here():
    assert {*LIMITS, "preset", "random_state"} == set(RandomViews().get_params())


@pytest.mark.parametrize("name", LIMITS)
@few(max_examples=15)
@given(data=st.data())
def test_a_strength_outside_its_limits_is_named(name, data):
    low, high = LIMITS[name]
    value = data.draw(NUMBERS.filter(lambda number: not low <= number <= high))
    given = (value, value) if name in RANGES else value
    with pytest.raises(ValueError, match=f"^The '{name}' parameter of ") as caught:
        RandomViews(**{name: given}).sample(SAMPLE)
    assert f"Got {given!r} instead." in str(caught.value)


def is_no_strength(value):
    """Tell what is neither None nor a number nor two of them, of which one may be."""
    is_pair = isinstance(value, (list, bytes)) and len(value) == 2
    return value is not None and type(value) not in {int, float} and not is_pair


@pytest.mark.parametrize("name", LIMITS)
@few(max_examples=15)
@given(value=OTHERS.filter(is_no_strength))
def test_a_strength_that_is_no_number_is_named(name, value):
    with pytest.raises(TypeError, match=f"^The '{name}' parameter of ") as caught:
        RandomViews(**{name: value}).sample(SAMPLE)
    assert f"Got {value!r} instead." in str(caught.value)
