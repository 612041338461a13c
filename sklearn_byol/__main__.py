"""Train on a folder of images: `python -m sklearn_byol photos --out model.joblib`."""

import argparse
import ast
import contextlib
import inspect
import os
import re
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from sklearn_byol._files import part_of
from sklearn_byol.estimators._transformer import BYOLTransformer
from sklearn_byol.exceptions import ImagesWarning
from sklearn_byol.images._decode import look
from sklearn_byol.images._folders import list_images
from sklearn_byol.inspection import NeighborsDisplay, ViewsDisplay
from sklearn_byol.metrics import knn_accuracy

SIDE = 64  # pixels of images that are larger, or of different sizes
SIDE_OF_WEIGHTS = 160  # that networks with published weights see, by default
N_LOOKED_AT = 200  # files whose size is read before training
N_COMPARED = 2_000  # images that are compared by their folders, at most
N_VOTES = 20  # of neighbours, for a folder
N_PICTURES = 12  # whose views are drawn
N_NEIGHBOURS = 6  # that are drawn beside an image
NOT_HERE = {"callbacks", "verbose", "warm_start"}
WORDS = {"cache", "checkpoint", "encoder"}  # never numbers, as folders may be named
EXPECTED = (ValueError, TypeError, OSError, ImportError, ArithmeticError)
USAGE = """
Every parameter of BYOLTransformer is an option: max_epochs is --max-epochs. Values are
written as in Python. A training from scratch has 100 epochs. On photographs begin with
a network that knows ImageNet: --encoder resnet18 --weights pretrained. Images of
different sizes, and those larger than 64 pixels, are brought to 64x64, or with
--weights to 160x160; --image-shape 96 is another size.
"""
NEXT = """
Next, a classifier, in Python{where}:

{imports}

byol = joblib.load({out!r})
{given}
clf = LogisticRegression(max_iter=1000).fit(byol.transform(paths), labels)
"""
IMPORTS = """\
import joblib
from sklearn.linear_model import LogisticRegression"""
IMPORTS_OF_FOLDERS = """\
from pathlib import Path

import joblib
from sklearn.linear_model import LogisticRegression
from sklearn_byol import list_images"""
FOLDERS = """\
paths = {listed}
labels = [Path(path).parent.name for path in paths]"""
OWN = """\
paths = {first!r}  # those that have a label
labels = ["one", "other"]  # theirs"""


def arguments() -> argparse.ArgumentParser:
    """Make the options: those of the command, and each parameter of the transformer."""
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_byol",
        usage="%(prog)s FOLDER --out FILE [--PARAMETER VALUE ...]",
        description="Train BYOL on all images below a folder, without labels, and save "
        "a fitted BYOLTransformer with joblib. Beside it two pictures are left: views "
        "that it learned from, and images with those that it finds most alike.",
        epilog=USAGE,
        allow_abbrev=False,
    )
    parser.add_argument("folder", help="where the images are; subfolders are read too")
    parser.add_argument("--out", required=True, help="the file to write, .joblib")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--traceback", action="store_true", help="show where an error comes from"
    )
    group = parser.add_argument_group("parameters of BYOLTransformer")
    meanings = summaries()
    for name, default in BYOLTransformer().get_params(deep=False).items():
        if name not in NOT_HERE:
            group.add_argument(
                f"--{name.replace('_', '-')}",
                dest=name,
                type=str if name in WORDS else value,
                default=argparse.SUPPRESS,
                metavar="VALUE",
                help=f"{meanings.get(name, '')} (default: {default})".strip(),
            )
    return parser


def summaries() -> dict[str, str]:
    """Take the first sentence of each parameter from the docstring."""
    text = inspect.cleandoc(BYOLTransformer.__doc__ or "").partition("\nAttributes")[0]
    found = re.findall(r"^(\w+) : .*\n((?:    .*\n)+)", text, flags=re.MULTILINE)
    return {
        name: re.split(r"[.:;] ", " ".join(meaning.split()))[0].rstrip(".")
        for name, meaning in found
    }


def value(text: str) -> object:
    """Read a number, a tuple or None as Python does, and else take the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def shape_for(paths: Sequence[str], side: int) -> tuple[int, int] | None:
    """Choose what images are brought to: nothing if all are small and of one size."""
    sizes = set()
    for path in paths[:: -(-len(paths) // N_LOOKED_AT)]:
        try:
            sizes.add(look(path).size)
        except (OSError, ValueError):
            continue  # fit says what is wrong with it
    is_small = len(sizes) == 1 and max(max(sizes)) <= side
    return None if is_small else (side, side)


def folders_of(paths: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Return some of the paths and their folders' names, where several hold images.

    Folders of a single image are left out, since none is like it.
    """
    names = [Path(path).parent.name for path in paths]
    counts = Counter(names)
    kept = [i for i, name in enumerate(names) if counts[name] > 1]
    if len({names[i] for i in kept}) < 2:
        return None
    rng = np.random.default_rng(0)
    kept = sorted(rng.permutation(kept)[:N_COMPARED])
    return [paths[i] for i in kept], [names[i] for i in kept]


def same_folder(byol: BYOLTransformer, paths: list[str], names: list[str]) -> float:
    """Return the accuracy with which half of the images tell the folder of the rest."""
    rows = byol.transform(paths)
    parts = train_test_split(rows, np.array(names), test_size=0.5, random_state=0)
    train, test, names_train, names_test = parts
    n = min(N_VOTES, len(train))
    return knn_accuracy(train, names_train, test, names_test, n_neighbors=n)


def compare(byol: BYOLTransformer, paths: list[str]) -> None:
    """Say how far folders' names can be told by what was learned without them."""
    found = folders_of(paths)
    if found is None:
        return
    before = clone(byol).set_params(max_epochs=0, checkpoint=None, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they have been shown
        before.fit(found[0])
    n_told = len(found[0]) - len(found[0]) // 2
    largest = Counter(found[1]).most_common(1)[0][1] / len(found[1])
    print("\nTraining did not look at subfolders. Share of images whose nearest")
    print(f"neighbours vote for their own, of {n_told} images:")
    print(f"  {'after training':<22}{same_folder(byol, *found):.3f}")
    print(f"  {'before training':<22}{same_folder(before, *found):.3f}")
    print(f"  {'always the largest':<22}{largest:.3f}")


def draw(byol: BYOLTransformer, paths: list[str], out: Path) -> list[Path]:
    """Leave pictures beside the model; return their paths."""
    some = paths[:: -(-len(paths) // N_COMPARED)]
    shown = some[:: -(-len(some) // N_PICTURES)]
    figures = {"views": ViewsDisplay.from_estimator(byol, shown).figure_}
    if n := min(N_NEIGHBOURS, len(some) - 1):
        names = [Path(path).parent.name for path in some]
        display = NeighborsDisplay.from_estimator(
            byol, some, names if len(set(names)) > 1 else None, n_neighbors=n
        )
        figures["neighbors"] = display.figure_
    files = []
    for name, figure in figures.items():
        files.append(out.with_name(f"{out.stem}_{name}.png"))
        figure.figure.savefig(files[-1], dpi=150, bbox_inches="tight")
    plt.close("all")
    return files


def tell_next(paths: list[str], folder: str, out: Path) -> None:
    """Print what to type next: all of it where folders are labels."""
    if folders_of(paths) is None:
        where, imports = "", IMPORTS
        given = OWN.format(first=paths[:2])
    else:
        where, imports = ", where folders are the labels", IMPORTS_OF_FOLDERS
        listed = f"list_images({folder!r})"
        if len(paths) < len(list_images(folder)):
            listed = f"sorted(set({listed}) - set(byol.skipped_))"
        given = FOLDERS.format(listed=listed)
    said = {"where": where, "imports": imports, "out": str(out), "given": given}
    print(NEXT.format(**said), end="")


def train(folder: str, out: Path, quiet: bool, parameters: dict[str, Any]) -> None:
    """Train, save, and tell what came of it."""
    paths = list_images(folder)
    shape = parameters.get("image_shape")
    if isinstance(shape, int):
        parameters["image_shape"] = (shape, shape)
    elif shape is None:
        side = SIDE_OF_WEIGHTS if parameters.get("weights") else SIDE
        parameters["image_shape"] = shape_for(paths, side)
    byol = BYOLTransformer(**parameters, verbose=int(not quiet))
    print(f"Training on {len(paths)} images, without labels.", flush=True)
    byol.fit(paths)
    if byol.skipped_:
        print(f"Left out, since they cannot be read: {', '.join(byol.skipped_)}.")
    paths = sorted(set(paths) - set(byol.skipped_))
    if is_first():
        save(byol, out)
    channels, height, width = byol.image_shape_
    print(f"Wrote {out}: a BYOLTransformer for images of {height}x{width} pixels")
    print(f"(channels: {channels}, epochs of training: {byol.n_iter_}).")
    compare(byol, paths)
    if is_first():
        files = draw(byol, paths, out)
        print("\nPictures: " + ", ".join(str(file) for file in files) + ".")
        tell_next(paths, folder, out)


def is_first() -> bool:
    """Tell whether this is the process that writes, where torchrun started many."""
    return os.environ.get("RANK", "0") == "0"


def save(byol: BYOLTransformer, out: Path) -> None:
    """Write the file as a whole, or leave what was there."""
    part = part_of(out)
    try:
        joblib.dump(byol, part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def check_out(out: Path) -> None:
    """Raise OSError before hours of training, if the file cannot be written."""
    if out.is_dir():
        raise IsADirectoryError("it is a folder")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError("its folder is not there")
    part = part_of(out)
    part.touch()
    part.unlink()


@contextlib.contextmanager
def settings_of_a_command() -> Iterator[None]:
    """Warn in a line, draw without a screen, and print what an output can show."""
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):
            output.reconfigure(errors="backslashreplace")
    mpl.use("agg")
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"Warning: {message}\n"
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("once", ImagesWarning)
            if not is_first():
                nowhere = stack.enter_context(
                    Path(os.devnull).open("w", encoding="utf-8")
                )
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            yield
    finally:
        warnings.formatwarning = before


def main(given: Sequence[str] | None = None) -> int:
    """Run the command; return what it exits with."""
    parser = arguments()
    told = vars(parser.parse_args(given))
    folder, out, quiet = told.pop("folder"), Path(told.pop("out")), told.pop("quiet")
    shows_traceback = told.pop("traceback")
    try:
        check_out(out)
    except OSError as error:
        parser.error(f"--out {str(out)!r} cannot be written: {error}")
    with settings_of_a_command():
        try:
            train(folder, out, quiet, told)
        except KeyboardInterrupt:
            again = "type the same again" if "checkpoint" in told else "by --checkpoint"
            print(f"Stopped. To go on: {again}.")
            return 130
        except EXPECTED as error:
            if shows_traceback:
                traceback.print_exc()
            print(f"Error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
