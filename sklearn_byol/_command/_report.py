"""What the command says of a model: what was learned, pictures, what to type next."""

import warnings
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from sklearn_byol._command._folder import N_COMPARED, Folder, folders_of
from sklearn_byol.estimators._transformer import BYOLTransformer
from sklearn_byol.inspection import NeighborsDisplay, ViewsDisplay
from sklearn_byol.metrics import knn_accuracy

N_VOTES = 20  # of neighbours, for a folder
N_PICTURES = 12  # whose views are drawn
N_NEIGHBOURS = 6  # that are drawn beside an image
N_NAMED = 5  # labels that are said
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
labels = ["one", "other"]  # the label of each"""


def compare(byol: BYOLTransformer, paths: list[str]) -> None:
    """Say how far folders' names can be told by what was learned without them."""
    found = folders_of(paths)
    if found is None:
        return
    shares = {"after training": same_folder(byol, *found)}
    if byol.n_iter_ == 0:
        shares = {"without training": shares["after training"]}
    else:
        before = clone(byol).set_params(max_epochs=0, checkpoint=None, verbose=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they have been shown
            before.fit(found[0])
        shares["before training"] = same_folder(before, *found)
    n_told = len(found[0]) - len(found[0]) // 2
    most = Counter(found[1]).most_common(1)[0][1]
    shares["always the largest"] = most / len(found[1])
    print("\nTraining did not look at subfolders. Share of images whose nearest")
    print(f"neighbours vote for their own, of {n_told} images:")
    for title, share in shares.items():
        print(f"  {title:<22}{share:.3f}")


def same_folder(byol: BYOLTransformer, paths: list[str], names: list[str]) -> float:
    """Return the accuracy with which half of the images tell the folder of the rest."""
    rows = byol.transform(paths)
    parts = train_test_split(rows, np.array(names), test_size=0.5, random_state=0)
    train, test, names_train, names_test = parts
    n = min(N_VOTES, len(train))
    return knn_accuracy(train, names_train, test, names_test, n_neighbors=n)


def draw(byol: BYOLTransformer, paths: list[str], files: dict[str, Path]) -> list[str]:
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
    for name, figure in figures.items():
        figure.figure.savefig(files[name], dpi=150, bbox_inches="tight")
    plt.close("all")
    return [str(files[name]) for name in figures]


def tell_next(folder: Folder, paths: list[str], *, skips: bool) -> None:
    """Print what to type next: all of it where folders are labels."""
    if folders_of(paths) is None:
        where, imports = "", IMPORTS
        given = OWN.format(first=paths[:2])
    else:
        labels = dict.fromkeys(Path(path).parent.name for path in paths)
        where = f", where the innermost folders are the labels ({_some_of(labels)})"
        imports = IMPORTS_OF_FOLDERS
        given = FOLDERS.format(listed=folder.code(skips=skips))
    said = {"where": where, "imports": imports, "given": given}
    print(NEXT.format(**said, out=str(folder.out.absolute())), end="")


def _some_of(names: dict[str, None]) -> str:
    """Name the first few, and count the others."""
    n_more = len(names) - N_NAMED
    more = f" and {n_more} more" if n_more > 0 else ""
    return ", ".join([*names][:N_NAMED]) + more
