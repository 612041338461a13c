"""The projector and the predictor."""

from torch import nn

__all__ = ["mlp"]


def mlp(n_inputs: int, n_hidden: int, n_outputs: int) -> nn.Sequential:
    """Linear, batch norm, ReLU, Linear: the paper's head.

    The last layer has no bias, as in the reference implementation.

    Parameters
    ----------
    n_inputs, n_hidden, n_outputs : int
        Widths of the layers.

    Returns
    -------
    nn.Sequential
        A module from (n_images, n_inputs) to (n_images, n_outputs).
    """
    return nn.Sequential(
        nn.Linear(n_inputs, n_hidden),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(inplace=True),
        nn.Linear(n_hidden, n_outputs, bias=False),
    )
