"""What workers of a cluster load; test_cluster.py counts it."""

from sklearn_byol import BYOLTransformer


class Counted(BYOLTransformer):
    """Counts how often a process has loaded a fitted one."""

    n_loaded = 0

    def __setstate__(self, state):
        super().__setstate__(state)
        if hasattr(self, "encoder_"):
            Counted.n_loaded += 1


def n_loaded():
    """Count what this process has loaded."""
    return Counted.n_loaded
