"""The page about clusters is true: its scripts start and use real ones."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# One cluster at a time: each has a server at the same port.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster")]

ROOT = Path(__file__).parents[1]


def test_the_scripts_of_the_page_of_clusters_run(tmp_path):
    text = (ROOT / "docs" / "guide" / "cluster.rst").read_text(encoding="utf-8")
    blocks = re.findall(r"code-block:: python\n\n((?:(?:    .*)?\n)+)", text)
    assert len(blocks) == 2
    for index, block in enumerate(blocks):  # scripts, since workers import the first
        script = tmp_path / f"cluster{index}.py"
        script.write_text(textwrap.dedent(block), encoding="utf-8")
        subprocess.run(
            [sys.executable, str(script)],
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
