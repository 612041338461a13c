"""Boxes, arrows and text as SVG, for diagrams that are drawn by script."""

from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

BLUE, ORANGE, GRAY, INK = "#0072b2", "#b35900", "#666666", "#222222"
FILLS = {BLUE: "#e3f0f8", ORANGE: "#fbeedd", GRAY: "#f3f3f3"}


@dataclass
class Drawing:
    """A picture of a size in pixels that grows part by part."""

    width: int
    height: int
    title: str
    parts: list[str] = field(default_factory=list)

    def text(self, x, y, words, *, size=15, colour=INK, anchor="middle", bold=False):
        """Write one line, its baseline at y."""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}>{escape(words)}</text>'
        )

    def box(self, x, y, width, height, *lines, colour=GRAY, bold=False, size=15):
        """Draw a box with its upper left corner at (x, y) and lines in its middle."""
        thickness = 2.5 if bold else 1.2
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" '
            f'fill="{FILLS[colour]}" stroke="{colour}" stroke-width="{thickness}"/>'
        )
        first = y + height / 2 + size * 0.35 - (len(lines) - 1) * (size + 2) / 2
        for number, line in enumerate(lines):
            place = x + width / 2, round(first + number * (size + 2), 1)
            self.text(*place, line, size=size, bold=bold and not number)

    def arrow(self, *points, colour=INK, dashed=False):
        """Draw a line through points with a head at the last."""
        path = " ".join(f"{x},{y}" for x, y in points)
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        head = f"head{colour.removeprefix('#')}"
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" '
            f'stroke-width="1.6"{dash} marker-end="url(#{head})"/>'
        )

    def number(self, x, y, n):
        """Draw a number in a circle, as the text refers to it."""
        self.parts.append(f'<circle cx="{x}" cy="{y}" r="11" fill="{INK}"/>')
        self.text(x, y + 5, str(n), size=14, colour="white", bold=True)

    def save(self, path: Path):
        """Write the file."""
        heads = "".join(
            f'<marker id="head{colour[1:]}" viewBox="0 0 8 8" refX="7" refY="4" '
            f'markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'
            for colour in (INK, BLUE, ORANGE, GRAY)
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" '
            f'height="{self.height}" viewBox="0 0 {self.width} {self.height}" '
            'font-family="Helvetica, Arial, sans-serif" role="img">'
        )
        lines = [
            head,
            f"<title>{escape(self.title)}</title>",
            f"<defs>{heads}</defs>",
            f'<rect width="{self.width}" height="{self.height}" fill="white"/>',
            *self.parts,
            "</svg>",
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
