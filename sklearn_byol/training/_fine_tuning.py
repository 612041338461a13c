"""An encoder and a linear layer tuned together on labelled images, in the same loop."""

import copy
import math
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.optim import AdamW

from sklearn_byol.objective import learning_rate_at
from sklearn_byol.training._batches import Batch
from sklearn_byol.training._callbacks import make_net
from sklearn_byol.training._checkpoints import State, as_arrays, as_tensors, copied
from sklearn_byol.training._device import seeded_torch
from sklearn_byol.training._history import History, history_of, plain, record_best
from sklearn_byol.training._labelled_images import LabelledImages, ShownBatches
from sklearn_byol.training._loop import descend, train
from sklearn_byol.training._optimizers import load_optimizer, parameter_groups
from sklearn_byol.training._plan import Settings, count_batches
from sklearn_byol.training._scaling import check_scale, make_scaler
from sklearn_byol.training._training import Trains
from sklearn_byol.views._pair import ViewPair

PATIENCE = 10  # epochs that may do no better on held-out images
WARMUP = 0.1  # of the steps, in which the learning rates rise
MANY = 1000  # labelled images from which what was tuned counts alone
# Of the encoder, and labelled images that bear it: more if others have trained it.
LARGEST_LR, ENOUGH, ENOUGH_OF_WEIGHTS = 1e-3, 50, MANY
HEAD_LR = 1e-3  # of the layer, with many labels
STEPS_AN_IMAGE, N_STEPS, MIN_EPOCHS = 10, 400, 30

FIGURES = ("loss", "encoder_lr", "seconds")


class LinearHead(nn.Module):
    """A linear layer on standardised representations.

    Weights (n_classes, n_dims) and biases (n_classes,) are of rows from which `mean`
    is subtracted, and which are divided by `scale`, both (n_dims,).
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, weight: ArrayLike, bias: ArrayLike, mean: ArrayLike, scale: ArrayLike
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    @classmethod
    def of(cls, weight: NDArray[Any], bias: NDArray[Any]) -> Self:
        """Make a layer of weights and biases on representations as they are."""
        n_dims = weight.shape[1]
        return cls(weight, bias, np.zeros(n_dims), np.ones(n_dims))

    def forward(self, rows: Tensor) -> Tensor:
        """Map representations (n, n_dims) to logits (n, n_classes)."""
        return F.linear((rows - self.mean) / self.scale, self.weight, self.bias)

    def folded(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weight and bias of the same layer on representations as they are."""
        with torch.no_grad():
            weight = self.weight / self.scale
            bias = self.bias - weight @ self.mean
        return weight.cpu().numpy(), bias.cpu().numpy()


@dataclass(frozen=True, kw_only=True)
class TuningPlan(Settings):
    """The parameters of `BYOLClassifier` of the same names.

    Device and precision follow the transformer. Tuning that is endless has no schedule:
    after its first epoch the learning rates stay what they are. Where many processes
    tune, each does so alone, on all labelled images.
    """

    encoder_lr: float
    head_lr: float
    weight_decay: float
    is_endless: bool = False

    @classmethod
    def of(
        cls,
        estimator: Any,
        *,
        n_images: int,
        n_epochs: int | None,
        has_weights: bool = False,
        **known: Any,
    ) -> Self:
        """Take the parameters of an estimator; the fields that it lacks are `known`.

        A number of epochs, all in all, is given where tuning has no end. An encoder has
        weights where BYOL did not begin with random ones.
        """
        batch_size, is_endless = int(estimator.batch_size), n_epochs is not None
        encoder_lr, head_lr = estimator.encoder_lr, estimator.head_lr
        n_epochs = estimator.max_epochs if n_epochs is None else n_epochs
        lr = auto_lr(n_images, has_weights=has_weights)
        is_known = not (is_endless or has_weights)
        lr_of_head = auto_head_lr(n_images) if is_known else HEAD_LR
        if n_epochs == "auto":
            n_epochs = auto_epochs(n_images, batch_size)
        return cls(
            encoder_lr=lr if encoder_lr == "auto" else float(encoder_lr),
            head_lr=lr_of_head if head_lr == "auto" else float(head_lr),
            weight_decay=float(estimator.weight_decay),
            batch_size=batch_size,
            max_epochs=int(n_epochs),
            is_endless=is_endless,
            callbacks=estimator.callbacks or (),
            verbose=int(estimator.verbose),
            **known,
        )


def auto_lr(n_images: int, *, has_weights: bool = False) -> float:
    """Choose the learning rate of the encoder by the number of labelled images.

    3e-4 for 10, and 1e-3 from 50 on; for networks that others have trained 3e-5 for 10,
    2e-4 for 100, and 1e-3 from 1,000 on.
    """
    enough = ENOUGH_OF_WEIGHTS if has_weights else ENOUGH
    return LARGEST_LR * min(1.0, (n_images / enough) ** 0.75)


def auto_head_lr(n_images: int) -> float:
    """Choose the learning rate of the layer by the number of labelled images.

    1e-4 for 10, 3e-4 for 100, and 1e-3 from 1,000 on. The layer that tuning begins with
    is regularised; large steps would undo that. Where images come in parts, later ones
    may show classes of which it knows nothing, and it takes the largest.
    """
    return HEAD_LR * min(1.0, (n_images / MANY) ** 0.5)


def auto_epochs(n_images: int, batch_size: int) -> int:
    """Choose how many times tuning goes through the labelled images.

    As many as make ten steps for each image, 400 steps at most; 30 at least.
    """
    n_steps = min(STEPS_AN_IMAGE * n_images, N_STEPS)
    return max(MIN_EPOCHS, math.ceil(n_steps / count_batches(n_images, batch_size)))


def tuned_share(n_images: int) -> float:
    """Choose how much tuned weights count beside those that tuning began with.

    About a half for a few images, rising to 1 at 1,000.
    """
    return (1 + min(1.0, n_images / MANY)) / 2


@torch.no_grad()
def average(tuned: Iterable[Tensor], start: Iterable[Tensor], share: float) -> None:
    """Average weights with those of the beginning, in place."""
    for weight, former in zip(tuned, start, strict=True):
        weight.copy_(torch.lerp(former, weight, share))


class Tuning(Trains):
    """All that tuning knows from step to step."""

    plan: TuningPlan
    batches: ShownBatches

    def __init__(
        self,
        encoder: nn.Module,
        head: LinearHead,
        images: LabelledImages,
        held_out: LabelledImages | None,
        views: ViewPair,
        plan: TuningPlan,
    ) -> None:
        self.images, self.held_out, self.plan = images, held_out, plan
        network = nn.Sequential(encoder, head).to(plan.device).eval()
        network.to(memory_format=torch.channels_last)
        self.batches = ShownBatches(images, views, plan)
        n_batches = len(self.batches)
        self.n_steps = math.inf if plan.is_endless else n_batches * plan.max_epochs
        share = n_batches if plan.is_endless else WARMUP * self.n_steps
        self.n_warmup = round(share)
        groups = [
            {**group, "largest_lr": lr, "lr": lr}
            for part, lr in ((encoder, plan.encoder_lr), (head, plan.head_lr))
            for group in parameter_groups(part, plan.weight_decay)
        ]
        optimizer = AdamW(groups, fused=plan.device.type in {"cpu", "cuda"})
        n_dims = len(head.mean)
        self.net = make_net(
            network, optimizer, encoder, n_dims, plan, self.n_steps, "tuning, "
        )
        self.scaler = make_scaler(plan.precision, optimizer)
        self.losses: list[Tensor] = []
        self.best: dict[str, Tensor] | None = None  # weights, of the best score
        self.score, self.n_since = (-math.inf, -math.inf), 0
        # What it began with, which counts in the end.
        self.start = [weight.detach().clone() for weight in network.parameters()]
        self.is_global = views.draws_globally or plan.is_drawing

    def has_ended(self) -> bool:
        """Tell whether all epochs have been trained, or ten were no better."""
        return super().has_ended() or self.n_since > PATIENCE

    def begin(self) -> None:
        """Score the network on held-out images as it begins."""
        if self.held_out is not None and self.best is None:
            self.compare(self.held_out)

    def state(self) -> State:
        """Copy all that the rest of tuning depends on, as arrays."""
        net = self.net
        state = {
            "network": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "step": net.step_,
            "history": [plain(row) for row in net.history],
            "batches": self.batches.state(),
            "start": self.start,
            "best": self.best,
            "scaler": self.scaler.state_dict(),
        }
        return as_arrays(copied(state))

    def go_on(self, state: State) -> None:
        """Go on from a state of tuning with the same network, for longer."""
        state = as_tensors(state)
        net = self.net
        net.module_.load_state_dict(state["network"])
        load_optimizer(net.optimizer_, state["optimizer"])
        self.batches.load({**state["batches"], "n_drawn": 0})
        net.history[:] = [{**row, "batches": []} for row in state["history"]]
        net.step_ = len(net.history) * len(self.batches)
        if self.plan.is_endless:
            net.step_ = state["step"]
        for mine, kept in zip(self.start, state["start"], strict=True):
            mine.copy_(kept)
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        if self.held_out is not None and state["best"] is not None:
            # What was best is scored on what is held out today.
            net.module_.load_state_dict(state["best"])
            self.compare(self.held_out)
            net.module_.load_state_dict(state["network"])

    def begin_epoch(self) -> None:
        """Start the clock; callbacks may have looked at the network in between."""
        self.losses, self.began = [], time.perf_counter()
        self.net.module_.eval()

    def record(self) -> None:
        """Write the row of the epoch that has ended."""
        net, loss = self.net, torch.stack(self.losses).mean().item()
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss of tuning was {loss} in an epoch. Try a lower encoder_lr or "
                "head_lr."
            )
        check_scale(self.scaler)
        net.history.record("train_loss", loss)
        net.history.record("encoder_lr", net.optimizer_.param_groups[0]["lr"])
        record_best(net, "train_loss", lower_is_better=True)
        if self.held_out is not None:
            net.history.record("validation_score", self.compare(self.held_out))
            record_best(net, "validation_score", lower_is_better=False)
        net.history.record("seconds", time.perf_counter() - self.began)

    def compare(self, held_out: LabelledImages) -> float:
        """Score the network, and keep a copy of weights that are better than before."""
        score = _score(self.net.module_, held_out, self.plan)
        self.n_since += 1
        if score > self.score:
            self.score, self.n_since = score, 0
            self.best = copy.deepcopy(self.net.module_.state_dict())
        return score[0]


def tune(tuning: Tuning) -> History:
    """Tune an encoder and a linear layer in place, by cross-entropy.

    Batch norm keeps the statistics that BYOL has left, and dropout drops nothing: a
    few images would only make either noisy. Half of the images are shown as they are,
    half as views 1, and mirror images have no share in rows, for the time that they
    take. Where images are held out, the weights of the epoch that did best
    on them are taken in the end, by `finish`, and training ends when ten epochs have
    not done better. Else, where few images leave much to chance, weights are averaged
    with those of the beginning (Wortsman et al. 2022, arXiv 2109.01903).
    """
    plan = tuning.plan
    seeded = seeded_torch(plan.seed, plan.device) if tuning.is_global else nullcontext()
    with seeded:
        if not tuning.has_ended():
            train(tuning, tuning_step)
    return history_of(list(tuning.net.history), FIGURES)


def finish(tuning: Tuning) -> None:
    """Take the weights that tuning ends with."""
    network = tuning.net.module_
    if tuning.best is not None:
        network.load_state_dict(tuning.best)
    elif not tuning.plan.is_endless:
        share = tuned_share(len(tuning.images))
        average(network.parameters(), tuning.start, share)
    network.zero_grad()
    network.eval().to(memory_format=torch.contiguous_format)


def tuning_step(tuning: Tuning, batch: Batch) -> None:
    """Learn from the labels of one batch."""
    net, plan = tuning.net, tuning.plan
    if tuning.sets_lr:
        share = learning_rate_at(net.step_, tuning.n_steps, tuning.n_warmup, 1.0)
        for group in net.optimizer_.param_groups:
            group["lr"] = share * group["largest_lr"]
    net.notify("on_batch_begin", batch=batch, training=True)

    def compute_loss() -> Tensor:
        weights = tuning.batches.weights
        loss = compute_cross_entropy(net.module_, *batch, weights, plan)
        tuning.losses.append(loss.detach())
        return loss

    descend(tuning, batch, compute_loss)
    net.step_ += 1
    net.notify("on_batch_end", batch=batch, training=True, loss=tuning.losses[-1])


def _logits(
    network: nn.Sequential, images: Tensor, plan: TuningPlan, *, mirrors: bool
) -> Tensor:
    """Compute the encoder in the precision of the plan, the layer in float32."""
    encoder, head = network
    images = images.contiguous(memory_format=torch.channels_last)
    with plan.autocast():
        rows = encoder(images, mirrors=mirrors)
    return head(rows.float())


def compute_cross_entropy(
    network: nn.Sequential,
    images: Tensor,
    codes: Tensor,
    weights: Tensor,
    plan: TuningPlan,
) -> Tensor:
    """Cross-entropy, averaged over images by their weights."""
    is_cuda = plan.device.type == "cuda"  # which need not be waited for
    weights, labels = (
        values.to(plan.device, non_blocking=is_cuda) for values in (weights, codes)
    )
    logits = _logits(network, images, plan, mirrors=False)
    losses = F.cross_entropy(logits, labels, reduction="none")
    return (losses * weights).sum() / weights.sum()


@torch.no_grad()
def _score(
    network: nn.Sequential, held_out: LabelledImages, plan: TuningPlan
) -> tuple[float, float]:
    """Weighted accuracy on held-out images, and minus the loss for where it ties."""
    weights = held_out.weights
    batches = (batch.to(plan.device) for _, batch in held_out.in_order())
    logits = torch.cat(
        [_logits(network, batch, plan, mirrors=True) for batch in batches]
    ).cpu()
    losses = F.cross_entropy(logits, torch.from_numpy(held_out.codes), reduction="none")
    is_right = logits.argmax(1).numpy() == held_out.codes
    accuracy = np.average(is_right, weights=weights)
    return float(accuracy), -float(np.average(losses.numpy(), weights=weights))
