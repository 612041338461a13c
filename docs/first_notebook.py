"""Make examples/digits.ipynb, the first example as a notebook that runs on Colab.

    python docs/first_notebook.py

The other examples are notebooks too, at the end of their pages in the gallery.
"""

import json
from pathlib import Path

from sphinx_gallery.notebook import jupyter_notebook
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

ROOT = Path(__file__).parents[1]
INSTALL = "%pip install --quiet sklearn-byol"
OWN = """\
## Your own images

A folder is enough; folders inside it are read too. On Colab, put it on your Drive, and
choose a GPU (Runtime, Change runtime type): images larger than these digits need one.

```python
from google.colab import drive

drive.mount("/content/drive")
!python -m sklearn_byol /content/drive/MyDrive/photos --out model.joblib
```

`model.joblib` is a fitted `BYOLTransformer`, and two pictures beside it show views that
it learned from, and images with those that it finds most alike. On photographs of
everyday things add `--encoder resnet18 --weights pretrained`."""


SETTINGS = {
    "first_notebook_cell": INSTALL,
    "last_notebook_cell": None,
    "notebook_images": False,
    "pypandoc": False,
    "promote_jupyter_magic": False,
}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def main() -> None:
    """Write the notebook."""
    folder = ROOT / "examples"
    _, blocks = split_code_and_text_blocks(str(folder / "plot_digits.py"))
    made = jupyter_notebook(blocks, SETTINGS, str(folder))
    cells = [
        {key: cell[key] for key in ("cell_type", "metadata", "source")}
        for cell in made["cells"]
    ]
    cells.append({"cell_type": "markdown", "metadata": {}, "source": [OWN]})
    for number, cell in enumerate(cells):
        text = "".join(cell["source"]).strip()
        lines = [line for line in text.splitlines() if "# sphinx_gallery" not in line]
        cell |= {"source": "\n".join(lines).splitlines(keepends=True)}
        cell |= {"id": f"cell-{number}"}
        if cell["cell_type"] == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells[number] = cell
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": KERNEL, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    text = json.dumps(notebook, indent=1, ensure_ascii=False)
    (folder / "digits.ipynb").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
