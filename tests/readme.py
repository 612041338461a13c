"""The Python of the README: `python tests/readme.py` prints it, to be run elsewhere."""

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def python_of_readme():
    """Code of all Python blocks, in their order."""
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    if not blocks or len(blocks) != text.count("```python"):
        raise ValueError(f"{README.name} has a Python block that does not end.")
    return "\n".join(blocks)


if __name__ == "__main__":
    sys.stdout.write(python_of_readme())
