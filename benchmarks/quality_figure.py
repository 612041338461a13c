"""The figure of quality.py: accuracy against labels per class."""

import math

import matplotlib.pyplot as plt
import numpy as np

COLOURS = {
    "raw pixels": "0.75",
    "PCA": "0.55",
    "HOG + colours": "tab:green",
    "untrained": "tab:olive",
    "labels only": "tab:orange",
    "frozen network": "tab:purple",
    "BYOL": "tab:blue",
}


def draw_figure(records, budget, path):
    """Draw one panel for each set and probe, mean and spread of draws and seeds.

    Parameters
    ----------
    records : list of dict
        What quality.py has written.
    budget : str
        Which of them to draw.
    path : Path
        Where to save.
    """
    records = [record for record in records if record["budget"] == budget]
    sets = list(dict.fromkeys(record["set"] for record in records))
    figure, columns = panels(len(sets), 2)
    for column, name in zip(columns, sets, strict=True):
        for panel, probe in zip(column, ("linear", "kNN"), strict=True):
            for method, colour in COLOURS.items():
                chosen = [
                    record["accuracies"].get(probe) or record["accuracies"]["network"]
                    for record in records
                    if (record["set"], record["method"]) == (name, method)
                    and (probe == "linear" or method != "labels only")
                ]
                if chosen:
                    _draw_line(panel, chosen, method, colour)
            panel.set_title(f"{name}, {probe}")
            panel.grid(alpha=0.3)
            panel.set_xlabel("labels per class")
            panel.set_ylabel("test accuracy")
    figure.legend(
        *columns[0][0].get_legend_handles_labels(), ncols=4, loc="lower center"
    )
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=80)
    plt.close(figure)


def panels(n_sets, n_kinds):
    """Make a panel for each set and kind, three beside each other, kinds apart.

    Returns the figure and panels[set][kind]; the last ones of a row may be left out.
    """
    n_rows = math.ceil(n_sets / 3)
    size = (11, 3.2 * n_rows * n_kinds)
    figure, axes = plt.subplots(n_rows * n_kinds, 3, figsize=size, squeeze=False)
    kinds = axes.reshape(n_kinds, -1)
    for panel in kinds[:, n_sets:].ravel():
        panel.remove()
    return figure, kinds[:, :n_sets].T


def _draw_line(panel, chosen, method, colour):
    """Draw the mean over seeds and draws, with one standard deviation."""
    labels = list(chosen[0])
    values = [np.concatenate([one[label] for one in chosen]) for label in labels]
    mean = np.array([np.mean(v) for v in values])
    spread = np.array([np.std(v) for v in values])
    places = np.arange(len(labels))
    panel.plot(places, mean, "o-", color=colour, label=method)
    panel.fill_between(places, mean - spread, mean + spread, color=colour, alpha=0.15)
    panel.set_xticks(places, labels)
