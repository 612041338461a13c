"""Online and target network side by side: figure 2 of the paper."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from sklearn_byol.networks._freezing import hold
from sklearn_byol.networks._image_encoder import ImageEncoder
from sklearn_byol.networks._residual import NECK_CELLS, ResidualEncoder


class BYOLOutput(NamedTuple):
    """What one step compares; each of shape (n_images, projection_dim)."""

    prediction_1: Tensor
    prediction_2: Tensor
    target_1: Tensor
    target_2: Tensor
    projection_1: Tensor


class BYOLNetwork(nn.Module):
    """The online network (encoder, projector, predictor) and its target network.

    Each view goes through each network on its own, so that batch norm sees the
    statistics of one view at a time. The target network starts as a copy of the online
    one, runs on its own batch statistics, and receives no gradient. An encoder that is
    held stays in evaluation mode, in both networks: its batch norm keeps the statistics
    that it has, and nothing is dropped. So do layers that are frozen.
    """

    def __init__(
        self,
        encoder: nn.Module,
        n_inputs: int,
        hidden_dim: int,
        projection_dim: int,
        neck: nn.Module | None = None,  # from feature maps to (n_images, n_inputs)
        *,
        is_held: bool = False,
        frozen: Sequence[str] = (),  # layers of the encoder
    ) -> None:
        super().__init__()
        self.encoder, self.is_held, self.frozen = encoder, is_held, frozen
        self.projector = mlp(n_inputs, hidden_dim, projection_dim)
        if neck is not None:
            self.projector = nn.Sequential(neck, *self.projector)
        self.predictor = mlp(projection_dim, hidden_dim, projection_dim)
        online = nn.Sequential(self.encoder, self.projector)
        self.target = copy.deepcopy(online).requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training or evaluation mode, but for what is held or frozen."""
        super().train(mode)
        for encoder in (self.encoder, self.target[0]):
            hold(encoder, [""] if self.is_held else self.frozen)
        return self

    def online_parameters(self) -> list[Tensor]:
        """Parameters that the target network follows, in its order."""
        return [*self.encoder.parameters(), *self.projector.parameters()]

    def forward(self, view_1: Tensor, view_2: Tensor) -> BYOLOutput:
        """Predict each view's target projection from the other view."""
        projection_1 = self.projector(self.encoder(view_1))
        projection_2 = self.projector(self.encoder(view_2))
        with torch.no_grad():
            targets = self.target(view_1), self.target(view_2)
        predictions = self.predictor(projection_1), self.predictor(projection_2)
        return BYOLOutput(*predictions, *targets, projection_1.detach())


def build_byol_network(
    encoder: nn.Module,
    representation_dim: int,
    hidden_dim: int,
    projection_dim: int,
    *,
    is_held: bool = False,
    frozen: Sequence[str] = (),
) -> BYOLNetwork:
    """Put heads and a target network around an encoder, which is trained in place."""
    dims = hidden_dim, projection_dim
    held: dict[str, Any] = {"is_held": is_held, "frozen": frozen}
    if not isinstance(encoder, ImageEncoder):
        return BYOLNetwork(encoder, representation_dim, *dims, **held)
    trained, network = encoder.trained, encoder.get_submodule("network")
    if not (encoder.has_neck and isinstance(network, ResidualEncoder)):
        n_learned = representation_dim - encoder.n_beside
        return BYOLNetwork(trained, n_learned, *dims, **held)
    # The projector takes the map that "auto" is read from, and a stage of its own.
    n_inputs, neck = network.n_maps * NECK_CELLS**2, network.build_neck()
    return BYOLNetwork(trained, n_inputs, *dims, neck, **held)


def mlp(n_inputs: int, n_hidden: int, n_outputs: int) -> nn.Sequential:
    """Linear, batch norm, ReLU, Linear: the paper's head."""
    return nn.Sequential(
        nn.Linear(n_inputs, n_hidden),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(inplace=True),
        # Without a bias, as in the reference implementation.
        nn.Linear(n_hidden, n_outputs, bias=False),
    )
