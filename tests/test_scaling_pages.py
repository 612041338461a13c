"""The pages about many processes and clusters are true."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("page", "n_scripts"),
    [
        ("many_processes", 1),
        ("cluster", 2),  # workers import the first
    ],
)
def test_the_blocks_of_a_page_run(page, n_scripts, tmp_path):
    text = (ROOT / "docs" / "guide" / f"{page}.rst").read_text()
    blocks = re.findall(r"code-block:: python\n\n((?:(?:   .*)?\n)+)", text)
    blocks = [textwrap.dedent(block) for block in blocks]
    assert len(blocks) >= 2
    scripts = blocks if n_scripts == len(blocks) else ["\n".join(blocks)]
    assert len(scripts) == n_scripts
    for index, code in enumerate(scripts):
        script = tmp_path / f"{page}{index}.py"
        script.write_text(code)
        subprocess.run(
            [sys.executable, str(script)],
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
