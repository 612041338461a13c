"""From batches of images to rows of representations."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_byol.training._devices import ready

__all__ = ["represent"]


def represent(
    encoder: nn.Module,
    batches: Iterable[tuple[NDArray[np.intp], Tensor]],
    shape: tuple[int, int],
    device: torch.device,
) -> NDArray[np.float32]:
    """Return the representations of images, in float32.

    Parameters
    ----------
    encoder : nn.Module
        From images to representations; put on the device, in evaluation mode.
    batches : iterable of (ndarray of int, Tensor)
        Which images these are, and the images (n, n_channels, height, width).
    shape : (int, int)
        Images and numbers of a representation.
    device : torch.device
        Where to compute.

    Returns
    -------
    ndarray of shape (n_images, n_dims), float32
        One row an image; NaN where it is in no batch.
    """
    ready(encoder, device)
    rows = np.full(shape, np.nan, dtype=np.float32)
    with torch.inference_mode():
        for indices, batch in batches:
            rows[indices] = (
                encoder(batch.to(device, memory_format=torch.channels_last))
                .float()
                .cpu()
                .numpy()
            )
    return rows
