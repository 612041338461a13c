"""An encoder as numpy arrays: small files that move between machines.

Tensors remember the device they were on and are opaque to joblib's memory map; arrays
are neither. What an encoder is made of is rebuilt from its specification.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sklearn_byol._sealing import digest_of
from sklearn_byol._versions import check_versions, versions_for
from sklearn_byol.images import Fitted, Layout
from sklearn_byol.networks import build_encoder
from sklearn_byol.training import seeded_torch

__all__ = ["EncoderSpecification", "SavesEncoder", "encoder_arrays"]

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class EncoderSpecification:
    """What `build_encoder` needs to build the same modules again.

    Attributes
    ----------
    encoder : str, nn.Module or callable
        The parameter of the estimator, as it was in fit.
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.
    mean, std : list of float of length n_channels
        Statistics of the images of fit.
    readout : int or "auto"
        The parameter of the estimator, as it was in fit.
    keeps_stem : bool
        Whether first layers are left as they are for weights of another training.
    """

    encoder: str | nn.Module | Callable[[], nn.Module]
    image_shape: tuple[int, int, int]
    mean: list[float]
    std: list[float]
    readout: int | str = "auto"
    keeps_stem: bool = False

    def build(self, seed: int) -> nn.Sequential:
        """Build the encoder with random weights, on the CPU."""
        with seeded_torch(seed):
            return build_encoder(
                self.encoder,
                self.image_shape,
                self.mean,
                self.std,
                self.readout,
                keeps_stem=self.keeps_stem,
            )

    def load(self, arrays: Arrays) -> nn.Sequential:
        """Build the encoder with these weights, on the CPU, in evaluation mode."""
        encoder = self.build(seed=0)
        # Copied, since a memory map may be read-only.
        state = {name: torch.from_numpy(np.array(a)) for name, a in arrays.items()}
        try:
            encoder.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(
                f"The weights that were saved do not fit encoder={self.encoder!r} for "
                f"images of shape {self.image_shape} as it is built here: {error} Load "
                "them with the versions that they were saved by."
            ) from error
        return encoder.eval()


def encoder_arrays(encoder: nn.Module, cached: Arrays) -> Arrays:
    """View the weights as arrays, the cached ones where they still are the weights.

    The same array objects at each call let joblib write them once for many workers.
    """
    state = encoder.state_dict()
    return {
        name: cached[name]
        if name in cached and _shares_memory(cached[name], tensor)
        else tensor.detach().cpu().numpy()
        for name, tensor in state.items()
    }


def _shares_memory(array: NDArray[Any], tensor: torch.Tensor) -> bool:
    """Tell whether an array is a view of the tensor's memory."""
    return (
        tensor.device.type == "cpu"
        and array.shape == tuple(tensor.shape)
        and array.ctypes.data == tensor.data_ptr()
    )


class SavesEncoder:
    """Saves `encoder_` as arrays and what it is built from as plain values.

    Classes of private modules are not named in the file, so that they may move; what is
    saved carries the versions it was saved by and a digest of itself. A module of the
    user's own is saved as itself, on the CPU, since only the user knows how to build
    it.
    """

    encoder_: nn.Sequential
    _specification: EncoderSpecification
    _fitted: Fitted
    _arrays: Arrays

    def __getstate__(self) -> dict[str, Any]:
        """Put arrays and plain values in place of the encoder."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        parameter = getattr(self, "encoder", None)
        if isinstance(parameter, nn.Module):
            state["encoder"] = copy.deepcopy(parameter).cpu()
        source = None
        if "_fitted" in state:
            state["_fitted"] = plain_values(self._fitted)
        specification = state.pop("_specification", None)
        if "encoder_" in state:
            source = specification.encoder
            state["_specification"] = plain_values(specification)
            self._put_arrays(state)
        state["_saved_by"] = versions_for(source)
        state["_digest"] = digest_of(state)
        return state

    def _put_arrays(self, state: dict[str, Any]) -> None:
        """Replace the encoder by its arrays, or by a copy on the CPU."""
        encoder = state.pop("encoder_")
        if isinstance(self._specification.encoder, nn.Module):
            state["encoder_"] = copy.deepcopy(encoder).cpu()
            state["_specification"]["encoder"] = state["encoder_"]
            del state["_arrays"]
        else:
            self._arrays = encoder_arrays(encoder, self._arrays)
            state["_arrays"] = self._arrays

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Compare what was read with its digest, and build the encoder on the CPU."""
        state, name = dict(state), type(self).__name__
        digest, saved_by = state.pop("_digest", None), state.pop("_saved_by", None)
        source = state.get("_specification", {}).get("encoder")
        check_versions(name, saved_by, versions_for(source))
        if digest != digest_of({**state, "_saved_by": saved_by}):
            raise ValueError(
                f"This {name} is not what was saved: its digest is another. The file "
                "is damaged, or was changed; take a copy of it that is whole."
            )
        if "_fitted" in state:
            layout = Layout(**state["_fitted"]["layout"])
            state["_fitted"] = Fitted(**{**state["_fitted"], "layout": layout})
        if "_specification" in state:
            state["_specification"] = EncoderSpecification(**state["_specification"])
            _check_shapes(name, state)
        super().__setstate__(state)  # type: ignore[misc]
        if "_arrays" in state:
            self.encoder_ = self._specification.load(self._arrays)
        if "encoder_" in vars(self):
            # Views of the encoder's own memory: what was read is not kept beside it.
            self._arrays = encoder_arrays(self.encoder_, {})


def _check_shapes(name: str, state: dict[str, Any]) -> None:
    """Check that the encoder is built for the images that are read."""
    built, read = state["_specification"].image_shape, state["_fitted"].layout.shape
    if tuple(built) != tuple(read):
        raise ValueError(
            f"The state of this {name} does not agree with itself: its encoder is for "
            f"images of shape {built}, and it reads images of shape {read}."
        )


def plain_values(value: Any) -> Any:
    """Return the fields of a dataclass by name, and of dataclasses in it."""
    if not is_dataclass(value):
        return value
    return {
        field.name: plain_values(getattr(value, field.name)) for field in fields(value)
    }
