"""The same training by four hands, for throughput.py.

Each contender is made from a `Task` and returns a function that trains for a few steps
and says how many seconds these took, everything that a user waits for included.
"""

import copy
import itertools
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from sklearn_byol import BYOLTransformer
from sklearn_byol.estimators._fitting import SMALL_VIEWS, SMALLEST
from sklearn_byol.networks._byol import build_byol_network
from sklearn_byol.networks._encoders import EncoderSpecification
from sklearn_byol.objective import byol_loss, update_target
from sklearn_byol.training._device import KEPT_MEMORY
from sklearn_byol.training._optimizers import make_optimizer
from sklearn_byol.training._recorded import N_BEFORE, GraphMemory, Recorded
from sklearn_byol.training._side_by_side import Branch, passes_side_by_side
from sklearn_byol.views._geometry import view_size

try:
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum
    from lightly.transforms import BYOLTransform
    from lightly.transforms.byol_transform import (
        BYOLView1Transform,
        BYOLView2Transform,
    )
except ImportError:
    BYOLTransform = None
try:
    from byol_pytorch import BYOL
except ImportError:
    BYOL = None

HIDDEN_DIM, PROJECTION_DIM = 1024, 256
MEAN, STD = 0.5, 0.25
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # in byol-pytorch's views
N_WORKERS = range((os.cpu_count() or 1) + 1)


@dataclass(frozen=True)
class Task:
    """What is trained, on what, and how.

    Attributes
    ----------
    pixels : ndarray of shape (n_images, height, width) or (..., 3), uint8
        Images.
    encoder : str
        As `BYOLTransformer` takes it.
    batch_size, n_steps : int
        Images of a step, steps that are timed.
    device : torch.device
        Where.
    precision : str
        "float32" or "bfloat16".
    """

    pixels: np.ndarray
    encoder: str
    batch_size: int
    n_steps: int
    device: torch.device
    precision: str

    @property
    def image_shape(self):
        """(n_channels, height, width)."""
        return (1 if self.pixels.ndim == 3 else 3, *self.pixels.shape[1:3])

    @property
    def view_shape(self):
        """Shape of the views that `fit` trains this encoder on."""
        n_channels, *size = self.image_shape
        smaller = self.encoder == "auto" and min(size) >= SMALLEST
        return n_channels, *view_size((*size,), SMALL_VIEWS if smaller else 1)

    def network(self):
        """Online and target network, as `fit` builds them."""
        n_channels = self.image_shape[0]
        torch.manual_seed(0)
        statistics = [MEAN] * n_channels, [STD] * n_channels
        encoder = EncoderSpecification(
            self.encoder, self.image_shape, *statistics
        ).build()
        with torch.no_grad():
            n_dims = encoder.eval()(torch.zeros(2, *self.image_shape)).shape[1]
        built = build_byol_network(encoder, n_dims, HIDDEN_DIM, PROJECTION_DIM)
        return built.to(self.device).train()

    def backbone(self):
        """Take the encoder to where peers put their own heads, and its width."""
        built = self.network()
        parts = [built.encoder]
        if not isinstance(built.projector[0], nn.Linear):
            parts.append(built.projector[0])
        heads = built.projector[len(parts) - 1 :]
        return nn.Sequential(*parts, nn.Flatten()), heads[0].in_features

    def autocast(self):
        """Compute products in the precision."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.precision))

    def synchronize(self):
        """Wait until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def timed(task, step, batches):
    """Time steps after one that is not timed."""
    seconds = []
    task.synchronize()
    start = time.perf_counter()
    for batch in itertools.islice(batches, task.n_steps + 1):
        step(batch)
        task.synchronize()
        seconds.append(time.perf_counter() - start)
    return seconds[-1] - seconds[0]


def ours(task):
    """Fit by `BYOLTransformer`, its epochs after the first."""
    n_images = len(task.pixels)
    n_epochs = 1 + round(task.n_steps * task.batch_size / n_images)
    byol = BYOLTransformer(
        task.encoder,
        views="byol",
        batch_size=task.batch_size,
        max_epochs=n_epochs,
        hidden_dim=HIDDEN_DIM,
        projection_dim=PROJECTION_DIM,
        device=str(task.device),
        precision=task.precision,
        random_state=0,
    )

    def train():
        return sum(byol.fit(task.pixels).history_["seconds"][1:])

    return train


def bare_step(
    task,
    *,
    memory_format=torch.channels_last,
    keeps_memory=True,
    is_fused=True,
    is_compiled=False,
    is_recorded=False,
    is_parallel=False,
):
    """Our networks and optimizer, views drawn before, nothing else: the limit.

    On a GPU the step may be recorded as a CUDA graph, and passes computed in parallel.
    """
    network = task.network().to(memory_format=memory_format)
    optimizer = make_optimizer("adamw", network, lr=1e-3, weight_decay=1e-4)
    theta, xi = network.online_parameters(), list(network.target.parameters())
    views = torch.rand(2, task.batch_size, *task.view_shape, device=task.device)
    pair = [view.contiguous(memory_format=memory_format) for view in views]
    for group in optimizer.param_groups:
        group["fused"] = is_fused
        group["capturable"] = is_recorded
    forward = forward_of(network, task.device, is_compiled, is_parallel)

    def step(batch):
        optimizer.zero_grad()
        with task.autocast():
            out = forward(*batch)
        byol_loss(*out[:4]).backward()
        optimizer.step()
        update_target(xi, theta, 0.99)

    if is_recorded:
        recorded = Recorded(lambda *batch: step(batch), GraphMemory(task.device))
        for _ in range(N_BEFORE):
            recorded(*pair)

    def train():
        take = (lambda batch: recorded(*batch)) if is_recorded else step
        with KEPT_MEMORY if keeps_memory else nullcontext():
            return timed(task, take, itertools.repeat(pair))

    train.network = network
    return train


def forward_of(network, device, is_compiled, is_parallel):
    """Return the forward pass of the networks, which may be compiled or in parallel."""
    if is_compiled:
        for encoder in (network.encoder, network.target[0]):
            encoder.compile(dynamic=False)
    if is_parallel:
        return passes_side_by_side(network, Branch(device), Branch(device))
    return network


class Pictures(Dataset):
    """PIL images and a transform, as torchvision's datasets have them."""

    def __init__(self, pixels, transform):
        self.pixels, self.transform = pixels, transform

    def __len__(self):
        """Count the images."""
        return len(self.pixels)

    def __getitem__(self, index):
        """Transform one image."""
        return self.transform(Image.fromarray(self.pixels[index]))


class LightlyBYOL(nn.Module):
    """The module of lightly's example of BYOL, with our encoder in it."""

    def __init__(self, backbone, n_inputs):
        super().__init__()
        self.backbone = backbone
        self.projection_head = BYOLProjectionHead(n_inputs, HIDDEN_DIM, PROJECTION_DIM)
        self.prediction_head = BYOLPredictionHead(
            PROJECTION_DIM, HIDDEN_DIM, PROJECTION_DIM
        )
        self.backbone_momentum = copy.deepcopy(self.backbone)
        self.projection_head_momentum = copy.deepcopy(self.projection_head)
        deactivate_requires_grad(self.backbone_momentum)
        deactivate_requires_grad(self.projection_head_momentum)

    def forward(self, x):
        """Predict."""
        return self.prediction_head(self.projection_head(self.backbone(x)))

    def forward_momentum(self, x):
        """Project by the target network."""
        return self.projection_head_momentum(self.backbone_momentum(x)).detach()


def lightly(task, n_workers=None):
    """Lightly's parts, put together as its example of BYOL does.

    Without a number of workers the fastest of 0 to one a core is found first.
    """
    if n_workers is None:
        trials = {n: min(lightly(task, n)() for _ in range(2)) for n in N_WORKERS}
        n_workers = min(trials, key=trials.get)
    model = LightlyBYOL(*task.backbone()).to(task.device)
    criterion = NegativeCosineSimilarity()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)
    side, n_channels = task.image_shape[1], task.image_shape[0]
    law = {
        "input_size": side,
        "normalize": {"mean": [MEAN] * n_channels, "std": [STD] * n_channels},
    }
    blurs = side > 32  # as our views="byol" does
    loader = DataLoader(
        Pictures(
            task.pixels,
            BYOLTransform(
                BYOLView1Transform(gaussian_blur=float(blurs), **law),
                BYOLView2Transform(gaussian_blur=0.1 * blurs, **law),
            ),
        ),
        batch_size=task.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=n_workers,
        persistent_workers=n_workers > 0,
    )

    def step(batch):
        update_momentum(model.backbone, model.backbone_momentum, m=0.99)
        update_momentum(model.projection_head, model.projection_head_momentum, m=0.99)
        x0, x1 = (view.to(task.device) for view in batch)
        with task.autocast():
            p0, z0 = model(x0), model.forward_momentum(x0)
            p1, z1 = model(x1), model.forward_momentum(x1)
            loss = 0.5 * (criterion(p0, z1) + criterion(p1, z0))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def train():
        return timed(
            task, step, itertools.chain.from_iterable(itertools.repeat(loader))
        )

    train.n_workers, train.network = n_workers, model.backbone
    train.statistics = MEAN, STD  # of what goes into the network
    return train


def byol_pytorch(task):
    """byol-pytorch's learner as its README uses it; gray images go in three times.

    Its augmentation draws once for a whole batch.
    """
    pixels = task.pixels if task.pixels.ndim == 4 else np.stack([task.pixels] * 3, -1)
    images = torch.from_numpy(pixels).movedim(-1, 1).float().div(255)
    rgb = replace(task, pixels=pixels)
    learner = BYOL(
        rgb.backbone()[0],
        image_size=task.image_shape[1],
        hidden_layer=-1,
        projection_size=PROJECTION_DIM,
        projection_hidden_size=HIDDEN_DIM,
    )
    optimizer = torch.optim.Adam(learner.parameters(), lr=3e-4)

    def step(batch):
        with task.autocast():
            loss = learner(batch.to(task.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        learner.update_moving_average()

    def batches():
        while True:
            yield from images[torch.randperm(len(images))].split(task.batch_size)

    def train():
        return timed(task, step, batches())

    train.network = learner.net
    train.statistics = IMAGENET
    return train


CONTENDERS = {
    "fit": ours,
    "bare step": bare_step,
    **({"lightly": lightly} if BYOLTransform else {}),
    **({"byol-pytorch": byol_pytorch} if BYOL else {}),
}
