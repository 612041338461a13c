"""The mathematics of BYOL: loss, schedules and the update of the target network.

Letters are the paper's (Grill et al. 2020, arXiv 2006.07733): q is a prediction of the
online network, z a projection of the target network, theta the parameters of the online
network, xi those of the target network and tau the decay rate.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = [
    "auto_momentum",
    "byol_loss",
    "effective_rank",
    "learning_rate_at",
    "momentum_at",
    "regression_loss",
    "spread",
    "update_target",
]


def regression_loss(q: Tensor, z: Tensor) -> Tensor:
    """Squared distance of normalised prediction and projection, mean over images.

    Equals 2 - 2 cos(q, z), so it lies in [0, 4]. No gradient flows into `z`.

    Parameters
    ----------
    q : Tensor of shape (n_images, n_dims)
        Predictions of the online network for one view.
    z : Tensor of shape (n_images, n_dims)
        Projections of the target network for the other view.

    Returns
    -------
    Tensor of shape ()
        The loss of equation 2 of the paper.

    Examples
    --------
    >>> import torch
    >>> regression_loss(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    tensor(2.)
    """
    q = F.normalize(q.float(), dim=1, eps=1e-12)
    z = F.normalize(z.detach().float(), dim=1, eps=1e-12)
    return (2 - 2 * (q * z).sum(dim=1)).mean()


def byol_loss(q_1: Tensor, q_2: Tensor, z_1: Tensor, z_2: Tensor) -> Tensor:
    """Sum of both directions, each view predicting the other; in [0, 8].

    Parameters
    ----------
    q_1, q_2 : Tensor of shape (n_images, n_dims)
        Predictions of the online network for view 1 and view 2.
    z_1, z_2 : Tensor of shape (n_images, n_dims)
        Projections of the target network for view 1 and view 2.

    Returns
    -------
    Tensor of shape ()
        The symmetric loss of section 3.1 of the paper. Its two terms are summed, not
        averaged, as in the reference implementation.
    """
    return regression_loss(q_1, z_2) + regression_loss(q_2, z_1)


def momentum_at(step: int, n_steps: float, base: float) -> float:
    """Decay rate tau at a step: `base` at step 0, rising to 1 on a cosine.

    Parameters
    ----------
    step : int
        The step, from 0 to `n_steps`.
    n_steps : float
        Steps of the whole training; infinite if it has no end: tau stays `base`.
    base : float
        tau at step 0, in [0, 1].

    Returns
    -------
    float
        tau = 1 - (1 - base) (cos(pi step / n_steps) + 1) / 2 (section 3.2).

    Examples
    --------
    >>> momentum_at(0, 100, 0.99), momentum_at(100, 100, 0.99)
    (0.99, 1.0)
    """
    return 1 - (1 - base) * (math.cos(math.pi * step / n_steps) + 1) / 2


def auto_momentum(n_steps: float) -> float:
    """Choose tau at step 0 by the length of a training.

    The target network averages the last 1 / (1 - tau) steps or so; this keeps that a
    twentieth of the training, within the range that the paper found to work: 0.9 up to
    200 steps, 0.95 at 400, 0.99 from 2,000 on.

    Parameters
    ----------
    n_steps : float
        Steps of the whole training.

    Returns
    -------
    float
        tau, in [0.9, 0.99].

    Examples
    --------
    >>> auto_momentum(400), auto_momentum(100_000)
    (0.95, 0.99)
    """
    return 1 - min(max(20 / n_steps, 0.01), 0.1)


def learning_rate_at(step: int, n_steps: float, n_warmup: int, base: float) -> float:
    """Learning rate at a step: a line up to `base`, then a cosine down to 0.

    Parameters
    ----------
    step : int
        The step, from 0 to `n_steps` - 1.
    n_steps : float
        Steps of the whole training; infinite if it has no end: after the line the
        learning rate stays `base`.
    n_warmup : int
        Steps of the line, which reaches `base` at its last step.
    base : float
        The largest learning rate.

    Returns
    -------
    float
        The learning rate of this step.

    Examples
    --------
    >>> [round(learning_rate_at(step, 10, 2, 1.0), 2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    if step < n_warmup:
        return base * (step + 1) / n_warmup
    return base * (1 + math.cos(math.pi * (step - n_warmup) / (n_steps - n_warmup))) / 2


@torch.no_grad()
def update_target(
    xi: Sequence[Tensor], theta: Sequence[Tensor], tau: float | Tensor
) -> None:
    """Move the target network towards the online network, in place.

    xi <- tau xi + (1 - tau) theta, for each pair of parameters (equation 1). Buffers,
    such as the running statistics of batch norm, are not averaged.

    Parameters
    ----------
    xi : sequence of Tensor
        Parameters of the target network.
    theta : sequence of Tensor
        Parameters of the online network, in the same order.
    tau : float or Tensor of shape ()
        Decay rate in [0, 1]: 1 leaves the target network as it is. A tensor, on the
        device of the parameters, is read by the device alone.
    """
    if not isinstance(tau, Tensor):
        get_ema_multi_avg_fn(tau)(list(xi), list(theta), None)
        return
    ways = torch._foreach_sub(list(theta), list(xi))  # noqa: SLF001
    torch._foreach_mul_(ways, (1 - tau).to(ways[0].dtype))
    torch._foreach_add_(list(xi), ways)


@torch.no_grad()
def spread(projections: Tensor) -> Tensor:
    """How far normalised projections lie apart: about 1 is healthy, 0 is collapsed.

    The standard deviation of each coordinate over the images, averaged and multiplied
    by the root of the number of coordinates: 1 for points spread evenly on the sphere.

    Parameters
    ----------
    projections : Tensor of shape (n_images, n_dims)
        Projections of different images.

    Returns
    -------
    Tensor of shape ()
        The spread, in [0, 1] up to sampling noise.
    """
    z = F.normalize(projections.float(), dim=1, eps=1e-12)
    return z.std(dim=0, correction=0).mean() * math.sqrt(z.shape[1])


@torch.no_grad()
def effective_rank(representations: Tensor) -> Tensor:
    """How many directions representations use: the exponential of an entropy.

    The entropy is that of the singular values, divided by their sum: K equal ones give
    K, a single one gives 1. This is RankMe (Garrido et al. 2023, arXiv 2210.02885,
    equation 1), where 1e-7 is added to each share; as there, rows are not centred.

    Parameters
    ----------
    representations : Tensor of shape (n_images, n_dims)
        Representations or projections of different images, in float32 or float64 once
        half precision is widened.

    Returns
    -------
    Tensor of shape ()
        The effective rank, from 1 to the smaller of n_images and n_dims, up to the
        added 1e-7; 1 where all values are 0.

    Examples
    --------
    >>> import torch
    >>> ranks = effective_rank(torch.eye(3)), effective_rank(torch.ones(3, 3))
    >>> [round(rank.item(), 3) for rank in ranks]
    [3.0, 1.0]
    """
    dtype = torch.promote_types(representations.dtype, torch.float32)
    values = torch.linalg.svdvals(representations.to(dtype))
    shares = values / values.sum().clamp_min(torch.finfo(dtype).tiny) + 1e-7
    return torch.exp(-(shares * shares.log()).sum())
