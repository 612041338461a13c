"""What displays share: axes to draw on, and colours that anyone can tell apart."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_byol.metrics import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# Lines: Okabe and Ito's, without the yellow that is too bright on white; and an alarm.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#000000")
ALARM = "#d55e00"
# Points of many classes: Tol's muted scheme and black; and what has no label.
CLASS_COLOURS = (
    *("#332288", "#88ccee", "#117733", "#cc6677", "#ddcc77"),
    *("#882255", "#44aa99", "#aa4499", "#999933", "#000000"),
)
FADED = "#cccccc"
NO_LABEL = "no label"
MARKERS = "osD^vP*"  # seven, so that class 11 has another pair than class 1
WIDTH = 8.0  # inches: 800 pixels at matplotlib's default, as wide as a README


class Display:
    """What was computed to be drawn, and the axes that it was drawn on last."""

    ax_: "Axes"
    figure_: "Figure | SubFigure"

    def _draw_on(self, ax: object, height: float) -> "Axes":
        """Keep the axes given, or those of a new figure, and return them."""
        self.ax_ = new_figure(height).subplots() if ax is None else check_axes(ax)
        self.figure_ = self.ax_.figure
        return self.ax_

    def _show(
        self, picture: Array, extent: tuple[float, float, float, float], **kwargs: Any
    ) -> None:
        """Draw a picture, gray or RGB, between two places on each axis."""
        options = {"cmap": "gray", "vmin": 0, "vmax": 1, **kwargs}
        self.ax_.imshow(np.clip(picture, 0, 1), extent=extent, **options)


def as_text(name: object) -> str:
    """Write a name so that matplotlib shows it as it is.

    Between dollars it would see a formula, names with a line in front are in no legend,
    and bytes of a path that are no letters are an error.
    """
    text = str(name).encode("utf-8", "backslashreplace").decode()
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


def look(index: int, colours: Sequence[str] = COLOURS) -> dict[str, Any]:
    """Give one of several a colour and a marker, in turns."""
    marker = MARKERS[index % len(MARKERS)]
    return {"color": colours[index % len(colours)], "marker": marker}


def new_figure(height: float) -> "Figure":
    """Make a figure of the usual width whose parts do not overlap."""
    import matplotlib.pyplot as plt  # noqa: PLC0415  not wanted where nothing is drawn

    return plt.figure(figsize=(WIDTH, height), layout="constrained")


def check_axes(ax: object) -> "Axes":
    """Refuse what nothing can be drawn on."""
    from matplotlib.axes import Axes  # noqa: PLC0415  as above

    if not isinstance(ax, Axes):
        raise TypeError(
            f"ax must be matplotlib's Axes, or None for a new figure. Got {ax!r}."
        )
    return ax
