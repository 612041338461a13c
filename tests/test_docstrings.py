"""The examples of every public object and of its public methods run as they stand."""

import ast
import doctest
import importlib
import inspect
import types
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import sklearn_byol

MODULES = ("metrics", "inspection", "model_selection", "callbacks", "objective")
MODULES += ("exceptions",)


def public_objects():
    """Names and objects of the public modules; an object once, by its first name."""
    modules = [sklearn_byol]
    modules += [importlib.import_module(f"sklearn_byol.{name}") for name in MODULES]
    seen = set()
    for module in modules:
        for name in module.__all__:
            value = getattr(module, name)
            if id(value) not in seen:
                seen.add(id(value))
                yield f"{module.__name__}.{name}", value


def documented():
    """Names and objects that may have examples: functions, classes, their members."""
    seen = set()
    for name, value in public_objects():
        yield name, value
        members = members_of(value) if inspect.isclass(value) else {}
        for member, function in members.items():
            if id(function) not in seen:
                seen.add(id(function))
                yield f"{name}.{member}", function


CALLED = types.FunctionType | classmethod | staticmethod | property


def members_of(cls):
    """Methods and properties that users call and that this library has written."""
    ours = [base for base in cls.__mro__ if "sklearn_byol" in base.__module__]
    members = {
        name: value for base in reversed(ours) for name, value in vars(base).items()
    }
    return {
        name: inspect.unwrap(getattr(value, "__func__", value))
        for name, value in members.items()
        if not name.startswith("_") and isinstance(value, CALLED)
    }


def examples():
    """Examples by the name of what they are of, which they may use without import."""
    finder = doctest.DocTestFinder(recurse=False)
    for name, value in documented():
        own = {name.rpartition(".")[2]: value}
        for test in finder.find(value, name, module=False, globs=own):
            if test.examples:
                yield name, test


EXAMPLES = dict(examples())


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_print_what_they_say(name):
    plt.switch_backend("agg")
    said = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(EXAMPLES[name], out=said.append)
    plt.close("all")
    assert not runner.failures, "".join(said)


def test_every_docstring_with_an_example_is_run():
    written = [
        ast.get_docstring(node) or ""
        for path in Path(sklearn_byol.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    assert sum(">>>" in docstring for docstring in written) == len(EXAMPLES)
