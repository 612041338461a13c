"""What counts as a feature where X is a column of images: the column."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_byol import BYOLClassifier
from tests.classifier.conftest import frozen
from tests.conftest import quick

N = 24


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (N, 8, 8), dtype=np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{index:02d}.png")
    return [str(path) for path in sorted(folder.glob("*.png"))]


@pytest.fixture(scope="module")
def frame(paths):
    return pd.DataFrame({"path": paths, "age": np.arange(N) * 1.0})


class Pictures:
    """A map-style Dataset of images and labels."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return Image.open(self.paths[index]), index % 2


KINDS = {
    "frame": lambda frame: frame[["path"]],
    "series": lambda frame: frame["path"],
    "list": lambda frame: frame["path"].tolist(),
    "array": lambda frame: frame["path"].to_numpy(),
    "pictures": lambda frame: [Image.open(path) for path in frame["path"]],
    "sizes": lambda frame: [np.ones((8 + n % 2, 9)) * n for n in range(len(frame))],
    "dataset": lambda frame: Pictures(frame["path"].tolist()),
}


def small(**parameters):
    return quick(image_shape=(8, 8), **parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_the_one_feature_is_the_column(frame, kind):
    X = KINDS[kind](frame)
    byol = small().fit(X)
    assert byol.n_features_in_ == 1
    assert hasattr(byol, "feature_names_in_") == (kind == "frame")
    names = byol.get_feature_names_out(["path"])
    assert len(names) == byol.transform(X).shape[1]


@pytest.mark.parametrize("kind", KINDS)
def test_pandas_output_has_a_column_for_each_number(frame, kind):
    byol = small().set_output(transform="pandas")
    found = byol.fit_transform(KINDS[kind](frame))
    assert [*found.columns] == [*byol.get_feature_names_out()]


@pytest.mark.parametrize("columns", ["path", ["path"]])
def test_images_stand_beside_other_columns(frame, columns):
    parts = [("img", small(), columns), ("num", StandardScaler(), ["age"])]
    transformer = ColumnTransformer(parts).set_output(transform="pandas").fit(frame)
    names = transformer.get_feature_names_out()
    assert names[-1] == "num__age"
    assert names[0] == "img__byoltransformer0"
    assert [*transformer.transform(frame).columns] == [*names]


def test_a_pipeline_behind_a_column_has_names(frame):
    pipe = make_pipeline(small(), StandardScaler()).fit(frame[["path"]])
    assert pipe.get_feature_names_out(["path"])[0] == "byoltransformer0"


def test_cross_validation_of_a_frame_runs(frame):
    parts = [("img", small(), ["path"]), ("num", StandardScaler(), ["age"])]
    pipe = make_pipeline(ColumnTransformer(parts), LogisticRegression(max_iter=2000))
    scores = cross_val_score(pipe, frame, np.arange(N) % 2, cv=2)
    assert np.isfinite(scores).all()


def test_another_column_than_that_of_fit_is_an_error(frame):
    byol = small().fit(frame[["path"]])
    other = frame[["path"]].rename(columns={"path": "file"})
    with pytest.raises(ValueError, match=r"feature names should match .* 'file'"):
        byol.transform(other)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"sizes"}))  # of other images
def test_after_a_fit_on_a_frame_other_containers_are_read(frame, kind):
    byol = small().fit(frame[["path"]])
    expected = byol.transform(frame[["path"]])
    np.testing.assert_array_equal(byol.transform(KINDS[kind](frame)), expected)


def test_rows_of_pixels_are_read_after_a_fit_on_paths(frame):
    byol = small().fit(frame["path"])
    pixels = np.stack([np.asarray(Image.open(path)) for path in frame["path"]])
    expected = byol.transform(frame["path"])
    np.testing.assert_array_equal(byol.transform(pixels), expected)
    np.testing.assert_array_equal(byol.transform(pixels.reshape(N, 64)), expected)


def test_paths_are_read_after_a_fit_on_rows_of_pixels(frame):
    pixels = np.stack([np.asarray(Image.open(path)) for path in frame["path"]])
    byol = small().fit(pixels.reshape(N, 64))
    assert byol.n_features_in_ == 64
    expected = byol.transform(pixels.reshape(N, 64))
    np.testing.assert_array_equal(byol.transform(frame[["path"]]), expected)


def test_a_refit_on_pixels_forgets_the_column(frame):
    byol = small().fit(frame[["path"]]).fit(np.random.default_rng(0).random((9, 8, 8)))
    assert byol.n_features_in_ == 64
    assert not hasattr(byol, "feature_names_in_")


def test_a_pool_may_have_a_column_of_another_name(frame):
    pool = frame[["path"]].rename(columns={"path": "file"})[:5]
    byol = small().fit(frame[["path"]], X_unlabeled=pool)
    assert [*byol.feature_names_in_] == ["path"]


def test_a_classifier_has_the_column_too(frame):
    settings = {"max_epochs": 1, "random_state": 0}
    classifier = BYOLClassifier(small(), **settings)
    classifier.fit(frame[["path"]], np.arange(N) % 2)
    assert classifier.n_features_in_ == 1
    assert [*classifier.feature_names_in_] == ["path"]


def test_a_classifier_on_a_fitted_byol_has_the_features_of_its_own_x(frame):
    pixels = np.stack([np.asarray(Image.open(path)) for path in frame["path"]])
    byol = small().fit(pixels)
    classifier = frozen(byol).fit(frame[["path"]], np.arange(N) % 2)
    assert classifier.n_features_in_ == 1
    assert [*classifier.feature_names_in_] == ["path"]
    other = frozen(small().fit(frame[["path"]])).fit(pixels, np.arange(N) % 2)
    assert other.n_features_in_ == 64
    assert not hasattr(other, "feature_names_in_")
