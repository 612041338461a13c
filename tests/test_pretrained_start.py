"""Weights that know half of the digits save epochs on all of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parent.parent / "examples" / "plot_pretrained.py"
ROW = re.compile(r"^(from scratch|pretrained) +(\d+) +(0\.\d+)", re.MULTILINE)


def test_two_epochs_from_pretrained_weights_are_worth_five_from_scratch(tmp_path):
    epochs = "N_EPOCHS = (0, 2, 8)"
    source = EXAMPLE.read_text()
    assert epochs in source
    (tmp_path / "example.py").write_text(source.replace(epochs, "N_EPOCHS = (2, 5)"))
    told = subprocess.run(
        [sys.executable, "example.py"],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    ).stdout
    accuracy = {(name, int(n)): float(value) for name, n, value in ROW.findall(told)}
    assert accuracy["pretrained", 2] > accuracy["from scratch", 5]
