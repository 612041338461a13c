"""The figure of quality.py: accuracy against labels a class."""

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
    figure, axes = plt.subplots(
        2, len(sets), figsize=(4 * len(sets), 7), sharex=True, squeeze=False
    )
    for column, name in zip(axes.T, sets, strict=True):
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
        column[1].set_xlabel("labels a class")
    for row in axes:
        row[0].set_ylabel("test accuracy")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), ncols=7, loc="lower center")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=80)
    plt.close(figure)


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
