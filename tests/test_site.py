"""The site that sphinx builds: whole, linked, and the one that estimators point to."""

import json
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import sklearn_byol
from sklearn_byol import BYOLClassifier, BYOLTransformer, RandomViews
from sklearn_byol._about import DOCUMENTATION
from sklearn_byol.model_selection import LabeledTestSplit

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]

ROOT = Path(__file__).parents[1]
MODULES = ("metrics", "inspection", "model_selection", "callbacks", "objective")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site without running the examples, warnings being errors."""
    root = tmp_path_factory.mktemp("project")
    made = shutil.ignore_patterns("_build", "gallery", "generated", "__pycache__")
    for folder in ("docs", "examples", "benchmarks"):
        shutil.copytree(ROOT / folder, root / folder, ignore=made)
    for page in ROOT.glob("*.md"):
        shutil.copy(page, root)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"]
    command += ["-D", "plot_gallery=0", str(root / "docs"), str(root / "html")]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return root / "html"


class Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in {"script", "img", "iframe"} and values.get("src"):
            self.loaded.append(values["src"])
        is_loaded = {"stylesheet", "preload", "icon"} & set(
            values.get("rel", "").split()
        )
        if tag == "link" and is_loaded:
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def pages(site):
    paths = set(site.rglob("*.html")) - set((site / "_static").rglob("*.html"))
    return {path.resolve(): Page(path) for path in paths}


def test_links_inside_the_site_lead_to_pages_and_anchors(site, pages):
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            anchors = pages[target].anchors | {""} if target in pages else {""}
            if not target.exists() or parts.fragment not in anchors:
                broken.append(f"{path.relative_to(site.resolve())}: {link}")
    assert len(pages) > 40
    assert broken == []


def test_pages_load_nothing_from_the_network(pages):
    loaded = [source for page in pages.values() for source in page.loaded]
    assert [source for source in loaded if urlsplit(source).netloc] == []


def test_every_public_name_has_a_page(site):
    names = [f"sklearn_byol.{name}" for name in sklearn_byol.__all__]
    for module in MODULES:
        members = vars(__import__(f"sklearn_byol.{module}", fromlist=["*"]))["__all__"]
        own = set(members) - set(sklearn_byol.__all__)  # a page each, by the short name
        names += [f"sklearn_byol.{module}.{name}" for name in own]
    there = {path.stem for path in (site / "api" / "generated").glob("*.html")}
    assert set(names) - there == set()


@pytest.mark.parametrize(
    "estimator",
    [BYOLTransformer(), BYOLClassifier(), RandomViews(), LabeledTestSplit()],
    ids=lambda estimator: type(estimator).__name__,
)
def test_what_notebooks_show_of_an_estimator_links_to_its_page(site, estimator):
    (link,) = {
        link.partition("#")[0]
        for link in _links(estimator._repr_html_())
        if link.startswith(DOCUMENTATION)
    }
    assert (site / link.removeprefix(f"{DOCUMENTATION}/")).exists()


def _links(html):
    parser = HTMLParser()
    links = []
    parser.handle_starttag = lambda tag, attrs: links.append(dict(attrs).get("href"))
    parser.feed(html)
    return [link for link in links if link]


def test_the_address_of_the_documentation_is_that_of_the_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["urls"]["Documentation"] == DOCUMENTATION


@pytest.mark.parametrize("name", ["byol", "layers"])
def test_a_diagram_is_what_its_script_draws(name, tmp_path):
    made = shutil.ignore_patterns("*.svg", "*.png", "__pycache__")
    folder = tmp_path / "docs" / "pictures"
    shutil.copytree(ROOT / "docs" / "pictures", folder, ignore=made)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    subprocess.run([sys.executable, str(folder / f"{name}.py")], check=True)
    committed = ROOT / "docs" / "pictures" / f"{name}.svg"
    assert (folder / f"{name}.svg").read_text(encoding="utf-8") == committed.read_text(
        encoding="utf-8"
    )


def test_the_notebook_is_the_first_example(tmp_path):
    for folder in ("docs", "examples"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "docs" / "first_notebook.py", tmp_path / "docs")
    shutil.copy(ROOT / "examples" / "plot_digits.py", tmp_path / "examples")
    script = tmp_path / "docs" / "first_notebook.py"
    subprocess.run([sys.executable, str(script)], check=True)
    made, committed = (
        json.loads((root / "examples" / "digits.ipynb").read_text(encoding="utf-8"))
        for root in (tmp_path, ROOT)
    )
    assert made == committed
    code = ["".join(c["source"]) for c in made["cells"] if c["cell_type"] == "code"]
    assert code[0].startswith("%pip install")
    assert "BYOLTransformer(" in code[1]


PHONE = "readme_phone.png"


def test_cards_and_thumbnails_can_be_drawn_again(tmp_path):
    folder = tmp_path / "docs" / "pictures"
    folder.mkdir(parents=True)
    source = (ROOT / "docs" / "pictures" / "cards.py").read_text(encoding="utf-8")
    assert "max_epochs=40" in source
    script = folder / "cards.py"
    script.write_text(source.replace("max_epochs=40", "max_epochs=1"), encoding="utf-8")
    (tmp_path / "benchmarks").mkdir()
    for name in ("quality.json", "time_to_accuracy.json"):
        shutil.copy(ROOT / "benchmarks" / name, tmp_path / "benchmarks")
    subprocess.run([sys.executable, str(script)], check=True)
    committed = {path.name for path in (ROOT / "docs" / "pictures").glob("*_*.png")}
    assert {path.name for path in folder.glob("*.png")} == committed - {PHONE}
    pages = (ROOT / "docs" / "index.rst").read_text(encoding="utf-8")
    pages += "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py")
    )
    unused = [path.name for path in folder.glob("*.png") if path.name not in pages]
    assert unused == []


def test_the_picture_of_the_readme_is_small_and_can_be_drawn_again(tmp_path):
    folder = tmp_path / "docs" / "pictures"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "pictures" / "readme.py", folder)
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks" / "quality.json", tmp_path / "benchmarks")
    subprocess.run([sys.executable, str(folder / "readme.py")], check=True)
    for pictures in (folder, ROOT / "docs" / "pictures"):
        for name in ("readme.png", PHONE):
            assert 20_000 < (pictures / name).stat().st_size < 130_000
