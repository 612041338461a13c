"""How sphinx builds this site: `make docs`, offline, with warnings as errors."""

import os
import shutil
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  of an example

from sklearn_byol import __version__
from sklearn_byol._about import DOCUMENTATION

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
INSTALL = "%pip install --quiet sklearn-byol"  # the first line of every notebook

project = "sklearn_byol"
author = "The sklearn_byol developers"
project_copyright = "the sklearn_byol developers"
release = version = __version__

extensions = [
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",  # for testsetup, which a page does not show
    "sphinx.ext.extlinks",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",  # the cards of the landing page
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "pictures", "gallery/*.ipynb"]
templates_path = ["_templates"]
default_role = "py:obj"  # names in docstrings are links where there is such a page
rst_prolog = ".. py:currentmodule:: sklearn_byol\n"
extlinks = {"arxiv": ("https://arxiv.org/abs/%s", "arXiv %s")}

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say it in words
smartquotes = False  # "auto" and the like are code
numpydoc_show_class_members = False  # the template lists them
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_byol"
html_baseurl = f"{DOCUMENTATION}/"
html_static_path = ["_static"]
html_favicon = "_static/logo.svg"
html_css_files = ["site.css"]
html_js_files = ["pictures.js"]
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
html_sidebars: dict = {page.stem: [] for page in HERE.glob("*.[rm]*")}
html_sidebars["**"] = ["sidebar-nav-bs"]
html_theme_options = {
    "logo": {
        "text": "sklearn_byol",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
        "alt_text": "sklearn_byol, to the first page",
    },
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}

os.environ["TQDM_DISABLE"] = "1"  # a page shows no bars

# Examples leave pictures where they lie, so they are run from copies.
EXAMPLES = HERE / "_build" / "examples"
shutil.rmtree(EXAMPLES, ignore_errors=True)
shutil.copytree(HERE.parent / "examples", EXAMPLES)
sphinx_gallery_conf = {
    "examples_dirs": [str(EXAMPLES)],
    "gallery_dirs": ["gallery"],
    "filename_pattern": "plot_",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("sklearn_byol",),
    "abort_on_example_error": True,
    "parallel": os.cpu_count() or 1,  # whose processes have a thread each
    "min_reported_time": 0,
    "remove_config_comments": True,
    "show_signature": False,
    "first_notebook_cell": INSTALL,
    "write_computation_times": False,  # that page loads scripts from the network
}


def write_mathml(translator, node):
    """Write an equation as MathML, which browsers show without a script."""
    is_block = isinstance(node, nodes.math_block)
    translator.body.append(tex2mathml(node.astext(), as_block=is_block))
    raise nodes.SkipNode


def setup(app):
    """Add what no extension has."""
    app.add_html_math_renderer("mathml", (write_mathml, None), (write_mathml, None))
