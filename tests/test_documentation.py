"""What is written about the library is true of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.validate import validate

import sklearn_byol
import sklearn_byol.inspection
import sklearn_byol.metrics
import sklearn_byol.model_selection

ROOT = Path(__file__).parents[1]

# GL01, GL02: where the text begins and ends. SA01: "See Also". ES01: extended summary.
# EX01: examples. GL08 is not left out: every public object has a docstring.
LEFT_OUT = {"GL01", "GL02", "SA01", "ES01", "EX01"}
# Inherited from scikit-learn, or protocol methods.
METHODS = ["BYOLTransformer.fit", "BYOLTransformer.transform"]
METHODS += ["BYOLTransformer.partial_fit"]
METHODS += ["BYOLTransformer.read_images", "BYOLTransformer.sample_views"]
METHODS += [f"BYOLClassifier.{name}" for name in ("fit", "predict", "predict_proba")]
METHODS += ["BYOLTransformer.to_onnx", "BYOLTransformer.to_safetensors"]
METHODS += ["RandomViews.sample", "RandomViews.resolve"]
METHODS += ["model_selection.LabeledTestSplit", "callbacks.ProbeCallback"]
METHODS += ["model_selection.LabeledTestSplit.split"]
METHODS += [f"metrics.{name}" for name in sklearn_byol.metrics.__all__]
METHODS += [
    f"inspection.{name}.{member}".removesuffix(".")
    for name in sklearn_byol.inspection.__all__
    for member in ("", "from_estimator", "from_representations", "from_views", "plot")
    if hasattr(getattr(sklearn_byol.inspection, name), member or "plot")
]


@pytest.mark.parametrize("name", [*sklearn_byol.__all__, *METHODS])
def test_docstrings_are_numpydocs(name):
    found = validate(f"sklearn_byol.{name}")["errors"]
    assert [error for error in found if error[0] not in LEFT_OUT] == []


def test_the_blocks_of_the_readme_run(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 3
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
        ("plot_unlabelled_pool.py", {"unlabelled_pool.png"}),
        ("plot_neighbors.py", {"neighbors_labels.png", "neighbors_odd.png"}),
        ("plot_pretrained.py", {"pretrained.png"}),
        ("plot_search.py", {"search_with_labels.png"}),
        ("plot_search_without_labels.py", {"search.png"}),
        ("plot_views.py", {"views.png"}),
    ],
)
def test_examples_leave_their_pictures(name, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    options = {
        "plot_digits.py": ["--max-epochs", "1"],
        "plot_neighbors.py": ["--max-epochs", "1"],
        "plot_pretrained.py": ["--epochs", "0,1"],
        "plot_search.py": ["--max-epochs", "1", "--n-jobs", "1"],
        "plot_search_without_labels.py": [
            *("--max-epochs", "1", "--lrs", "0.001", "--n-jobs", "1")
        ],
        "plot_unlabelled_pool.py": ["--epochs", "1", "--seeds", "1"],
    }
    command = [sys.executable, str(ROOT / "examples" / name), *options.get(name, [])]
    subprocess.run(
        command, check=True, cwd=tmp_path, env=os.environ, capture_output=True
    )
    assert pictures <= {path.name for path in tmp_path.iterdir()}


BENCHMARKS = {
    "views.py": ["--sides", "8", "--rounds", "1", "--json", "views.json"],
    "quality.py": ["--sets", "digits", "--budget", "try", "--out", "quality"],
    "throughput.py": ["--settings", "gray8", "--rounds", "1", "--steps", "1"],
    "study.py": ["--sets", "digits", "--epochs", "1", "--images", "400"],
    "classifier.py": ["--budget", "try", "--labels", "1", "--draws", "1"],
}
BENCHMARKS["quality.py"] += ["--methods", "raw pixels,HOG + colours,BYOL"]
BENCHMARKS["study.py"] += ["--held-out", "200", "--changes", "defaults,lr_triple"]


@pytest.mark.parametrize(
    ("name", "said", "left"),
    [
        ("views.py", "x ours", {"views.json"}),
        ("throughput.py", "bare step, float32", set()),
        ("quality.py", "kNN", {"quality.json", "quality.png"}),
        ("study.py", '"change": "lr_triple"', set()),
        ("classifier.py", "| linear probe | ", {"classifier.json"}),
    ],
)
def test_benchmarks_run(name, said, left, tmp_path):
    told = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), *BENCHMARKS[name]],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert said in told.stdout
    assert left <= {path.name for path in tmp_path.iterdir()}
