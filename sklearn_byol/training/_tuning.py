"""An encoder and a linear layer tuned together on labelled images."""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.optim import AdamW
from tqdm.auto import tqdm

from sklearn_byol.objective import learning_rate_at
from sklearn_byol.training._batches import ImageSource, count_batches, one_ahead
from sklearn_byol.training._devices import resolve_precision
from sklearn_byol.training._optimizers import parameter_groups
from sklearn_byol.training._randomness import seeded_torch
from sklearn_byol.views import ViewPair

__all__ = ["LabelledImages", "LinearHead", "TuningSettings", "tune"]

N_AT_ONCE = 256  # held-out images that are scored at a time

History = dict[str, list[float]]


class LinearHead(nn.Module):
    """A linear layer on standardised representations.

    Parameters
    ----------
    weight : ndarray of shape (n_classes, n_dims)
        Weights of standardised representations.
    bias : ndarray of shape (n_classes,)
        Biases.
    mean, scale : ndarray of shape (n_dims,)
        What is subtracted from representations, and what they are divided by.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        weight: NDArray[Any],
        bias: NDArray[Any],
        mean: NDArray[Any],
        scale: NDArray[Any],
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def forward(self, rows: Tensor) -> Tensor:
        """Map representations (n, n_dims) to logits (n, n_classes)."""
        return F.linear((rows - self.mean) / self.scale, self.weight, self.bias)

    def folded(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weight and bias of the same layer on representations as they are."""
        with torch.no_grad():
            weight = self.weight / self.scale
            bias = self.bias - weight @ self.mean
        return weight.cpu().numpy(), bias.cpu().numpy()


@dataclass(frozen=True)
class LabelledImages:
    """Images with their classes.

    Attributes
    ----------
    images : ImageSource
        Where the images are.
    places : ndarray of int
        Which of them these are, in ascending order.
    codes : ndarray of int
        Their classes.
    """

    images: ImageSource
    places: NDArray[np.intp]
    codes: NDArray[np.intp]

    def __len__(self) -> int:
        """Count the images."""
        return len(self.codes)

    def take(self, chosen: NDArray[np.intp]) -> "LabelledImages":
        """Choose some of the images, in ascending order."""
        return LabelledImages(self.images, self.places[chosen], self.codes[chosen])

    def batches(
        self, n_batches: int, order: NDArray[np.intp] | None = None
    ) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Go through all images in an order: which ones, ascending, and the images."""
        order = np.arange(len(self)) if order is None else order
        parts = [np.sort(part) for part in np.array_split(order, n_batches)]
        places = [self.places[part] for part in parts]
        read = one_ahead if self.images.is_streamed else map
        yield from zip(parts, read(self.images.__getitem__, places), strict=True)

    def in_order(self) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Go through all images as they come, some at a time."""
        return self.batches(math.ceil(len(self) / N_AT_ONCE))


@dataclass(frozen=True)
class TuningSettings:
    """Numbers only, where the user may have said "auto".

    The names and meanings are those of the parameters of `BYOLClassifier`, and of the
    `BYOLTransformer` inside; `class_weights` has one number a class and `is_drawing`
    says that the encoder may draw from torch's global random state.
    """

    encoder_lr: float
    head_lr: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    class_weights: NDArray[np.float64]
    device: torch.device
    precision: torch.dtype
    seed: int
    verbose: int = 0
    freeze: bool = True
    ema: float = 0.0
    view: bool = True
    warm: float = 0.1
    smooth: float = 0.0
    is_drawing: bool = False

    @classmethod
    def of(cls, estimator, byol, *, n_images, image_shape, class_weights, device, seed, is_drawing):
        n_batches = count_batches(n_images, estimator.batch_size)
        return cls(
            encoder_lr=1e-4 if estimator.encoder_lr == "auto" else estimator.encoder_lr,
            head_lr=1e-3 if estimator.head_lr == "auto" else estimator.head_lr,
            weight_decay=estimator.weight_decay, batch_size=estimator.batch_size,
            max_epochs=max(1, 20 // n_batches) if estimator.max_epochs == "auto" else estimator.max_epochs,
            class_weights=class_weights, device=device, precision=resolve_precision(byol.precision, device, image_shape),
            seed=seed, is_drawing=is_drawing, verbose=estimator.verbose)


@dataclass
class Best:
    """The weights of the epoch that has done best on held-out images."""

    network: nn.Module
    score: tuple[float, float] = (-1.0, 0.0)
    epoch: int = -1
    state: dict[str, Tensor] = field(default_factory=dict)

    def see(self, epoch: int, score: tuple[float, float]) -> None:
        """Keep a copy of the weights if they are better than those before."""
        if score > self.score:
            self.score, self.epoch = score, epoch
            self.state = copy.deepcopy(self.network.state_dict())


def tune(
    encoder: nn.Module,
    head: LinearHead,
    images: LabelledImages,
    held_out: LabelledImages | None,
    views: ViewPair,
    settings: TuningSettings,
) -> History:
    device = settings.device
    network = nn.Sequential(encoder, head).to(device, memory_format=torch.channels_last)
    network.train(not settings.freeze)
    law = views.laws[0]
    weights = torch.tensor(settings.class_weights, dtype=torch.float32, device=device)
    groups = [
        {**group, "base": lr}
        for part, lr in ((encoder, settings.encoder_lr), (head, settings.head_lr))
        for group in parameter_groups(part, settings.weight_decay)
    ]
    optimizer = AdamW(groups, lr=0.0, fused=device.type in {"cpu", "cuda"})
    order = np.random.default_rng(settings.seed)
    generator = Generator(device).manual_seed(settings.seed)
    n_batches = count_batches(len(images), settings.batch_size)
    n_steps = n_batches * settings.max_epochs
    average = copy.deepcopy(network) if settings.ema else None
    history = {"loss": [], "seconds": []}
    step = 0
    for epoch in range(settings.max_epochs):
        start = time.perf_counter()
        losses = []
        for part, batch in images.batches(n_batches, order.permutation(len(images))):
            codes = torch.from_numpy(images.codes[part])
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(
                    step, n_steps, round(n_steps * settings.warm), group["base"]
                )
            batch = batch.to(device)
            view = law(batch, generator) if settings.view else batch
            is_lower = settings.precision != torch.float32
            with torch.autocast(device.type, settings.precision, enabled=is_lower):
                rows = encoder(view.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(
                head(rows.float()), codes.to(device), weights,
                label_smoothing=settings.smooth,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            step += 1
            if average is not None:
                d = min(settings.ema, step / (step + 10))
                with torch.no_grad():
                    for a, b in zip(average.parameters(), network.parameters()):
                        a.lerp_(b, 1 - d)
                    for a, b in zip(average.buffers(), network.buffers()):
                        a.copy_(b)
        history["loss"].append(torch.stack(losses).mean().item())
        history["seconds"].append(time.perf_counter() - start)
    if average is not None:
        network.load_state_dict(average.state_dict())
    network.eval().to(memory_format=torch.contiguous_format)
    return history
