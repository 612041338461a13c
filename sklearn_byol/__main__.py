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
from sklearn_byol._command._options import arguments
from sklearn_byol._command._report import compare, draw, tell_next
from sklearn_byol._command._words import SaysOnce, as_options
from sklearn_byol._files import part_of
from sklearn_byol.estimators._transformer import BYOLTransformer
from sklearn_byol.images._decode import endings

SIDE = 64  # pixels of images that are larger, or of different sizes
SIDE_OF_WEIGHTS = 160  # that networks with published weights see, by default
EXPECTED = (ValueError, TypeError, OSError, ImportError, ArithmeticError)
INTERRUPTED = 130  # what a shell expects of a command that Ctrl-C has ended


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
        raise ValueError(f"{folder.name} holds one image, and training takes two.")
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
    part = part_of(out)
    try:
        joblib.dump(byol, part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def check_out(folder: Folder) -> None:
    """Raise OSError before hours of training, if a file cannot be written."""
    out = folder.out
    if out.suffix.lower() in endings():
        raise OSError(f"{out.suffix} is the ending of an image; take .joblib")
    for path in (out, *folder.pictures.values()):
        if path.is_dir():
            raise IsADirectoryError(f"{str(path)!r} is a folder")
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
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.showwarning = SaysOnce()
        if not is_first():
            nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        yield


def run(folder: Folder, parameters: dict[str, Any]) -> int:
    """Train, save, and tell what came of it; return what the command exits with."""
    try:
        byol, paths = train(folder, parameters)
    except KeyboardInterrupt as stop:
        notes = " ".join(getattr(stop, "__notes__", ()))
        print(f"Stopped; nothing was written. {as_options(notes)}".strip())
        return INTERRUPTED
    if is_first():
        save(byol, folder.out)
    try:
        report(byol, paths, folder)
    except KeyboardInterrupt:
        print(f"Stopped; {folder.out} is written.")
        return INTERRUPTED
    return 0


def main(given: Sequence[str] | None = None) -> int:
    """Run the command; return what it exits with."""
    parser = arguments()
    told = vars(parser.parse_args(given))
    name, out = told.pop("folder"), told.pop("out")
    shows_traceback = told.pop("traceback")
    told["verbose"] = int(not told.pop("quiet"))
    folder = Folder(name, Path(out).expanduser(), told.pop("follow_links"))
    if not out:
        parser.error("--out needs the name of a file")
    if not name or not Path(name).expanduser().is_dir():
        parser.error(f"{name!r} is not a folder")
    try:
        check_out(folder)
    except OSError as error:
        parser.error(f"--out {out!r} cannot be written: {error.strerror or error}")
    with settings_of_a_command():
        try:
            return run(folder, told)
        except BrokenPipeError:  # of head, say, which has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except EXPECTED as error:
            if shows_traceback:
                traceback.print_exc()
            print(f"Error: {as_options(str(error))}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
