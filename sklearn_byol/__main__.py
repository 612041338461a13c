"""Train on a folder of images: `python -m sklearn_byol photos --out model.joblib`."""

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import matplotlib as mpl

from sklearn_byol._command._folder import Folder, shape_for
from sklearn_byol._command._options import arguments, option
from sklearn_byol._command._output import Output
from sklearn_byol._command._report import compare, draw, tell_next
from sklearn_byol._command._words import SaysOnce, as_options
from sklearn_byol._files import part_of
from sklearn_byol.estimators._transformer import BYOLTransformer
from sklearn_byol.images._decode import endings

SIDE = 64  # pixels of images that are larger, or of different sizes
SIDE_OF_WEIGHTS = 160  # that networks with published weights see, by default
EXPECTED = (ValueError, TypeError, OSError, ImportError, ArithmeticError)
INTERRUPTED = 130  # what a shell expects of a command that Ctrl-C has ended
WRITTEN = ("out", "cache", "checkpoint")
AGAIN = " Type the same again to go on from the last whole epoch."
LATER = (
    " With --checkpoint FOLDER, typing the same again would go on from the last whole "
    "epoch; with --on-interrupt keep, Ctrl-C would end training and keep the model."
)


def train(folder: Folder, parameters: dict[str, Any]) -> tuple[BYOLTransformer, Any]:
    """Fit a transformer; return it with the paths of the images that it read."""
    paths = folder.images()
    shape = parameters.get("image_shape")
    if isinstance(shape, int):
        parameters["image_shape"] = (shape, shape)
    elif shape is None:
        side = SIDE_OF_WEIGHTS if parameters.get("weights") else SIDE
        parameters["image_shape"] = shape_for(paths, side)
    byol = BYOLTransformer(**parameters)
    byol._validate_params()  # noqa: SLF001  scikit-learn's
    if len(paths) < 2:
        raise ValueError(
            f"{folder.name} holds one image, and training takes two. Each file counts "
            "as one."
        )
    print(f"Training on {len(paths)} images, without labels.", flush=True)
    byol.fit(paths)
    if byol.skipped_:
        print(f"Left out, since they cannot be read: {', '.join(byol.skipped_)}.")
    return byol, sorted(set(paths) - set(byol.skipped_))


def report(byol: BYOLTransformer, paths: list[str], folder: Folder) -> None:
    """Draw and say what came of a training; the model is written already."""
    drawn = _drawn(byol, paths, folder) if is_first() else ""
    channels, height, width = byol.image_shape_
    print(
        f"Wrote {folder.out}: a BYOLTransformer for images of {height}x{width} pixels"
    )
    print(f"(channels: {channels}, epochs of training: {byol.n_iter_}).", flush=True)
    compare(byol, paths)
    if is_first():
        print(f"\n{drawn}")
        tell_next(folder, paths, skips=bool(byol.skipped_))


def _drawn(byol: BYOLTransformer, paths: list[str], folder: Folder) -> str:
    """Draw the pictures, and say where they are."""
    try:
        return f"Pictures: {', '.join(draw(byol, paths, folder.pictures))}."
    except EXPECTED as error:
        return f"The pictures could not be drawn: {error}"


def is_first() -> bool:
    """Tell whether this is the process that writes, where torchrun started many."""
    return os.environ.get("RANK", "0") == "0"


def save(byol: BYOLTransformer, out: Path) -> None:
    """Write the file as a whole, or leave what was there."""
    out = out.resolve()  # of a link, the file that it names
    part = part_of(out)
    try:
        joblib.dump(byol, part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def check_places(folder: Folder, parameters: dict[str, Any]) -> None:
    """Raise OSError before hours of training, if a file cannot be written."""
    out = folder.out
    for name, place in {"out": out, **parameters}.items():
        if name in WRITTEN and place is not None and folder.holds(place):
            raise OSError(
                f"{option(name)} {str(place)!r} lies in the folder of images, where "
                "what is written would be read as images: take one outside, such as "
                f"{str(Path(folder.name).parent / Path(place).name)!r}"
            )
    if out.suffix.lower() in endings():
        raise OSError(f"--out: {out.suffix} is the ending of an image; take .joblib")
    for path in (out, *folder.pictures.values()):
        if path.is_dir():
            raise IsADirectoryError(f"--out: {str(path)!r} is a folder")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"--out: the folder of {str(out)!r} is not there")
    try:
        part = part_of(out)
        part.touch()
        part.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"--out {str(out)!r} cannot be written: {reason}") from error


@contextlib.contextmanager
def settings_of_a_command() -> Iterator[None]:
    """Warn in a line, draw without a screen, and print what an output can show."""
    mpl.use("agg")
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.showwarning = SaysOnce()
        # Where each folder has two images or three.
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        for output in (sys.stdout, sys.stderr):
            if hasattr(output, "reconfigure"):
                output.reconfigure(errors="backslashreplace")
        nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        stack.enter_context(nowhere)
        out = Output(sys.stdout) if is_first() else nowhere
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(Output(sys.stderr)))
        yield


def run(folder: Folder, parameters: dict[str, Any]) -> int:
    """Train, save, and tell what came of it; return what the command exits with."""
    is_written = False
    try:
        byol, paths = train(folder, parameters)
        if is_first():
            save(byol, folder.out)
        is_written = True
        report(byol, paths, folder)
    except KeyboardInterrupt:
        what = f"{folder.out} is written" if is_written else "nothing was written"
        again = LATER if parameters.get("checkpoint") is None else AGAIN
        said = f"Stopped; {what}.{'' if is_written else again}"
        print(said, file=sys.stderr)
        return INTERRUPTED
    return 0


def main(given: Sequence[str] | None = None) -> int:
    """Run the command; return what it exits with."""
    parser = arguments()
    told = vars(parser.parse_args(given))
    name, out = told.pop("folder"), os.path.expanduser(told.pop("out"))  # noqa: PTH111
    shows_traceback = told.pop("traceback")
    told["verbose"] = int(not told.pop("quiet"))
    if not Path(out).name:
        parser.error(f"--out needs the name of a file. Got {out!r}")
    folder = Folder.of(name, Path(out), follows_links=told.pop("follow_links"))
    if not name or not Path(folder.name).is_dir():
        parser.error(f"FOLDER {name!r} is not a folder")
    try:
        check_places(folder, told)
    except OSError as error:
        parser.error(str(error))
    with settings_of_a_command():
        try:
            return run(folder, told)
        except EXPECTED as error:
            if shows_traceback:
                traceback.print_exc()
            print(f"Error: {as_options(str(error))}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
