"""The picture of the layers, from what lint-imports checks.

python docs/pictures/layers.py
"""

import tomllib
from pathlib import Path

from svg import BLUE, GRAY, ORANGE, Drawing

ROOT = Path(__file__).parents[2]
WIDTH, ROW, GAP = 720, 40, 22
KINDS = {"networks": ORANGE, "objective": ORANGE}


def layers():
    """Read the first contract: rows of modules, the highest first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = settings["tool"]["importlinter"]["contracts"][0]
    return [
        [name.strip().removeprefix("sklearn_byol.") for name in layer.split("|")]
        for layer in contract["layers"]
    ]


def draw():
    """Draw one row of boxes for each layer, and an arrow from each row down."""
    rows = layers()
    height = len(rows) * (ROW + GAP) + 6
    picture = Drawing(WIDTH, height, "Layers of sklearn_byol: imports point down")
    for place, row in enumerate(rows):
        top = 6 + place * (ROW + GAP)
        room = (WIDTH - 12) / len(row)
        for column, name in enumerate(row):
            colour = KINDS.get(name, GRAY if name.startswith("_") else BLUE)
            left, width = 9 + column * room, round(room - 6, 1)
            picture.box(round(left, 1), top, width, ROW, name, colour=colour)
        if place < len(rows) - 1:
            middle = WIDTH / 2
            picture.arrow((middle, top + ROW), (middle, top + ROW + GAP - 1))
    return picture


if __name__ == "__main__":
    draw().save(Path(__file__).with_suffix(".svg"))
