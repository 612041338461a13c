"""Train on a folder of images: `python -m sklearn_byol photos --out model.joblib`."""

import argparse
import ast
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from sklearn_byol.estimators._transformer import BYOLTransformer
from sklearn_byol.images._decode import look
from sklearn_byol.images._folders import list_images
from sklearn_byol.inspection import NeighborsDisplay, ViewsDisplay
from sklearn_byol.metrics import knn_accuracy

SIDE = 64  # pixels of images that are larger, or of different sizes
N_LOOKED_AT = 200  # files whose size is read before training
N_COMPARED = 2_000  # images that are compared by their folders, at most
N_PICTURES = 12  # whose views are drawn
N_NEIGHBOURS = 6  # that are drawn beside an image
NOT_HERE = {"callbacks", "verbose", "warm_start"}
USAGE = """
Every parameter of BYOLTransformer is an option: max_epochs is --max-epochs. Values are
written as in Python. On photographs begin with a network that knows ImageNet:
--encoder resnet18 --weights pretrained. Images of different sizes, and those larger
than 64 pixels, are brought to 64x64; --image-shape 96,96 is another size.
"""


def arguments() -> argparse.ArgumentParser:
    """Make the options: those of the command, and each parameter of the transformer."""
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_byol",
        description="Train BYOL on all images below a folder, without labels, and save "
        "a fitted BYOLTransformer with joblib. Beside it two pictures are left: views "
        "that it learned from, and images with those that it finds most alike.",
        epilog=USAGE,
        allow_abbrev=False,
    )
    parser.add_argument("folder", help="where the images are; subfolders are read too")
    parser.add_argument("--out", required=True, help="the file to write, .joblib")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    group = parser.add_argument_group("parameters of BYOLTransformer")
    for name, default in BYOLTransformer().get_params(deep=False).items():
        if name not in NOT_HERE:
            group.add_argument(
                f"--{name.replace('_', '-')}",
                dest=name,
                type=value,
                default=argparse.SUPPRESS,
                metavar="VALUE",
                help=f"default: {default}",
            )
    return parser


def value(text: str) -> object:
    """Read a number, a tuple or None as Python does, and else take the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def shape_for(paths: Sequence[str]) -> tuple[int, int] | None:
    """Choose what images are brought to: nothing if all are small and of one size."""
    sizes = set()
    for path in paths[:: -(-len(paths) // N_LOOKED_AT)]:
        try:
            sizes.add(look(path).size)
        except (OSError, ValueError):
            continue  # fit says what is wrong with it
    is_small = len(sizes) == 1 and max(max(sizes)) <= SIDE
    return None if is_small else (SIDE, SIDE)


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
    n = min(20, len(train))
    return knn_accuracy(train, names_train, test, names_test, n_neighbors=n)


def compare(byol: BYOLTransformer, paths: list[str]) -> None:
    """Say how far folders' names can be told by what was learned without them."""
    found = folders_of(paths)
    if found is None:
        return
    before = clone(byol).set_params(max_epochs=0, checkpoint=None, verbose=0)
    before.fit(found[0])
    largest = Counter(found[1]).most_common(1)[0][1] / len(found[1])
    print("\nTraining did not look at subfolders. Share of images whose nearest")
    print("neighbours vote for their own:")
    print(f"  {'after training':<22}{same_folder(byol, *found):.3f}")
    print(f"  {'before training':<22}{same_folder(before, *found):.3f}")
    print(f"  {'always the largest':<22}{largest:.3f}")


def draw(byol: BYOLTransformer, paths: list[str], out: Path) -> list[Path]:
    """Leave pictures beside the model; return their paths."""
    some = paths[:: -(-len(paths) // N_COMPARED)]
    shown = some[:: -(-len(some) // N_PICTURES)]
    figures = {"views": ViewsDisplay.from_estimator(byol, shown).figure_}
    if n := min(N_NEIGHBOURS, len(some) - 1):
        display = NeighborsDisplay.from_estimator(byol, some, n_neighbors=n)
        figures["neighbors"] = display.figure_
    files = []
    for name, figure in figures.items():
        files.append(out.with_name(f"{out.stem}_{name}.png"))
        figure.figure.savefig(files[-1], dpi=150, bbox_inches="tight")
    plt.close("all")
    return files


NEXT = """
Next, with labels for a few of the images, in Python:

  import joblib
  from sklearn.linear_model import LogisticRegression
  byol = joblib.load({out!r})
  clf = LogisticRegression(max_iter=1000).fit(byol.transform(paths), labels)
"""


def train(folder: str, out: Path, quiet: bool, parameters: dict[str, Any]) -> None:
    """Train, save, and tell what came of it."""
    paths = list_images(folder)
    parameters.setdefault("image_shape", shape_for(paths))
    byol = BYOLTransformer(**parameters, verbose=int(not quiet))
    print(f"Training on {len(paths)} images, without labels.", flush=True)
    byol.fit(paths)
    joblib.dump(byol, out)
    paths = sorted(set(paths) - set(byol.skipped_))
    channels, height, width = byol.image_shape_
    print(f"{out}: a BYOLTransformer for images of {height}x{width} pixels with")
    print(f"{channels} channels, trained for {byol.n_iter_} epochs.")
    compare(byol, paths)
    files = draw(byol, paths, out)
    print("\nPictures: " + ", ".join(str(file) for file in files) + ".")
    print(NEXT.format(out=str(out)), end="")


def main(given: Sequence[str] | None = None) -> int:
    """Run the command; return what it exits with."""
    parser = arguments()
    told = vars(parser.parse_args(given))
    folder, out, quiet = told.pop("folder"), Path(told.pop("out")), told.pop("quiet")
    if out.is_dir() or not out.absolute().parent.is_dir():
        parser.error(f"--out {str(out)!r} is a folder, or in one that is not there.")
    mpl.use("agg")
    with warnings.catch_warnings():
        warnings.formatwarning = lambda message, *_, **__: f"Warning: {message}\n"
        try:
            train(folder, out, quiet, told)
        except KeyboardInterrupt:
            print("Stopped. With --checkpoint FOLDER a training can go on.")
            return 130
        except (ValueError, TypeError, OSError, ImportError, ArithmeticError) as error:
            print(f"Error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
