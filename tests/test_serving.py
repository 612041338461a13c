"""The page and the example about saving run as they are written."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r"^\.\. (?:code-block:: python|testsetup::)\n\n((?:(?:    .*)?\n)+)", re.MULTILINE
)
SHORTER = {
    "MAX_EPOCHS = 5": "MAX_EPOCHS = 1",
    "N_ROUNDS = 30": "N_ROUNDS = 1",
    "BATCHES = [1, 4, 16, 64, 256]": "BATCHES = [1, 64]",
}

pytestmark = pytest.mark.skipif(
    torch.__version__ < "2.9", reason="graphs need torch 2.9"
)


def run(code, folder):
    """Run a script in a folder and return what it prints."""
    (folder / "script.py").write_text(code)
    told = subprocess.run(
        [sys.executable, "script.py"],
        check=True,
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    return told.stdout


def test_the_blocks_of_the_page_run(tmp_path):
    text = (ROOT / "docs" / "guide" / "saving.rst").read_text()
    blocks = [textwrap.dedent(code) for code in BLOCK.findall(text)]
    assert len(blocks) == text.count("code-block:: python") + 1
    code = "\n".join(blocks).replace("max_epochs=5", "max_epochs=1")
    assert "sklearn_byol._transformer.BYOLTransformer" in run(code, tmp_path)


def test_the_example_leaves_its_picture(tmp_path):
    code = (ROOT / "examples" / "plot_saving_and_serving.py").read_text()
    for long, short in SHORTER.items():
        assert long in code
        code = code.replace(long, short)
    assert "encoder.onnx" in run(code, tmp_path)
    assert (tmp_path / "saving.png").exists()
