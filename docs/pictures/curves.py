"""The picture of a healthy training and of a collapsed one, in the user guide.

    python docs/pictures/curves.py

The collapsed one has a learning rate that is meant for LARS, a hundred times too large
for AdamW.
"""

import warnings
from pathlib import Path

import matplotlib as mpl
from sklearn.datasets import load_digits

from sklearn_byol import BYOLTransformer, CollapseWarning
from sklearn_byol.inspection import TrainingCurveDisplay

MAX_EPOCHS = 20


def main():
    """Train twice and draw three figures of both."""
    mpl.use("agg")
    X, _ = load_digits(return_X_y=True)
    trainings = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        for name, lr in {"healthy, lr 0.003": 3e-3, "collapsed, lr 0.3": 0.3}.items():
            byol = BYOLTransformer(lr=lr, max_epochs=MAX_EPOCHS, random_state=0)
            trainings[name] = byol.fit(X)
            print(name, {k: round(v[-1], 3) for k, v in byol.history_.items()})
    display = TrainingCurveDisplay.from_estimator(
        trainings, figures=["loss", "spread", "effective_rank"]
    )
    display.figure_.savefig(Path(__file__).with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    main()
