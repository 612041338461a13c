"""The code blocks of the documentation run, and print what they say they print."""

import contextlib
import io
import re
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(
    path
    for path in DOCS.rglob("*.rst")
    if not {"_build", "_templates", "gallery", "generated"} & set(path.parts)
)
DIRECTIVE = re.compile(
    r"^\.\. (?:code-block:: python|testsetup::)\n"
    r"(?P<options>(?:   +:.*\n)*)\n(?P<code>(?:(?:    .*)?\n)+)",
    re.MULTILINE,
)
PROMISED = re.compile(r"^ *print\(.*\)  # (.+)$", re.MULTILINE)


def blocks_of(page):
    """Code of the page in its order, hidden setups too, without what is not to run."""
    text = page.read_text(encoding="utf-8") + "\n"
    found = list(DIRECTIVE.finditer(text))
    written = text.count("code-block:: python") + text.count("testsetup::")
    assert len(found) == written, "a block begins at another column than the first"
    return [
        textwrap.dedent(match["code"])
        for match in found
        if ":class: not-run" not in match["options"]
    ]


def in_short(code):
    """The same code with trainings of one epoch."""
    return re.sub(r"\bmax_epochs=[1-9]\d*", "max_epochs=1", code)


# What starts processes is run as scripts, by test_cluster_page.py.
IN_HERE = [page for page in PAGES if blocks_of(page) and page.stem != "cluster"]


@pytest.mark.parametrize(
    "page", IN_HERE, ids=lambda page: page.relative_to(DOCS).as_posix()
)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.switch_backend("agg")
    namespace = {"__name__": "__main__"}
    for code in blocks_of(page):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(in_short(code), page.name, "exec"), namespace)
        lines = printed.getvalue().splitlines()
        assert [line for line in PROMISED.findall(code) if line not in lines] == []
    plt.close("all")
