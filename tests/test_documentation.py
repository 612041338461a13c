"""What is written about the library is true of it."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.validate import validate

import sklearn_byol

ROOT = Path(__file__).parents[1]

# GL01, GL02: where the text begins and ends. SA01: "See Also". ES01: extended summary.
# EX01: examples. GL08 is not left out: every public object has a docstring.
LEFT_OUT = {"GL01", "GL02", "SA01", "ES01", "EX01"}
# Inherited from scikit-learn, or protocol methods.
METHODS = ["BYOLTransformer.fit", "BYOLTransformer.transform"]
METHODS += ["RandomViews.sample", "RandomViews.resolve"]


@pytest.mark.parametrize("name", [*sklearn_byol.__all__, *METHODS])
def test_docstrings_are_numpydocs(name):
    found = validate(f"sklearn_byol.{name}")["errors"]
    assert [error for error in found if error[0] not in LEFT_OUT] == []


def test_the_blocks_of_the_readme_run(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 2
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks))
    subprocess.run([sys.executable, str(script)], check=True, cwd=tmp_path)
    assert (tmp_path / "model.joblib").exists()


def test_the_readme_is_short_and_starts_with_the_two_commands():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 120
    assert "make demo" in "\n".join(lines[:12])
    assert "make test" in "\n".join(lines[:12])


@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("plot_digits.py", {"digits_training.png", "digits_maps.png"}),
        ("plot_views.py", {"views.png"}),
    ],
)
def test_examples_leave_their_pictures(name, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    options = ["--max-epochs", "1"] if name == "plot_digits.py" else []
    command = [sys.executable, str(ROOT / "examples" / name), *options]
    subprocess.run(
        command, check=True, cwd=tmp_path, env=os.environ, capture_output=True
    )
    assert pictures <= {path.name for path in tmp_path.iterdir()}


def test_the_benchmark_of_views_runs(capsys, monkeypatch, tmp_path):
    figures = tmp_path / "views.json"
    arguments = ["--sides", "8", "--rounds", "1", "--json", str(figures)]
    monkeypatch.setattr(sys, "argv", ["views.py", *arguments])
    runpy.run_path(str(ROOT / "benchmarks" / "views.py"), run_name="__main__")
    assert "x ours" in capsys.readouterr().out
    assert figures.exists()
