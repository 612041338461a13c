"""What a report of a fault says about the machine."""

import ast
import importlib.metadata
import io
import re
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import sklearn_byol
from sklearn_byol import show_versions
from sklearn_byol._show_versions import DEPENDENCIES, OPTIONAL

ROOT = Path(__file__).parents[1]


@pytest.fixture
def told(capsys):
    """What is printed, by name."""

    def tell():
        show_versions()
        lines = [
            line for line in capsys.readouterr().out.splitlines() if line[:1] == " "
        ]
        return dict(line.strip().split(": ", maxsplit=1) for line in lines)

    return tell


def required():
    """Names of the packages that pyproject.toml requires."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [
        re.match("[a-z-]+", line)[0] for line in settings["project"]["dependencies"]
    ]


def test_every_dependency_is_among_them():
    assert list(DEPENDENCIES) == required()


def test_what_extras_bring_is_among_those_that_are_optional():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = settings["project"]["optional-dependencies"]
    for_users = set(extras) - {"test", "test-all", "docs", "benchmark"}
    brought = {
        re.match("[a-z-]+", line)[0] for name in for_users for line in extras[name]
    }
    assert brought - {*OPTIONAL, *DEPENDENCIES} == set()


@pytest.mark.parametrize("name", [*DEPENDENCIES, *OPTIONAL])
def test_versions_are_those_that_were_installed(name, told):
    try:
        expected = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        expected = "not installed"
    assert told()[name] == expected


def test_the_library_and_python_are_named(told):
    lines = told()
    assert lines["sklearn_byol"] == sklearn_byol.__version__
    assert lines["python"].startswith(".".join(map(str, sys.version_info[:3])))


def test_auto_is_what_an_estimator_would_take(told):
    lines = told()
    has_gpu = torch.cuda.is_available()
    has_mps = torch.backends.mps.is_available()
    assert lines["device='auto'"] == (
        "cuda" if has_gpu else "mps" if has_mps else "cpu"
    )
    assert lines["precision='auto'"].split(",")[0] in {"float32", "bfloat16", "float16"}


@pytest.mark.parametrize(
    ("instructions", "answer"),
    [({"amx_bf16": True}, "yes"), ({"avx512_bf16": True}, "yes"), ({}, "no")],
)
def test_bfloat16_is_fast_where_the_processor_has_it(
    instructions, answer, told, monkeypatch
):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: instructions, raising=False
    )
    assert told()["fast bfloat16 on it"] == answer


def test_a_package_that_is_not_there_is_said(told, monkeypatch):
    def nowhere(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("sklearn_byol._show_versions.version", nowhere)
    lines = told()
    assert {lines[name] for name in (*DEPENDENCIES, *OPTIONAL)} == {"not installed"}


def test_a_package_whose_files_are_damaged_is_said(told, tmp_path, monkeypatch):
    folder = tmp_path / "timm-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_bytes(b"Name: timm\nVersion: \xff\xfe")
    monkeypatch.syspath_prepend(tmp_path)
    assert told()["timm"].startswith("unknown, UnicodeDecodeError: ")


@pytest.mark.parametrize(
    "part",
    ["cuda.is_available", "cuda.device_count", "backends.mps", "get_num_threads"],
)
def test_a_part_of_torch_that_fails_leaves_the_rest(part, told, monkeypatch):
    def broken(*_):
        raise RuntimeError("the driver\nis broken")

    before = told()
    if part == "backends.mps":
        part = "backends.mps.is_available"
    monkeypatch.setattr(f"torch.{part}", broken)
    after = told()
    assert list(after) == list(before)
    failed = {name for name in after if after[name] != before[name]}
    assert failed
    assert {after[name] for name in failed} == {
        "unknown, RuntimeError: the driver is broken"
    }


def test_a_missing_driver_is_told_in_the_words_of_torch(told, monkeypatch):
    def no_driver():
        raise RuntimeError("Found no NVIDIA driver on your system. Please get one.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", no_driver)
    assert told()["CUDA"] == "not available: Found no NVIDIA driver on your system"


@pytest.mark.gpu
def test_each_gpu_has_a_name_and_memory(told):
    lines = told()
    assert lines["CUDA"] == "available"
    for number in range(torch.cuda.device_count()):
        assert f"{number}: {torch.cuda.get_device_name(number)}, " in lines["GPUs"]
    assert lines["GPUs"].count(" GiB, ") == torch.cuda.device_count()


def test_an_output_that_knows_few_characters_gets_escapes(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(
        sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True)
    )
    monkeypatch.setattr(sys, "executable", "/home/zoë/python")
    show_versions()
    assert rb"/home/zo\xeb/python" in written.getvalue()


def test_a_program_without_output_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    show_versions()


def test_at_import_only_the_standard_library_is_taken():
    source = (
        Path(sklearn_byol.__file__)
        .with_name("_show_versions.py")
        .read_text(encoding="utf-8")
    )
    imported = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
    assert imported - sys.stdlib_module_names == {"sklearn_byol"}
