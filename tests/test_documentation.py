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
from tests.conftest import collect_ignore
from tests.readme import python_of_readme

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


@pytest.mark.slow
def test_the_blocks_of_the_readme_run(tmp_path):
    script = tmp_path / "readme.py"
    script.write_text(python_of_readme(), encoding="utf-8")
    subprocess.run([sys.executable, str(script)], check=True, cwd=tmp_path)
    assert (tmp_path / "model.joblib").exists()


@pytest.mark.slow
def test_all_that_slow_tests_need_is_installed():
    assert collect_ignore == []


def test_the_readme_is_short_and_starts_with_the_two_commands():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 120
    assert "make demo" in "\n".join(lines[:12])
    assert "make test" in "\n".join(lines[:12])


# What makes each example short, and the pictures that it leaves.
EXAMPLES = {
    "plot_digits.py": (
        {"MAX_EPOCHS = 40": "MAX_EPOCHS = 1"},
        {"digits_training.png", "digits_labels.png", "digits_maps.png"},
    ),
    "plot_few_labels.py": (
        {
            "MAX_EPOCHS = 20": "MAX_EPOCHS = 1",
            "N_LABELS = [1, 5, 20]": "N_LABELS = [1, 2]",
            "N_DRAWS = 2": "N_DRAWS = 1",
            "random_state=0),\n}": "random_state=0, max_epochs=1),\n}",
        },
        {"few_labels.png"},
    ),
    "plot_find_odd_images.py": (
        {"MAX_EPOCHS = 20": "MAX_EPOCHS = 1", "n_estimators=300": "n_estimators=10"},
        {"odd_labels.png", "odd_images.png", "odd_duplicates.png"},
    ),
    "plot_pretrained.py": (
        {"N_FROM_SCRATCH = 3, 20": "N_FROM_SCRATCH = 1, 1"},
        {"pretrained.png"},
    ),
    "plot_saving_and_serving.py": (
        {
            "MAX_EPOCHS = 5": "MAX_EPOCHS = 1",
            "N_ROUNDS = 30": "N_ROUNDS = 1",
            "BATCHES = [1, 4, 16, 64, 256]": "BATCHES = [1, 64]",
        },
        {"saving.png"},
    ),
    "plot_search.py": (
        {
            "MAX_EPOCHS = 9": "MAX_EPOCHS = 1",
            "N_JOBS = 2": "N_JOBS = 1",
            "[0.5, 0.9, 0.99], [1e-3, 3e-3, 1e-2]": "[0.5, 0.9], [1e-3]",
            "n_iter=4": "n_iter=1",
        },
        {"search_with_labels.png"},
    ),
    "plot_search_without_labels.py": (
        {
            "MAX_EPOCHS = 6": "MAX_EPOCHS = 1",
            "LRS = [1e-4, 1e-3, 3e-3, 1e-2]": "LRS = [1e-3]",
            "N_JOBS = 2": "N_JOBS = 1",
        },
        {"search.png"},
    ),
    "plot_shapes_and_textures.py": (
        {
            "N_TRAIN, N_TEST = 2000, 1000": "N_TRAIN, N_TEST = 64, 64",
            "MAX_EPOCHS = 15": "MAX_EPOCHS = 1",
            "sizes = (1, 5, 20, 100)": "sizes = (1, 2)",
        },
        {"shapes_views.png", "shapes_labels.png", "shapes_occlusion.png"},
    ),
    "plot_unlabelled_pool.py": (
        {"EPOCHS = 6": "EPOCHS = 1", "SEEDS = 2": "SEEDS = 1"},
        {"unlabelled_pool.png"},
    ),
    "plot_views.py": (
        {"N_DRAWS = 2000": "N_DRAWS = 50"},
        {"views.png", "views_small_object.png", "views_lost.png"},
    ),
}


def test_every_example_is_run():
    assert set(EXAMPLES) == {path.name for path in (ROOT / "examples").glob("*.py")}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_leave_their_pictures(name, tmp_path):
    changes, pictures = EXAMPLES[name]
    source = (ROOT / "examples" / name).read_text(encoding="utf-8")
    for long, short in changes.items():
        assert long in source
        source = source.replace(long, short)
    (tmp_path / name).write_text(source, encoding="utf-8")
    subprocess.run(
        [sys.executable, name],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
    )
    assert pictures == {path.name for path in tmp_path.glob("*.png")}


BENCHMARKS = {
    "views.py": ["--sides", "8", "--rounds", "1", "--json", "views.json"],
    "quality.py": ["--sets", "digits", "--budget", "try", "--out", "quality"],
    "throughput.py": ["--settings", "gray8", "--rounds", "1", "--steps", "1"],
    "study.py": ["--sets", "digits", "--epochs", "1", "--images", "400"],
    "classifier.py": ["--budget", "try", "--labels", "1", "--draws", "1"],
}
BENCHMARKS["processes.py"] = ["--processes", "1", "--seeds", "1", "--epochs", "1"]
BENCHMARKS["label_free.py"] = ["--images", "800", "--epochs", "1", "--lrs", "1e-3"]
BENCHMARKS["label_free.py"] += ["--momenta", "0.9"]
BENCHMARKS["health.py"] = ["--only", "batch 256,lr x100", "--epochs", "1"]
BENCHMARKS["overheads.py"] = ["--parts", "forward", "--rounds", "1"]
BENCHMARKS["steps.py"] = ["--settings", "gray8", "--rounds", "1", "--steps", "1"]
BENCHMARKS["steps.py"] += ["--variants", "as it is,in float32"]
BENCHMARKS["gpu.py"] = ["--device", "cpu", "--tiny", "--out", "gpu"]
BENCHMARKS["files.py"] = ["--images", "64", "--n-jobs", "1"]
BENCHMARKS["grid.py"] = ["--device", "cpu", "--tiny", "--only", "digits"]
BENCHMARKS["grid.py"] += ["--changes", "defaults", "--workers", "1", "--out", "grid"]
# What it trains takes packages and images that are not here.
TRAINED = ROOT / "benchmarks" / "weights_grid.jsonl"
BENCHMARKS["weights_grid.py"] = ["--report", str(TRAINED)]
BENCHMARKS["pretrained.py"] = ["--sets", "speckle", "--size", "0", "--images", "200"]
BENCHMARKS["pretrained.py"] += ["--rows", "frozen,HOG + colours", "--scored", "60"]
BENCHMARKS["time_to_accuracy.py"] = ["--images", "200", "--scale", "0.05"]
BENCHMARKS["time_to_accuracy.py"] += ["--contenders", "former defaults"]
BENCHMARKS["channel_ranges.py"] = ["--times", "1", "--seeds", "0"]
BENCHMARKS["quality.py"] += ["--methods", "raw pixels,HOG + colours,BYOL"]
BENCHMARKS["study.py"] += ["--held-out", "200", "--changes", "defaults,lr_triple"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said", "left"),
    [
        ("views.py", "x ours", {"views.json"}),
        ("channel_ranges.py", "one for each", set()),
        ("throughput.py", "bare step, float32", set()),
        ("quality.py", "kNN", {"quality.json", "quality.png"}),
        ("study.py", '"change": "lr_triple"', set()),
        ("time_to_accuracy.py", "of before, ", {"time_to_accuracy.png"}),
        ("label_free.py", '"alignment + uniformity": ', set()),
        ("health.py", '"similarity": ', set()),
        ("classifier.py", "| linear probe | ", {"classifier.json"}),
        ("processes.py", "| 1 | ", {"processes.json"}),
        ("overheads.py", "resnet18, 32 px", set()),
        ("steps.py", "in float32 ", set()),
        ("files.py", "streamed", set()),
        ("gpu.py", "views: ", {"gpu"}),
        ("grid.py", "1 of 1 jobs", {"grid"}),
        ("weights_grid.py", "adapted less frozen", set()),
        ("pretrained.py", "(+0.0 / +0.0)", {"pretrained.json"}),
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


@pytest.mark.slow
@pytest.mark.parametrize("parts", ["forward,nothing", "forward,"])
def test_a_part_of_overheads_that_is_none_is_an_error_that_names_them(parts):
    told = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "overheads.py"), "--parts", parts],
        check=False,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 2
    assert told.stdout == ""
    assert re.search("No part begins with '(nothing)?', of .*; forward, ", told.stderr)
