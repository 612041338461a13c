"""`python -m sklearn_byol photos --out model.joblib`: from a folder to a model."""

import os
import subprocess
import sys

import joblib
import numpy as np
import pytest
from PIL import Image

from sklearn_byol import BYOLTransformer, list_images
from sklearn_byol.__main__ import arguments, main

QUICK = ["--max-epochs", "1", "--random-state", "0", "--hidden-dim", "16"]


@pytest.fixture
def photos(tmp_path):
    """Sixteen images of 12x12 pixels in two folders, dark ones and bright ones."""
    rng = np.random.default_rng(0)
    for number in range(16):
        folder = tmp_path / "photos" / ("dark", "bright")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 90, (12, 12, 3), dtype=np.uint8) + 150 * (number % 2)
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def run(photos, *options):
    out = photos.parent / "model.joblib"
    return main([str(photos), "--out", str(out), *QUICK, *options]), out


def test_the_model_gives_what_a_fit_in_python_gives(photos, capsys):
    code, out = run(photos)
    paths = list_images(photos)
    byol = BYOLTransformer(max_epochs=1, random_state=0, hidden_dim=16).fit(paths)
    assert code == 0
    np.testing.assert_array_equal(
        joblib.load(out).transform(paths), byol.transform(paths)
    )


def test_two_pictures_lie_beside_the_model(photos):
    _, out = run(photos)
    pictures = {path.name for path in out.parent.glob("*.png")}
    assert pictures == {"model_views.png", "model_neighbors.png"}


def test_what_it_says_runs(photos, capsys):
    run(photos)
    lines = capsys.readouterr().out.partition("in Python:")[2]
    paths = list_images(photos)
    given = {"paths": paths, "labels": ["b" in path for path in paths]}
    exec("\n".join(line.strip() for line in lines.splitlines()), given)
    assert given["clf"].score(given["byol"].transform(paths), given["labels"]) > 0.5


def test_folders_that_are_easily_told_apart_are(photos, capsys):
    run(photos)
    said = capsys.readouterr().out
    (share,) = [line.split()[-1] for line in said.splitlines() if "after tr" in line]
    assert float(share) == 1


def test_one_folder_is_not_compared(photos, capsys):
    run(photos / "dark")
    assert "subfolders" not in capsys.readouterr().out


def test_small_images_of_one_size_stay_as_they_are(photos):
    _, out = run(photos)
    assert joblib.load(out).image_shape_ == (3, 12, 12)


@pytest.mark.parametrize(("size", "n_of_it"), [((12, 13), 1), ((80, 80), 16)])
def test_other_images_are_brought_to_64_pixels(photos, size, n_of_it):
    for path in list_images(photos)[:n_of_it]:
        picture = Image.open(path).resize(size)
        picture.save(path)
    _, out = run(photos)
    assert joblib.load(out).image_shape_ == (3, 64, 64)


def test_parameters_are_options_with_values_of_python(photos):
    _, out = run(photos, "--image-shape", "16, 16", "--momentum", "0.5", "--hog", "2")
    byol = joblib.load(out)
    assert (byol.image_shape, byol.momentum, byol.hog) == ((16, 16), 0.5, 2)


def test_every_parameter_of_the_transformer_has_an_option():
    options = {action.dest for action in arguments()._actions}
    parameters = set(BYOLTransformer().get_params(deep=False))
    assert parameters - options == {"callbacks", "verbose", "warm_start"}


def test_images_that_cannot_be_read_are_left_out_if_told_so(photos, capsys):
    (photos / "dark" / "broken.png").write_bytes(b"no image")
    assert run(photos)[0] == 1
    assert "broken.png" in capsys.readouterr().err
    assert run(photos, "--on-error", "skip")[0] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--momentum", "2"], "momentum"),
        (["--encoder", "resnet99"], "resnet99"),
        (["--image-shape", "16"], "image_shape"),
    ],
)
def test_a_parameter_out_of_range_is_named_without_a_traceback(
    photos, options, said, capsys
):
    code, out = run(photos, *options)
    shown = capsys.readouterr()
    assert code == 1
    assert shown.err.startswith("Error: ")
    assert said in shown.err
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_named_before_training(photos, capsys):
    with pytest.raises(SystemExit) as left:
        main([str(photos), "--out", str(photos / "none" / "model.joblib")])
    assert left.value.code == 2
    assert "none/model.joblib" in capsys.readouterr().err.replace(os.sep, "/")


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    assert main([str(tmp_path / "none"), "--out", str(tmp_path / "a.joblib")]) == 1
    assert "which is no folder" in capsys.readouterr().err


def test_quiet_shows_no_progress(photos, capsys):
    run(photos, "--quiet")
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_shell_can_start_it(photos):
    command = [sys.executable, "-m", "sklearn_byol", "photos", "--out", "a.joblib"]
    told = subprocess.run(
        [*command, *QUICK],
        check=True,
        cwd=photos.parent,
        capture_output=True,
        text=True,
    )
    assert told.stderr.count("epoch 1/1") == 1
    assert "Pictures: a_views.png, a_neighbors.png." in told.stdout
