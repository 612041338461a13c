"""Labelled images in batches, and the linear layer that classifies them."""

import copy
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.optim import AdamW
from tqdm.auto import tqdm

from sklearn_byol.objective import learning_rate_at
from sklearn_byol.training._batches import ImageSource, count_batches, one_ahead
from sklearn_byol.training._device import seeded_torch
from sklearn_byol.training._optimizers import parameter_groups
from sklearn_byol.views import ViewPair

__all__ = ["LabelledImages", "LinearHead", "TuningSettings", "tune"]

N_AT_ONCE = 256  # images that are represented or scored at a time


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


PATIENCE = 10  # epochs that may do no better on held-out images
PLAIN_SHARE = 0.5  # of the images, which are shown as they are
WARMUP = 0.1  # of the steps, in which the learning rates rise
LARGEST_LR, MANY = 1e-3, 1000  # of the encoder, and labelled images that bear it
HEAD_LR = 1e-3
STEPS_AN_IMAGE, N_STEPS, MIN_EPOCHS = 10, 400, 30

History = dict[str, list[float]]


@dataclass(frozen=True)
class TuningSettings:
    """Numbers only, where the user may have said "auto".

    The names and meanings are those of the parameters of `BYOLClassifier`;
    `class_weights` has one number a class, device and precision follow the transformer,
    and `is_drawing` says that the encoder may draw from torch's global random state.
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
    is_drawing: bool
    verbose: int

    @classmethod
    def of(
        cls,
        estimator: Any,
        *,
        n_images: int,
        class_weights: NDArray[np.float64],
        device: torch.device,
        precision: torch.dtype,
        seed: int,
        is_drawing: bool,
    ) -> Self:
        """Take the parameters of an estimator, "auto" made numbers for these images."""
        batch_size, n_epochs = int(estimator.batch_size), estimator.max_epochs
        encoder_lr, head_lr = estimator.encoder_lr, estimator.head_lr
        if n_epochs == "auto":
            n_epochs = auto_epochs(n_images, batch_size)
        return cls(
            encoder_lr=auto_lr(n_images) if encoder_lr == "auto" else float(encoder_lr),
            head_lr=HEAD_LR if head_lr == "auto" else float(head_lr),
            weight_decay=float(estimator.weight_decay),
            batch_size=batch_size,
            max_epochs=int(n_epochs),
            class_weights=class_weights,
            device=device,
            precision=precision,
            seed=seed,
            is_drawing=is_drawing,
            verbose=int(estimator.verbose),
        )


def auto_lr(n_images: int) -> float:
    """Choose the learning rate of the encoder by the number of labelled images.

    Parameters
    ----------
    n_images : int
        Labelled images.

    Returns
    -------
    float
        3e-5 for 10, 2e-4 for 100, and 1e-3 from 1,000 on.
    """
    return LARGEST_LR * min(1.0, (n_images / MANY) ** 0.75)


def auto_epochs(n_images: int, batch_size: int) -> int:
    """Choose how many times tuning goes through the labelled images.

    Parameters
    ----------
    n_images : int
        Labelled images.
    batch_size : int
        Images of a step, at most.

    Returns
    -------
    int
        As many epochs as make ten steps for each image, 400 steps at most; 30 at least.
    """
    n_steps = min(STEPS_AN_IMAGE * n_images, N_STEPS)
    return max(MIN_EPOCHS, math.ceil(n_steps / count_batches(n_images, batch_size)))


def tuned_share(n_images: int) -> float:
    """Choose how much tuned weights count beside those that tuning began with.

    Parameters
    ----------
    n_images : int
        Labelled images.

    Returns
    -------
    float
        About a half for a few images, rising to 1 at 1,000.
    """
    return (1 + min(1.0, n_images / MANY)) / 2


@torch.no_grad()
def average(tuned: Iterable[Tensor], start: Iterable[Tensor], share: float) -> None:
    """Average weights with those of the beginning, in place."""
    for weight, former in zip(tuned, start, strict=True):
        weight.copy_(torch.lerp(former, weight, share))


def tune(
    encoder: nn.Module,
    head: LinearHead,
    images: LabelledImages,
    held_out: LabelledImages | None,
    views: ViewPair,
    settings: TuningSettings,
) -> History:
    """Tune an encoder and a linear layer in place, by cross-entropy.

    Batch norm keeps the statistics that BYOL has left, and dropout drops nothing: a
    few images would only make either noisy. Half of the images are shown as they are,
    half as views 1 of `views`. In the end, where few images leave much to chance,
    weights are averaged with those of the beginning (Wortsman et al. 2022, arXiv
    2109.01903), unless images are held out.

    Parameters
    ----------
    encoder : nn.Module
        From images in [0, 1] to representations; it ends on the device of the settings,
        in evaluation mode.
    head : LinearHead
        From representations to logits.
    images : LabelledImages
        What to learn from.
    held_out : LabelledImages or None
        Where there are some, the weights of the epoch that did best on them are taken
        in the end, and training ends when ten epochs have not done better.
    views : ViewPair
        How to draw views; its first law is used.
    settings : TuningSettings
        Everything else.

    Returns
    -------
    dict of str to list of float
        The figures of each epoch.

    Raises
    ------
    FloatingPointError
        If the loss of an epoch is not finite.
    """
    device = settings.device
    network = nn.Sequential(encoder, head).to(device).eval()
    network.to(memory_format=torch.channels_last)
    start = [weight.detach().clone() for weight in network.parameters()]
    is_global = views.draws_globally or settings.is_drawing
    with seeded_torch(settings.seed, device) if is_global else nullcontext():
        history = _run(network, images, held_out, views, settings)
    if held_out is None:
        average(network.parameters(), start, tuned_share(len(images)))
    network.to(memory_format=torch.contiguous_format)
    return history


def _run(
    network: nn.Sequential,
    images: LabelledImages,
    held_out: LabelledImages | None,
    views: ViewPair,
    settings: TuningSettings,
) -> History:
    """Go through the epochs; take the best weights where images are held out."""
    names = ("loss", "encoder_lr", "seconds") + ("validation_score",) * (
        held_out is not None
    )
    history: History = {name: [] for name in names}
    steps = Steps(network, images, views, settings)
    best = Best(network)
    if held_out is not None:
        best.see(_score(network, held_out, settings))
    bar = tqdm(range(settings.max_epochs), "tuning", disable=not settings.verbose)
    for _ in bar:
        start = time.perf_counter()
        history["loss"].append(steps.epoch())
        history["encoder_lr"].append(steps.optimizer.param_groups[0]["lr"])
        if held_out is not None:
            score = _score(network, held_out, settings)
            history["validation_score"].append(score[0])
            best.see(score)
        history["seconds"].append(time.perf_counter() - start)
        bar.set_postfix({name: values[-1] for name, values in history.items()})
        if best.n_since > PATIENCE:
            break
    best.take()
    return history


class Steps:
    """The steps of gradient descent, an epoch at a time.

    Parameters
    ----------
    network : nn.Sequential
        Encoder and linear layer.
    images, views, settings
        As in `tune`.
    """

    def __init__(
        self,
        network: nn.Sequential,
        images: LabelledImages,
        views: ViewPair,
        settings: TuningSettings,
    ) -> None:
        self.network, self.images, self.settings = network, images, settings
        self.law = views.laws[0]
        self.order_generator = np.random.default_rng(settings.seed)
        self.view_generator = Generator(settings.device).manual_seed(settings.seed)
        self.optimizer = _make_optimizer(network, settings)
        self.n_batches = count_batches(len(images), settings.batch_size)
        self.step = 0

    def epoch(self) -> float:
        """Go through the images once and return the mean loss."""
        order = self.order_generator.permutation(len(self.images))
        losses = [
            self._step(batch, self.images.codes[part])
            for part, batch in self.images.batches(self.n_batches, order)
        ]
        loss = torch.stack(losses).mean().item()
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss of tuning was {loss} in an epoch. Try a lower encoder_lr or "
                "head_lr."
            )
        return loss

    def _step(self, batch: Tensor, codes: NDArray[np.intp]) -> Tensor:
        """Learn from one batch."""
        n_steps = self.n_batches * self.settings.max_epochs
        share = learning_rate_at(self.step, n_steps, round(WARMUP * n_steps), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = share * group["largest_lr"]
        shown = self._show(batch.to(self.settings.device))
        loss = _loss(self.network, shown, codes, self.settings)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return loss.detach()

    def _show(self, images: Tensor) -> Tensor:
        """Draw views of half of the images, and leave the others as they are.

        Views that are strong enough for BYOL are unlike what is to be classified.
        """
        views = self.law(images.clone(), self.view_generator)
        draws = torch.rand(
            (len(images), 1, 1, 1), generator=self.view_generator, device=images.device
        )
        return torch.where(draws < PLAIN_SHARE, images, views)


def _make_optimizer(network: nn.Sequential, settings: TuningSettings) -> AdamW:
    """Build AdamW with a learning rate for the encoder and one for the layer."""
    rates = (settings.encoder_lr, settings.head_lr)
    groups = [
        {**group, "largest_lr": lr}
        for part, lr in zip(network, rates, strict=True)
        for group in parameter_groups(part, settings.weight_decay)
    ]
    return AdamW(groups, lr=0.0, fused=settings.device.type in {"cpu", "cuda"})


def _logits(network: nn.Sequential, images: Tensor, settings: TuningSettings) -> Tensor:
    """Compute the encoder in the precision of the settings, the layer in float32."""
    encoder, head = network
    is_lower = settings.precision != torch.float32
    with torch.autocast(settings.device.type, settings.precision, enabled=is_lower):
        rows = encoder(images.contiguous(memory_format=torch.channels_last))
    return head(rows.float())


def _loss(
    network: nn.Sequential,
    images: Tensor,
    codes: NDArray[np.intp],
    settings: TuningSettings,
) -> Tensor:
    """Cross-entropy, each image with the weight of its class."""
    is_cuda = settings.device.type == "cuda"  # which need not be waited for
    weights, labels = (
        torch.from_numpy(values).to(settings.device, non_blocking=is_cuda)
        for values in (settings.class_weights.astype(np.float32), codes)
    )
    return F.cross_entropy(_logits(network, images, settings), labels, weights)


@torch.no_grad()
def _score(
    network: nn.Sequential, held_out: LabelledImages, settings: TuningSettings
) -> tuple[float, float]:
    """Weighted accuracy on held-out images, and minus the loss for where it ties."""
    weights = settings.class_weights[held_out.codes]
    logits = torch.cat(
        [
            _logits(network, batch.to(settings.device), settings)
            for _, batch in held_out.in_order()
        ]
    ).cpu()
    losses = F.cross_entropy(logits, torch.from_numpy(held_out.codes), reduction="none")
    is_right = logits.argmax(1).numpy() == held_out.codes
    return (
        float(np.average(is_right, weights=weights)),
        -float(np.average(losses.numpy(), weights=weights)),
    )


class Best:
    """The weights that have done best on held-out images.

    Parameters
    ----------
    network : nn.Module
        Whose weights are meant.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.score = (-math.inf, -math.inf)
        self.state: dict[str, Tensor] | None = None
        self.n_since = 0

    def see(self, score: tuple[float, float]) -> None:
        """Keep a copy of the weights if they are better than all before."""
        self.n_since += 1
        if score > self.score:
            self.score, self.n_since = score, 0
            self.state = copy.deepcopy(self.network.state_dict())

    def take(self) -> None:
        """Go back to the best weights, if any were seen."""
        if self.state is not None:
            self.network.load_state_dict(self.state)
