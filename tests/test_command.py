"""`python -m sklearn_byol photos --out model.joblib`: from a folder to a model."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import train_test_split

from sklearn_byol import BYOLTransformer, list_images
from sklearn_byol.__main__ import SIDE, SIDE_OF_WEIGHTS, main
from sklearn_byol._command._folder import folders_of, shape_for
from sklearn_byol._command._options import arguments, summaries, values_of
from sklearn_byol._command._words import as_options
from sklearn_byol.metrics import knn_accuracy

QUICK = ["--max-epochs", "1", "--random-state", "0", "--hidden-dim", "16"]
QUICK += ["--device", "cpu"]


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


def test_what_it_says_runs_as_it_is(photos, capsys):
    run(photos)
    code = capsys.readouterr().out.partition("dark):\n")[2]
    names = {}
    exec(code, names)
    rows = names["byol"].transform(list_images(photos))
    assert names["clf"].score(rows, names["labels"]) > 0.5


def test_what_it_says_runs_where_images_were_left_out(photos, capsys):
    (photos / "dark" / "broken.png").write_bytes(b"no image")
    run(photos, "--on-error", "skip")
    said = capsys.readouterr().out
    names = {}
    exec(said.partition("dark):\n")[2], names)
    assert len(names["labels"]) == 16
    assert "Left out" in said


def shares(said):
    """Read the three shares of what was said of folders."""
    lines = said.partition("of 8 images:")[2].splitlines()[1:4]
    return {line[:22].strip(): float(line[22:]) for line in lines}


def test_folders_are_told_by_what_was_learned_and_by_what_was_not(photos, capsys):
    _, out = run(photos)
    paths = list_images(photos)
    names = [Path(path).parent.name for path in paths]
    told = {}
    untrained = BYOLTransformer(max_epochs=0, random_state=0).fit(paths)
    for title, byol in {
        "after training": joblib.load(out),
        "before training": untrained,
    }.items():
        rows = train_test_split(byol.transform(paths), random_state=0, test_size=0.5)
        y = train_test_split(names, random_state=0, test_size=0.5)
        told[title] = knn_accuracy(rows[0], y[0], rows[1], y[1], n_neighbors=8)
    said = shares(capsys.readouterr().out)
    assert said == pytest.approx(told | {"always the largest": 0.5}, abs=5e-4)


def test_the_share_before_training_is_not_that_after(photos, capsys):
    rng = np.random.default_rng(0)
    for path in list_images(photos):  # hard to tell, so that they differ
        image = rng.integers(0, 256, (12, 12, 3))
        image[: 6 if "dark" in path else 3] //= 2
        Image.fromarray(image.astype(np.uint8)).save(path)
    run(photos, "--max-epochs", "10")
    said = shares(capsys.readouterr().out)
    assert said["after training"] != said["before training"]


def test_folders_of_one_image_are_not_compared():
    assert folders_of(["a/0.png", "a/1.png", "b/0.png"]) is None
    paths, names = folders_of(["a/0.png", "b/0.png", "b/1.png", "c/0.png", "c/1.png"])
    assert names == ["b", "b", "c", "c"]
    assert paths == ["b/0.png", "b/1.png", "c/0.png", "c/1.png"]


def test_one_folder_is_not_compared(photos, capsys):
    run(photos / "dark")
    said = capsys.readouterr().out
    assert "subfolders" not in said
    exec(said.partition("in Python:\n")[2], {})


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


@pytest.mark.parametrize("given", [[], ["--weights", "pretrained"]])
def test_large_images_stay_larger_where_a_network_has_weights(photos, given):
    side = SIDE_OF_WEIGHTS if given else SIDE
    assert shape_for(list_images(photos), side) is None
    for path in list_images(photos)[:1]:
        Image.new("RGB", (300, 200)).save(path)
    assert shape_for(list_images(photos), side) == (side, side)


def test_a_number_for_image_shape_is_a_square(photos):
    _, out = run(photos, "--image-shape", "16")
    assert joblib.load(out).image_shape_ == (3, 16, 16)


@pytest.mark.parametrize("out", [".", "/", "~nobody-here/a.joblib"])
def test_a_place_without_a_name_is_an_error_of_usage(photos, out, capsys):
    with pytest.raises(SystemExit) as left:
        main([str(photos), "--out", out])
    assert left.value.code == 2
    assert "--out" in capsys.readouterr().err.splitlines()[-1]


def test_none_is_no_folder(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    assert run(photos, "--cache", "None", "--checkpoint", "None")[0] == 0
    assert not Path("None").exists()


def test_a_link_that_is_written_stays_a_link(photos):
    (photos.parent / "real.joblib").touch()
    (photos.parent / "model.joblib").symlink_to(photos.parent / "real.joblib")
    _, out = run(photos)
    assert out.is_symlink()
    assert joblib.load(photos.parent / "real.joblib").n_iter_ == 1


def test_a_folder_for_checkpoints_may_be_named_as_a_number(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    assert run(photos, "--checkpoint", "2024")[0] == 0
    assert list(Path("2024").glob("*.checkpoint"))


def test_parameters_are_options_with_values_of_python(photos):
    _, out = run(photos, "--image-shape", "16, 16", "--momentum", "0.5", "--hog", "2")
    byol = joblib.load(out)
    assert (byol.image_shape, byol.momentum, byol.hog) == ((16, 16), 0.5, 2)


def test_every_parameter_of_the_transformer_has_an_option():
    options = {action.dest for action in arguments()._actions}
    parameters = set(BYOLTransformer().get_params(deep=False))
    assert parameters - options == {"callbacks", "verbose", "warm_start"}


def test_help_has_a_sentence_for_each_parameter(capsys):
    meanings = summaries()
    parameters = BYOLTransformer().get_params(deep=False)
    assert [name for name in parameters if len(meanings.get(name, "")) < 10] == []


def test_images_that_cannot_be_read_are_left_out_if_told_so(photos, capsys):
    (photos / "dark" / "broken.png").write_bytes(b"no image")
    assert run(photos)[0] == 1
    assert "broken.png" in capsys.readouterr().err
    assert run(photos, "--on-error", "skip")[0] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--momentum", "2"],
            "--momentum takes auto, a number at least 0 and at most 1",
        ),
        (["--image-shape", "32x32"], "--image-shape takes 96, or 64,64"),
        (["--encoder", "resnet99"], "resnet99"),
        (["--image-shape", "2,2,2,2"], "image_shape"),
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


def test_where_an_error_comes_from_is_shown_if_asked_for(photos, capsys):
    run(photos, "--momentum", "2", "--traceback")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("none/model.joblib", "is not there"),
        ("other", "is a folder"),
        ("other/0.png", ".png is the ending of an image"),
        ("a.NPY", "is the ending of an image"),
        ("taken.joblib", "taken_views.png' is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_named_before_training(
    photos, place, why, capsys
):
    for name in ("other", "taken_views.png"):
        (photos.parent / name).mkdir()
    with pytest.raises(SystemExit) as left:
        main([str(photos), "--out", str(photos.parent / place)])
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert why in shown.err
    assert shown.out == ""


def test_a_model_that_cannot_be_written_leaves_the_one_before(photos, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    _, out = run(photos)
    before = out.read_bytes()
    monkeypatch.setattr(joblib, "dump", full)
    assert run(photos)[0] == 1
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.glob(".*")] == []


def test_warnings_look_afterwards_as_they_did(photos):
    before = warnings.showwarning, list(warnings.filters)
    run(photos)
    assert (warnings.showwarning, list(warnings.filters)) == before


def test_only_the_first_of_many_processes_says_and_writes(photos, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    code, out = run(photos, "--quiet")
    assert code == 0
    assert capsys.readouterr() == ("", "")
    assert not out.exists()
    assert list(out.parent.glob("*.png")) == []


@pytest.mark.parametrize("name", ["none", "photos/dark/0.png", ""])
def test_a_folder_that_is_not_there_is_named(photos, name, capsys):
    with pytest.raises(SystemExit) as left:
        main([str(photos.parent / name) if name else "", "--out", "a.joblib"])
    assert left.value.code == 2
    assert "is not a folder" in capsys.readouterr().err


def test_quiet_shows_no_progress(photos, capsys):
    run(photos, "--quiet")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "place",
    [
        "--out photos/model.joblib",
        "--out photos/dark/model.joblib",
        "--out link/model.joblib",
        "--out a.joblib --cache photos/cache",
        "--out a.joblib --checkpoint photos",
    ],
)
def test_what_is_written_is_never_among_the_images(photos, place, monkeypatch, capsys):
    monkeypatch.chdir(photos.parent)
    Path("link").symlink_to(photos, target_is_directory=True)
    with pytest.raises(SystemExit) as left:
        main(["photos", *place.split(), *QUICK])
    assert left.value.code == 2
    assert "lies in the folder of images" in capsys.readouterr().err
    assert len(list(photos.rglob("*"))) == 18


def test_the_folder_may_be_the_one_that_one_is_in(photos, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    for path in list_images("dark"):
        Path(path).rename(Path(path).name)
    assert main([".", "--out", "../model.joblib", *QUICK]) == 0
    monkeypatch.chdir("/")  # what it says runs anywhere
    names = {}
    said = capsys.readouterr().out
    exec(said.partition("photos, bright):\n")[2], names)
    assert set(names["labels"]) == {"photos", "bright"}


def test_links_to_folders_are_followed_if_told_so(photos, tmp_path, capsys):
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("dark", "bright"):
        (linked / name).symlink_to(photos / name, target_is_directory=True)
    out = tmp_path / "model.joblib"
    command = [str(linked), "--out", str(out), *QUICK]
    assert main(command) == 1
    assert "it is a link to a folder; to follow it, pass --follow-links" in (
        capsys.readouterr().err
    )
    assert main([*command, "--follow-links"]) == 0
    names = {}
    exec(capsys.readouterr().out.partition("dark):\n")[2], names)
    assert len(names["paths"]) == 16


@pytest.mark.filterwarnings("default")
def test_a_warning_is_said_once(photos, capsys):
    (photos / "readme.txt").write_text("photos", encoding="utf-8")
    run(photos)
    assert capsys.readouterr().err.count("1 with other endings (.txt 1)") == 1


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("or pass on_error='skip'.", "or pass --on-error skip."),
        ("pass image_shape=(64, 64, 5) in", "pass --image-shape 64,64,5 in"),
        ("With checkpoint='a b' it", "With --checkpoint 'a b' it"),
        ("take lr=0.1.", "take --lr 0.1."),
        ("weights='imagenet'", "--weights imagenet"),
        ("verbose=1 and momentum", "verbose=1 and momentum"),
        (
            "Read. Silence this by filtering sklearn_byol.exceptions.ImagesWarning, or "
            "pass the list of paths.",
            "Read.",
        ),
        (
            "Make all gray, or silence this by filtering "
            "sklearn_byol.exceptions.ImagesWarning.",
            "Make all gray.",
        ),
        (
            "The 'on_error' parameter of BYOLTransformer must be a str among {'raise', "
            "'skip'}. Got 'ignore' instead.",
            "--on-error takes raise, skip; not 'ignore'.",
        ),
    ],
)
def test_messages_name_options(ours, theirs):
    assert as_options(ours) == theirs


def test_values_that_are_words_are_in_the_help():
    assert values_of("on_error") == "raise, skip"
    assert values_of("lr") == "auto, a number above 0"
    assert values_of("max_epochs") == "auto, a whole number at least 0"
    assert values_of("mirror") == "auto, a number at least 0 and at most 0.5"
    assert values_of("unit_variance") == "auto, True, False"
    for word in values_of("views").split(", "):
        BYOLTransformer(views=word, max_epochs=0).fit(np.zeros((2, 8, 8)) + np.eye(8))
    for name in BYOLTransformer().get_params(deep=False):
        assert values_of(name) or name in {"callbacks", "verbose"}, name


def test_sizes_of_arrays_and_deep_files_are_known(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.random((5, 48, 48)))
    np.save(tmp_path / "b.npy", rng.random((48, 48, 100)))
    Image.new("RGB", (48, 48)).save(tmp_path / "c.png")
    assert shape_for(list_images(tmp_path), SIDE) is None


def test_a_tiff_that_pillow_does_not_open_has_a_size(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.random.default_rng(0).random((48, 48)))
    assert shape_for(list_images(tmp_path), SIDE) is None


def test_names_of_folders_may_have_any_letter(photos, capsys):
    (photos / "dark").rename(photos / "$^$ _cost$")
    (photos / "bright").rename(photos / ("_" + "b" * 80))
    code, _ = run(photos)
    shown = capsys.readouterr()
    assert code == 0
    assert "Pictures: " in shown.out
    assert shown.err.count("Warning") == 0


def test_without_training_there_is_one_share(photos, capsys):
    run(photos, "--max-epochs", "0")
    said = capsys.readouterr().out
    assert "without training" in said
    assert "after training" not in said


def test_a_stop_after_training_leaves_the_model(photos, monkeypatch, capsys):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("sklearn_byol.__main__.compare", stopped)
    code, out = run(photos)
    assert code == 130
    assert f"Stopped; {out} is written." in capsys.readouterr().err
    assert joblib.load(out).n_iter_ == 1


def test_a_picture_that_fails_is_said_and_the_rest_is_told(photos, monkeypatch, capsys):
    def failing(*args, **kwargs):
        raise ValueError("no room")

    monkeypatch.setattr("sklearn_byol.__main__.draw", failing)
    assert run(photos)[0] == 0
    said = capsys.readouterr().out
    assert "The pictures could not be drawn: no room" in said
    assert "Next, a classifier" in said


def test_one_image_is_too_few(photos, capsys):
    for path in list_images(photos)[1:]:
        Path(path).unlink()
    assert run(photos)[0] == 1
    assert "one image, and training takes two" in capsys.readouterr().err


# A shell that runs the tests in the background has them ignore the signal.
THAT_LISTENS = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("sklearn_byol", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill ends a process there")
@pytest.mark.parametrize("given", [[], ["--checkpoint", "training"]])
def test_ctrl_c_says_how_to_go_on(photos, given):
    command = [sys.executable, "-u", "-c", THAT_LISTENS, "photos"]
    command += ["--out", "a.joblib", "--max-epochs", "100000", *given]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=photos.parent, **pipes) as process:
        assert "epoch 1/" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert ("Type the same again" if given else "With --checkpoint FOLDER") in said
    assert not (photos.parent / "a.joblib").exists()


@pytest.mark.slow
def test_names_that_an_output_cannot_show_are_written_otherwise(photos):
    command = [sys.executable, "-m", "sklearn_byol", "photos", "--out", "zoë.joblib"]
    told = subprocess.run(
        [*command, *QUICK],
        check=True,
        cwd=photos.parent,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert b"zo\\xeb_views.png" in told.stdout
    assert (photos.parent / "zoë_views.png").exists()


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


@pytest.mark.slow
@pytest.mark.posix
@pytest.mark.parametrize("reader", ["head -1", "true"])
@pytest.mark.parametrize("pipe", ["|", "2>&1 |"])
def test_an_output_that_is_closed_early_leaves_model_and_pictures(photos, reader, pipe):
    command = f"{sys.executable} -m sklearn_byol photos --out a.joblib"
    told = subprocess.run(
        f"set -o pipefail; {command} {' '.join(QUICK)} {pipe} {reader}",
        shell=True,
        check=True,
        executable="/bin/bash",
        cwd=photos.parent,
        capture_output=True,
        text=True,
    )
    assert "Broken" not in told.stderr
    names = {path.name for path in photos.parent.glob("a*")}
    assert names == {"a.joblib", "a_views.png", "a_neighbors.png"}
