"""A graph of ONNX gives for the user's pixels what transform gives."""

import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from torch import nn

from sklearn_byol import BYOLClassifier, BYOLTransformer
from sklearn_byol.estimators._exporting import _sample
from tests.conftest import quick

pytestmark = pytest.mark.slow

IS_OLD = torch.__version__ < "2.9"
needs_exporter = pytest.mark.skipif(IS_OLD, reason="graphs need torch 2.9")


def ran(path, X):
    """What ONNX Runtime makes of an array, as it is."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    (rows,) = session.run(None, {"X": X})
    return rows


def images(shape, dtype="uint8"):
    """Seven images; an uneven number, to be cut as batches of one, two and four."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (7, *shape)).astype(dtype)
    return X / 255 if X.dtype.kind == "f" else X


CASES = {
    "auto, rows of 8x8": ({}, "float64", (64,)),
    "auto, gray 28x28": ({}, "uint8", (28, 28)),
    "auto, RGB 64x64, channels last": ({}, "uint8", (64, 64, 3)),
    "auto, RGB 16x16, rows": (
        {"image_shape": (16, 16, 3), "readout": 1},
        "uint8",
        (768,),
    ),
    "resnet18, grid of 3": (
        {"encoder": "resnet18", "readout": 3},
        "float32",
        (3, 32, 32),
    ),
    "timm": ({"encoder": "timm/resnet10t"}, "uint16", (33, 40, 3)),
}


@needs_exporter
@pytest.mark.parametrize("case", CASES)
def test_a_graph_gives_what_transform_gives(case, tmp_path):
    parameters, dtype, shape = CASES[case]
    X = images(shape, dtype)
    byol = quick(max_epochs=0, **parameters).fit(X)
    byol.to_onnx(tmp_path / "byol.onnx", X[:1])
    expected = byol.transform(X)
    tolerance = 1e-5 * np.abs(expected).max()
    start = 0
    for n_images in (1, 2, 4):
        part = slice(start, start + n_images)
        rows = ran(tmp_path / "byol.onnx", X[part])
        np.testing.assert_allclose(rows, expected[part], 1e-4, tolerance)
        start += n_images
    assert rows.dtype == np.float32


@pytest.fixture(scope="module")
def colour():
    """A transformer of RGB images of 8x8 pixels with channels last."""
    return quick(max_epochs=0).fit(images((8, 8, 3)))


@pytest.fixture(scope="module")
def graph(colour, tmp_path_factory):
    """Its graph, for no X."""
    path = tmp_path_factory.mktemp("graphs") / "byol.onnx"
    colour.to_onnx(path)
    return path


@needs_exporter
def test_a_graph_without_an_example_takes_pixels_as_fit_did(graph, colour):
    X = images((8, 8, 3))
    np.testing.assert_allclose(ran(graph, X), colour.transform(X), 1e-3, 1e-5)


@needs_exporter
def test_a_graph_says_what_it_is_of(graph):
    model = onnx.load(graph)
    onnx.checker.check_model(model)
    about = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert about["image_shape"] == [3, 8, 8]
    assert about["pixel_range"] == [0, 255]
    (given,), (returned,) = model.graph.input, model.graph.output
    assert (given.name, returned.name) == ("X", "representations")
    assert given.type.tensor_type.shape.dim[0].dim_param == "n_images"


@needs_exporter
def test_a_graph_is_one_file(graph):
    assert [path.name for path in graph.parent.iterdir()] == ["byol.onnx"]


@pytest.mark.parametrize(
    ("given", "shape", "dtype"),
    [
        (images((3, 8, 8)), (3, 8, 8), np.uint8),
        (images((8, 8, 3), "float32"), (8, 8, 3), np.float32),
        (images((8, 8)), (1, 8, 8), np.uint8),
        (images((8, 8), "int64") % 17, (1, 8, 8), np.float32),
    ],
)
def test_without_an_example_layout_and_type_are_those_of_fit(given, shape, dtype):
    byol = quick(max_epochs=0).fit(given)
    sample = _sample(byol, None)
    assert sample.shape[1:] == shape
    assert sample.dtype == dtype


@needs_exporter
def test_nothing_is_printed_and_a_classifier_gives_probabilities(
    fitted, digits, tmp_path, capfd
):
    X, y = digits
    names = np.array(list("abcdefghij"))[y]
    clf = BYOLClassifier(FrozenEstimator(fitted), max_epochs=1, random_state=0)
    clf.fit(X, names)
    capfd.readouterr()
    clf.to_onnx(tmp_path / "classifier.onnx", X.astype("float32"))
    assert capfd.readouterr() == ("", "")
    probabilities = ran(tmp_path / "classifier.onnx", X.astype("float32"))
    np.testing.assert_allclose(probabilities, clf.predict_proba(X), 1e-3, 1e-5)
    props = onnx.load(tmp_path / "classifier.onnx").metadata_props
    about = {entry.key: json.loads(entry.value) for entry in props}
    assert about["classes"] == clf.classes_.tolist()


class Sorted(nn.Module):
    """A network that looks at the values it is given: there is no graph of it."""

    def forward(self, images):
        flat = images.flatten(1)
        return flat if float(flat.mean()) > 0 else flat.flip(1)


@needs_exporter
def test_a_network_without_a_graph_is_named(tmp_path, digits):
    byol = quick(encoder=Sorted(), max_epochs=0).fit(digits[0])
    with pytest.raises(ValueError, match="cannot be written as a graph of ONNX"):
        byol.to_onnx(tmp_path / "byol.onnx")
    assert list(tmp_path.iterdir()) == []


@needs_exporter
def test_images_that_are_flat_or_beyond_the_range_are_as_in_transform(tmp_path):
    X = np.random.default_rng(0).random((8, 16, 16, 4)) * [1, 100, 100, 1]
    X = X.astype(np.float32)
    byol = quick(hog=4, image_shape=(16, 16, 4)).fit(X)
    byol.to_onnx(tmp_path / "byol.onnx")
    flat = X.copy()
    flat[0], flat[1, 4:12], flat[2] = 0, 0.5, flat[2] * 3
    found = ran(tmp_path / "byol.onnx", flat)
    np.testing.assert_allclose(found, byol.transform(flat), rtol=1e-3, atol=1e-4)


@needs_exporter
@pytest.mark.parametrize(
    ("X", "told"),
    [
        (["a.png"], "takes X as one array"),
        (images((9, 9, 3)), "fitted on images with 3 channels of 8x8"),
        (images((8, 8, 3)).astype(np.longdouble), "dtype .* cannot take"),
        (images((8, 8, 3)).astype("f4") * 4, "values from"),
    ],
)
def test_the_example_is_what_transform_takes(X, told, colour, tmp_path):
    with pytest.raises(ValueError, match=told):
        colour.to_onnx(tmp_path / "byol.onnx", X)


def test_an_unfitted_transformer_has_no_graph(tmp_path):
    with pytest.raises(NotFittedError):
        BYOLTransformer().to_onnx(tmp_path / "byol.onnx")


@needs_exporter
@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_library_is_named(missing, colour, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"needs {missing}.*sklearn-byol\[onnx\]"):
        colour.to_onnx(tmp_path / "byol.onnx")


def test_a_torch_that_is_too_old_is_named(colour, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", type(torch.__version__)("2.5.1+cpu"))
    with pytest.raises(ImportError, match=r"needs torch 2\.9 or newer.*2\.5\.1"):
        colour.to_onnx(tmp_path / "byol.onnx")


def test_safetensors_are_named_where_they_are_missing(colour, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r"sklearn-byol\[safetensors\]"):
        colour.to_safetensors(tmp_path / "encoder.safetensors")


def test_exporting_leaves_the_encoder_as_it_is(colour, tmp_path):
    before = {name: t.clone() for name, t in colour.encoder_.state_dict().items()}
    needed = [p.requires_grad for p in colour.encoder_.parameters()]
    colour.to_safetensors(tmp_path / "encoder.safetensors")
    assert [p.requires_grad for p in colour.encoder_.parameters()] == needed
    for name, tensor in colour.encoder_.state_dict().items():
        assert torch.equal(tensor, before[name])
