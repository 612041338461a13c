"""A short soak: what benchmarks/soak.py measures for longer."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "soak.py"
SHORT = ["--n-fits", "20", "--n-candidates", "6", "--n-images", "200000"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts handles")
def test_nothing_grows(tmp_path):
    path = tmp_path / "soak.json"
    command = [sys.executable, str(SCRIPT), "--json", str(path), *SHORT]
    subprocess.run(command, check=True, timeout=600, capture_output=True)
    found = json.loads(path.read_text(encoding="utf-8"))
    first, *others = found["fits"]["handles"]
    assert others == [first, first]
    assert found["fits"]["megabytes"][2] - found["fits"]["megabytes"][1] < 30
    assert found["grid"]["failed"] == 0
    transform = found["transform"]
    held = transform["megabytes_of_rows"] + transform["megabytes_of_images"]
    assert transform["megabytes_of_rise"] < held + 20
