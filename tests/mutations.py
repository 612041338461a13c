"""Does a test notice if one line is broken? `make mutations` writes mutations.md.

Each mutation changes one place of the lower layers in a copy of the project and runs
the tests that should notice. Processes are forked from one that has imported the
libraries, so that a mutation takes a second or two; the system must be able to fork.
"""

import argparse
import contextlib
import importlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.mutation_table import MUTATIONS

ROOT = Path(__file__).parent.parent
LIMIT = 120  # seconds
PRELOADED = (
    *("torch", "torchvision", "numpy", "scipy.stats", "sklearn.pipeline", "skorch"),
    *("pandas", "polars", "PIL.Image", "matplotlib.pyplot", "joblib"),
    *("sklearn.linear_model", "sklearn.model_selection", "sklearn.datasets"),
)


class Mutation(NamedTuple):
    """One place that is broken, and the tests that should notice."""

    path: str
    old: str
    new: str
    tests: str

    def applied(self, text: str) -> str:
        """Return the text with the one place changed."""
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.path} has {self.old!r} {text.count(self.old)} times, not once."
            )
        return text.replace(self.old, self.new)


def passes(folder: Path, tests: str) -> bool:
    """Tell whether tests of the copy pass, in a process of their own."""
    process = os.fork()
    if process:
        return _waited_for(process) == 0
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    with Path(os.devnull).open("w", encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    # Modules of the project are those of the copy.
    for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
        del sys.modules[name]
    files, _, chosen = tests.partition(" -k ")
    options = ["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    options += [f"tests/{name}.py" for name in files.split()]
    options += ["-k", chosen] if chosen else []
    code = pytest.main(options)
    os._exit(int(code))


def _waited_for(process: int) -> int:
    """Wait for a process, and end it if it takes too long."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return -signal.SIGKILL


def copied(folder: Path) -> Path:
    """Copy what tests need."""
    for name in ("sklearn_byol", "tests"):
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def is_noticed(mutation: Mutation, folder: Path) -> bool:
    """Break the copy, run the tests, and mend it."""
    path = folder / "sklearn_byol" / mutation.path
    text = path.read_text(encoding="utf-8")
    path.write_text(mutation.applied(text), encoding="utf-8")
    try:
        return not passes(folder, mutation.tests)
    finally:
        path.write_text(text, encoding="utf-8")


def table(rows: list[tuple[Mutation, bool]]) -> str:
    """Write the results as a table."""
    n_noticed = sum(noticed for _, noticed in rows)
    lines = [
        "# Mutations",
        "",
        f"{n_noticed} of {len(rows)} are noticed by the tests beside them "
        "(`make mutations`).",
        "",
        "| file | line | broken to | noticed by | |",
        "|---|---|---|---|---|",
    ]
    for mutation, noticed in rows:
        old, new = (_in_a_cell(text) for text in (mutation.old, mutation.new))
        verdict = "yes" if noticed else "**NO**"
        lines.append(
            f"| {mutation.path} | {old} | {new} | {mutation.tests} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def _in_a_cell(text: str) -> str:
    """Show a piece of code on one line of a table."""
    short = re.sub(r"\s+", " ", text).strip().replace("|", "\\|")
    return f"`{short}`" if short else "nothing"


def main() -> int:
    """Run all mutations, or those whose file or line contains a text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="text in the file or the line")
    options = parser.parse_args()
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    chosen = [
        mutation
        for mutation in (Mutation(*row) for row in MUTATIONS)
        if options.only in mutation.path + mutation.old
    ]
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = copied(Path(place) / "copy")
        whole = set()
        for mutation in chosen:
            tests = mutation.tests
            if tests not in whole and not passes(folder, tests):
                raise SystemExit(f"{tests} fails, or finds no test, without a mutation")
            whole.add(tests)
            rows.append((mutation, is_noticed(mutation, folder)))
            verdict = "noticed" if rows[-1][1] else "NOT NOTICED"
            sys.stdout.write(f"{' | '.join([*mutation[:3], verdict])}\n")
            sys.stdout.flush()
    if not options.only:
        Path(__file__).with_suffix(".md").write_text(table(rows), encoding="utf-8")
    return sum(not noticed for _, noticed in rows)


if __name__ == "__main__":
    raise SystemExit(main())
