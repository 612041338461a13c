"""How the figures of a training go from epoch to epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_byol.inspection._display import COLOURS, as_text, check_axes, new_figure
from sklearn_byol.metrics import byol_steps

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURES = {
    "loss": "loss, 0 to 8",
    "spread": "spread, 1 is even",
    "effective_rank": "effective rank",
    "lr": "learning rate",
    "images_per_second": "images per second",
}
SHOWN = ("loss", "spread", "effective_rank", "lr", "momentum", "images_per_second")
N_COLUMNS = 3


@dataclass(eq=False, repr=False)
class TrainingCurveDisplay:
    """The figures of each epoch, of one training or of several.

    The loss alone does not tell a good training from a collapsed one. Look at the
    spread, which stays near 1, and at the effective rank, which falls while the encoder
    learns what not to see, and should level off far above 1.

    Parameters
    ----------
    histories : dict of str to dict
        `history_` of each training, by the name that the legend shows. Without `epoch`
        its figures are those of epochs from 1 on.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes
        Where it was drawn, one for each figure.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol import BYOLTransformer
    >>> from sklearn_byol.inspection import TrainingCurveDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> byol = BYOLTransformer(max_epochs=2, random_state=0).fit(X[:200])
    >>> display = TrainingCurveDisplay.from_estimator(byol, figures=["loss", "spread"])
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['loss, 0 to 8', 'spread, 1 is even']
    """

    histories: Mapping[str, Mapping[str, Sequence[float]]]

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator | Mapping[str, BaseEstimator],
        *,
        figures: Sequence[str] = SHOWN,
        ax: object = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the history of a fitted transformer, or of several.

        Parameters
        ----------
        estimator : BYOLTransformer, Pipeline, or dict of str to these
            Fitted; of several, each with a name for the legend.
        figures : sequence of str
            Names of figures in `history_`.
        ax : matplotlib.axes.Axes or sequence of these, default=None
            Where to draw, one for each figure; None makes a figure.
        **kwargs : dict
            Passed on to the lines.

        Returns
        -------
        TrainingCurveDisplay
            What was drawn.
        """
        several = estimator if isinstance(estimator, Mapping) else {"": estimator}
        if not several:
            raise ValueError("estimator must name one training or more. Got {}.")
        histories = {name: byol_steps(e).byol.history_ for name, e in several.items()}
        return cls(histories).plot(ax, figures=figures, **kwargs)

    def plot(
        self, ax: object = None, *, figures: Sequence[str] = SHOWN, **kwargs: Any
    ) -> Self:
        """Draw one curve for each training and figure.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or sequence of these, default=None
            Where to draw, one for each figure; None makes a figure.
        figures : sequence of str
            Names of figures in `history_`.
        **kwargs : dict
            Passed on to the lines.

        Returns
        -------
        TrainingCurveDisplay
            This object.

        Raises
        ------
        ValueError
            If a figure is none of a history, or the axes are not as many as figures.
        """
        self._check(figures)
        given = _new_axes(len(figures)) if ax is None else np.ravel(np.array(ax))
        if len(given) != len(figures):
            raise ValueError(
                f"ax has {len(given)} axes, but figures has {len(figures)} names: "
                f"{list(figures)!r}."
            )
        axes = [check_axes(axis) for axis in given]
        for axis, figure in zip(axes, figures, strict=True):
            self._plot_figure(axis, figure, kwargs)
        self.axes_, self.figure_ = np.array(axes), axes[0].figure
        self._name_runs()
        return self

    def _check(self, figures: Sequence[str]) -> None:
        """Raise if there is nothing to draw, or a history lacks a figure."""
        if not isinstance(self.histories, Mapping):
            raise ValueError(
                f"histories must be a dict of names and histories. Got "
                f"{self.histories!r}."
            )
        is_list = isinstance(figures, Sequence) and not isinstance(figures, str)
        if not is_list or not figures:
            raise ValueError(
                f"figures must be a list of names, such as ['loss']. Got {figures!r}."
            )
        for name, history in self.histories.items():
            lengths = {len(history[f]) for f in ("epoch", *figures) if f in history}
            if len(lengths) > 1 or lengths == {0}:
                raise ValueError(
                    f"The history {name!r} has figures of {sorted(lengths)} epochs, "
                    "where all must have as many, one or more."
                )
            missing = [figure for figure in figures if figure not in history]
            if missing:
                raise ValueError(
                    f"figures has {missing!r}, but the history {name!r} has "
                    f"{list(history)!r} only."
                )

    def _plot_figure(self, axis: "Axes", figure: str, kwargs: dict[str, Any]) -> None:
        """Draw one figure of all trainings."""
        for index, (name, history) in enumerate(self.histories.items()):
            values = history[figure]
            epochs = history.get("epoch", np.arange(1, len(values) + 1))
            style = {
                "color": COLOURS[index % len(COLOURS)],
                "label": as_text(name) or None,
            }
            style["linestyle"] = ("-", "--", ":")[index // len(COLOURS) % 3]
            style["marker"] = "o" if len(values) == 1 else None
            axis.plot(epochs, values, **{**style, **kwargs})
        axis.set(xlabel="epoch", ylabel=FIGURES.get(figure, as_text(figure)))
        axis.locator_params("x", integer=True)
        axis.grid(alpha=0.3)
        if figure == "spread":
            axis.text(0.97, 0.03, "0: collapsed", transform=axis.transAxes, ha="right")
        if figure != "momentum":
            highest = max(axis.dataLim.ymax, 1 if figure == "spread" else 0)
            axis.set_ylim(0, 1.05 * highest)

    def _name_runs(self) -> None:
        """Show names once: in a row above a figure of several, else in the axes."""
        if any(self.histories) and len(self.axes_) == 1:
            self.axes_[0].legend()
        elif any(self.histories):
            named = self.axes_[0].get_legend_handles_labels()
            self.figure_.legend(*named, loc="outside upper center", ncols=4)


def _new_axes(n_figures: int) -> "list[Axes]":
    """Make a figure of up to three axes a row."""
    n_columns = min(n_figures, N_COLUMNS)
    n_rows = -(-n_figures // n_columns)
    figure = new_figure(0.3 + 2.4 * n_rows)
    return [figure.add_subplot(n_rows, n_columns, i + 1) for i in range(n_figures)]
