"""What the files around the package say of it: workflows, forms, lists of versions."""

import re
import shlex
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

from sklearn_byol._about import __version__
from tests.mutation_table import MUTATIONS

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[0-9]*.yml"))
MADE = {"dist", "readme.py", "docs/_build/html"}  # by the steps before


def read(path):
    """The content of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs(name):
    """The jobs of a workflow."""
    return read(ROOT / ".github" / "workflows" / name)["jobs"]


def steps():
    """All steps of all workflows."""
    for path in WORKFLOWS:
        for job in read(path)["jobs"].values():
            yield from job["steps"]


def pythons():
    """Versions of Python that pyproject.toml names, the oldest first."""
    found = re.findall(
        r"Python :: (3\.\d+)", "\n".join(SETTINGS["project"]["classifiers"])
    )
    return sorted(found, key=lambda name: int(name.partition(".")[2]))


def test_each_python_of_the_package_is_tested_on_three_systems():
    matrix = jobs("tests.yml")["fast"]["strategy"]["matrix"]
    assert matrix["python"] == pythons()
    assert {name.partition("-")[0] for name in matrix["os"]} == {
        "ubuntu",
        "macos",
        "windows",
    }


def test_the_oldest_python_is_the_one_that_is_required():
    assert SETTINGS["project"]["requires-python"] == f">={pythons()[0]}"
    oldest = jobs("tests.yml")["oldest"]["steps"]
    (version,) = [
        step["with"]["python-version"]
        for step in oldest
        if "setup-python" in step.get("uses", "")
    ]
    assert version == pythons()[0]


def test_releases_are_tried_on_the_oldest_and_the_newest_python():
    matrix = jobs("release.yml")["try"]["strategy"]["matrix"]
    assert matrix["python"] == [pythons()[0], pythons()[-1]]


def test_fast_tests_are_run_as_make_runs_them():
    (options,) = re.findall(
        r"^FAST_TESTS := (.*)$",
        (ROOT / "Makefile").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    commands = [
        step["run"] for step in jobs("tests.yml")["fast"]["steps"] if "run" in step
    ]
    assert f"python {options}" in commands


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_only_and_ends(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    assert all(job["timeout-minutes"] <= 180 for job in workflow["jobs"].values())


def test_only_publishing_may_do_more():
    more = {
        name: job["permissions"]
        for path in WORKFLOWS
        for name, job in read(path)["jobs"].items()
        if "permissions" in job
    }
    assert more == {"publish": {"id-token": "write"}}


def test_actions_are_pinned_to_commits_and_their_versions_stand_beside():
    for path in WORKFLOWS:
        lines = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
        assert [line for line in lines if not re.fullmatch(PINNED, line)] == []


PINNED = r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"


def test_an_action_has_one_version_in_all_workflows():
    pinned = {step["uses"] for step in steps() if "uses" in step}
    assert len(pinned) == len({name.partition("@")[0] for name in pinned})


def named_paths():
    """Paths that workflows and Read the Docs name."""
    for step in steps():
        given = step.get("with", {})
        yield from (
            given[key] for key in ("path", "cache-dependency-path") if key in given
        )
        words = shlex.split(step.get("run", ""))
        yield from (
            word for word in words if re.fullmatch(r"[\w./-]+\.\w+|\.ci/run", word)
        )
    site = read(ROOT / ".readthedocs.yaml")
    yield site["sphinx"]["configuration"]
    yield from (entry["path"] for entry in site["python"]["install"])


def test_what_workflows_name_is_there():
    named = set(named_paths())
    assert {"pyproject.toml", ".ci/run", "tests/readme.py", "docs/conf.py"} <= named
    assert [name for name in named - MADE if not (ROOT / name).exists()] == []


def test_what_workflows_make_is_in_the_makefile():
    targets = set(
        re.findall(
            r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    made = {
        words[1]
        for step in steps()
        if (words := step.get("run", "").split())[:1] == ["make"]
    }
    assert made == {"lint", "docs", "test-oldest"}
    assert made <= targets


def test_the_site_is_built_as_make_builds_it():
    (extras,) = re.findall(
        r"\[(.*)\]",
        re.search(
            r"installed-docs:.*\n\t(.*)",
            (ROOT / "Makefile").read_text(encoding="utf-8"),
        )[1],
    )
    site = read(ROOT / ".readthedocs.yaml")
    assert site["python"]["install"][0]["extra_requirements"] == extras.split(",")
    assert site["sphinx"]["fail_on_warning"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_each_thing_once(path):
    form = read(path)
    asked = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert form["name"]
    assert form["description"]
    assert len(set(asked)) == len(asked) > 0


@pytest.mark.parametrize("stem", ["1-bug", "2-accuracy"])
def test_forms_for_faults_ask_for_the_machine(stem):
    (path,) = [path for path in FORMS if path.stem == stem]
    (asked,) = [part for part in read(path)["body"] if part.get("id") == "versions"]
    assert "sklearn_byol.show_versions()" in asked["attributes"]["description"]
    assert asked["validations"] == {"required": True}


def bounds(lines):
    """Names and oldest versions of requirements such as numpy>=1.26."""
    parts = (
        re.fullmatch(r"([\w-]+)(?:\[.*\])?>=([\d.]+)(?:,<.*)?", line) for line in lines
    )
    return {part[1]: part[2] for part in parts}


def numbers(version):
    """Three numbers of a version."""
    return [*map(int, version.split(".")), 0, 0][:3]


EXTRAS = SETTINGS["project"]["optional-dependencies"]
CONSTRAINTS = dict(
    line.split("==")
    for line in (ROOT / "constraints-oldest.txt")
    .read_text(encoding="utf-8")
    .splitlines()
    if not line.startswith("#")
)


@pytest.mark.parametrize("extra", ["", "dask", "onnx", "safetensors", "tiff", "timm"])
def test_the_oldest_versions_that_are_allowed_are_those_that_are_tested(extra):
    allowed = bounds(EXTRAS[extra] if extra else SETTINGS["project"]["dependencies"])
    if extra:
        allowed.pop("torch", None)  # what it raises it to is tested with the newest
    assert {name: numbers(CONSTRAINTS[name]) for name in allowed} == {
        name: numbers(version) for name, version in allowed.items()
    }


def test_no_requirement_has_an_upper_bound_but_that_of_ruff():
    lines = [*SETTINGS["project"]["dependencies"], *chain(*EXTRAS.values())]
    assert [line for line in lines if "<" in line or "==" in line] == [
        "ruff>=0.17,<0.18"
    ]


def test_contributing_says_what_each_dependency_is_for():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = dict(
        re.findall(r"^\| ([\w-]+) \|.*\| ([\d.]+)[:;,. ][^|]*\|$", text, re.MULTILINE)
    )
    assert rows == bounds(SETTINGS["project"]["dependencies"])
    assert len(text.splitlines()) < 60


def test_what_the_map_names_is_there():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    there = {path.name for path in (ROOT / "sklearn_byol").rglob("*.py")}
    named = {Path(name).name for name in re.findall(r"[\w/]+\.py", text)}
    assert named - there == set()


def test_the_release_checklist_names_all_that_carries_the_version():
    carriers = {"sklearn_byol/_about.py", "CITATION.cff", "CHANGELOG.md"}
    release = __version__.partition(".dev")[0]
    for name in carriers:
        assert release in (ROOT / name).read_text(encoding="utf-8")
    checklist = (ROOT / "RELEASING.md").read_text(encoding="utf-8")
    assert {name for name in carriers if f"`{name}`" not in checklist} == set()


def test_what_the_release_checklist_names_is_there():
    checklist = (ROOT / "RELEASING.md").read_text(encoding="utf-8")
    named = set(
        re.findall(r"`(?:python |bash )?([\w./-]+/[\w./-]+|\w+\.\w+)`", checklist)
    )
    assert "tests/golden/make.py" in named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_files_speak_of_no_machine():
    """Paths under /home, /tmp and /root are those of somebody."""
    files = [*WORKFLOWS, *FORMS, *ROOT.glob("*.md"), *ROOT.glob(".github/*.*")]
    for path in [*files, ROOT / ".readthedocs.yaml", ROOT / "pyproject.toml"]:
        assert not re.search(r"/(home|root|tmp)/", path.read_text(encoding="utf-8"))


def test_every_mutation_names_a_place_that_is_there_once():
    for path, old, new, _ in MUTATIONS:
        text = (ROOT / "sklearn_byol" / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, (path, old)
        assert old != new
