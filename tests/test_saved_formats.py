"""What is saved in any way and read in a new process represents as before."""

import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator

from sklearn_byol import BYOLClassifier, BYOLTransformer, RandomViews
from tests.conftest import pipeline, quick

OURS = "sklearn_byol."
# skorch imports torch_geometric where it is installed, which torch has a warning for.
OF_GEOMETRIC = "ignore::DeprecationWarning:torch.jit._script"
COMPRESSED = [0, 3, ("gzip", 1), ("lzma", 1)]


@pytest.fixture(scope="module")
def classifier(fitted, digits):
    """A classifier that is fitted; tests do not change it."""
    X, y = digits
    frozen = FrozenEstimator(fitted)
    return BYOLClassifier(frozen, max_epochs=1, random_state=0).fit(X, y)


def in_a_new_process(path, X, tmp_path, **environment):
    """Load a file elsewhere and return what it makes of X."""
    code = (
        "import joblib, numpy, sys\n"
        "estimator = joblib.load(sys.argv[1])\n"
        "names = ['predict_proba', 'transform']\n"
        "method = next(n for n in names if hasattr(estimator, n))\n"
        "X = numpy.load(sys.argv[2])\n"
        "numpy.save(sys.argv[3], getattr(estimator, method)(X))\n"
    )
    files = [str(path), str(tmp_path / "X.npy"), str(tmp_path / "rows.npy")]
    np.save(files[1], X)
    subprocess.run(
        [sys.executable, "-W", "error", "-W", OF_GEOMETRIC, "-c", code, *files],
        check=True,
        env={**os.environ, **environment},
    )
    return np.load(files[2])


@pytest.mark.parametrize("compress", COMPRESSED)
def test_compressed_files_hold_the_same(compress, fitted, digits, tmp_path):
    joblib.dump(fitted, tmp_path / "byol.joblib", compress=compress)
    loaded = joblib.load(tmp_path / "byol.joblib")
    np.testing.assert_array_equal(
        loaded.transform(digits[0]), fitted.transform(digits[0])
    )


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_all_protocols_of_pickle_hold_the_same(protocol, classifier, digits):
    loaded = pickle.loads(pickle.dumps(classifier, protocol))
    np.testing.assert_array_equal(
        loaded.predict_proba(digits[0]), classifier.predict_proba(digits[0])
    )


@pytest.mark.slow
def test_a_classifier_is_read_in_a_new_process(classifier, digits, tmp_path):
    joblib.dump(classifier, tmp_path / "classifier.joblib")
    rows = in_a_new_process(tmp_path / "classifier.joblib", digits[0], tmp_path)
    np.testing.assert_allclose(rows, classifier.predict_proba(digits[0]), 1e-4, 1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float64", "uint8", ">i8"])
def test_pixels_of_any_type_are_the_same_after_loading(dtype, fitted, digits):
    loaded = pickle.loads(pickle.dumps(fitted))
    rows = loaded.transform(digits[0].astype(dtype))
    np.testing.assert_array_equal(rows, fitted.transform(digits[0]))


@pytest.mark.slow
@pytest.mark.gpu
def test_what_a_gpu_has_trained_is_read_without_one(digits, tmp_path):
    pipe = pipeline(device="cuda").fit(*digits)
    joblib.dump(pipe, tmp_path / "model.joblib")
    pipe.set_params(byol__device="auto")
    joblib.dump(pipe, tmp_path / "auto.joblib")
    rows = in_a_new_process(
        tmp_path / "auto.joblib", digits[0], tmp_path, CUDA_VISIBLE_DEVICES=""
    )
    np.testing.assert_allclose(rows, pipe.predict_proba(digits[0]), 1e-3, 1e-4)


def test_training_goes_on_after_loading_as_without(digits):
    byol = quick(warm_start=True).fit(digits[0])
    loaded = pickle.loads(pickle.dumps(byol))
    rows = [
        estimator.set_params(max_epochs=2).fit(digits[0]).transform(digits[0])
        for estimator in (byol, loaded)
    ]
    np.testing.assert_array_equal(*rows)


def test_loaded_weights_are_not_kept_twice(fitted):
    loaded = pickle.loads(pickle.dumps(fitted))
    weights = loaded.encoder_.state_dict()
    for name, array in loaded._arrays.items():
        assert np.shares_memory(array, weights[name].numpy()), name


def test_views_are_saved_with_their_strengths():
    views = RandomViews("lab", rotation=7)
    loaded = pickle.loads(pickle.dumps(views))
    assert loaded.get_params() == views.get_params()
    assert skops.io.get_untrusted_types(data=skops.io.dumps(views)) == [
        "sklearn_byol.RandomViews"
    ]


def read_by_skops(estimator):
    """Write and read with skops, trusting nothing but classes of ours."""
    raw = skops.io.dumps(estimator)
    untrusted = skops.io.get_untrusted_types(data=raw)
    assert all(name.startswith(OURS) for name in untrusted), untrusted
    return skops.io.loads(raw, trusted=untrusted), untrusted


def test_skops_reads_a_pipeline(digits):
    X, y = digits
    pipe = pipeline().fit(X, y)
    loaded, untrusted = read_by_skops(pipe)
    assert untrusted == [
        "sklearn_byol.BYOLTransformer",
        "sklearn_byol.RandomViews",
    ]
    np.testing.assert_array_equal(loaded.predict_proba(X), pipe.predict_proba(X))


def test_skops_reads_a_classifier(classifier, digits):
    loaded, _ = read_by_skops(classifier)
    np.testing.assert_array_equal(
        loaded.predict_proba(digits[0]), classifier.predict_proba(digits[0])
    )


def test_skops_reads_the_state_of_a_training(digits):
    byol = quick(warm_start=True, hidden_dim=8, projection_dim=8).fit(digits[0])
    loaded, _ = read_by_skops(byol)
    rows = [
        estimator.set_params(max_epochs=2).fit(digits[0]).transform(digits[0])
        for estimator in (byol, loaded)
    ]
    np.testing.assert_array_equal(*rows)


def test_skops_notices_a_changed_number(fitted):
    raw = bytearray(skops.io.dumps(fitted))
    raw[len(raw) // 2] ^= 1
    trusted = skops.io.get_untrusted_types(data=skops.io.dumps(fitted))
    with pytest.raises(Exception, match=r"CRC|digest|zip"):
        skops.io.loads(bytes(raw), trusted=trusted)


@pytest.mark.parametrize("parameters", [{}, {"readout": 1}, {"encoder": "resnet18"}])
def test_safetensors_make_the_same_encoder_again(parameters, tmp_path):
    X = load_digits().data[:60]
    byol = quick(**parameters).fit(X)
    byol.to_safetensors(tmp_path / "encoder.safetensors")
    weights = tmp_path / "encoder.safetensors"
    # Others' statistics: those of the file count.
    again = BYOLTransformer(weights=weights, max_epochs=0, device="cpu", **parameters)
    again.fit(np.r_[X[:5] / 2, [X.max(axis=0)]])
    np.testing.assert_allclose(again.transform(X), byol.transform(X), 1e-6, 1e-5)


@pytest.mark.parametrize("keeps_stem", [True, False])
def test_safetensors_know_the_stride_of_the_first_layer(
    keeps_stem, colour_images, tmp_path
):
    # Its first layer has the same shape for small images, with another stride.
    named = {"encoder": "timm/resnet10t", "max_epochs": 0}
    byol = quick(**named).fit(colour_images)
    if keeps_stem:
        torch.save(byol.encoder_.network.state_dict(), tmp_path / "other.pth")
        byol = quick(weights=tmp_path / "other.pth", **named).fit(colour_images)
    assert byol._specification.keeps_stem is keeps_stem
    byol.to_safetensors(tmp_path / "encoder.safetensors")
    again = quick(weights=tmp_path / "encoder.safetensors", **named).fit(colour_images)
    np.testing.assert_array_equal(
        again.transform(colour_images), byol.transform(colour_images)
    )


def test_the_state_dict_of_an_encoder_has_its_own_stride(colour_images, tmp_path):
    named = {"encoder": "timm/resnet10t", "max_epochs": 0}
    byol = quick(**named).fit(colour_images)
    torch.save(byol.encoder_.state_dict(), tmp_path / "encoder.pth")
    again = quick(weights=tmp_path / "encoder.pth", **named).fit(colour_images)
    np.testing.assert_array_equal(
        again.transform(colour_images), byol.transform(colour_images)
    )


def test_a_tuned_encoder_is_where_byol_begins(classifier, digits, tmp_path):
    classifier.to_safetensors(tmp_path / "tuned.safetensors")
    byol = quick(weights=tmp_path / "tuned.safetensors", max_epochs=0).fit(digits[0])
    images = byol.read_images(digits[0])
    with torch.inference_mode():
        tuned = classifier.encoder_(images).numpy()
    np.testing.assert_allclose(byol.transform(digits[0]), tuned, 1e-4, 1e-5)


def test_safetensors_have_their_ending(fitted, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        fitted.to_safetensors(tmp_path / "encoder.pth")


def test_a_program_of_torch_export_gives_the_same(fitted, digits, tmp_path):
    images = fitted.read_images(digits[0])
    n_images = torch.export.Dim("n_images")
    program = torch.export.export(
        fitted.encoder_,
        (images[:2],),
        dynamic_shapes=({0: n_images},),
        strict=False,  # the default from torch 2.7 on
    )
    torch.export.save(program, tmp_path / "encoder.pt2")
    encoder = torch.export.load(tmp_path / "encoder.pt2").module()
    rows = encoder(images).detach().numpy()
    np.testing.assert_allclose(rows, fitted.transform(digits[0]), 1e-4, 1e-5)
