"""The encoder that BYOL trains, trained on the labels alone, from scratch."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from sklearn_byol.images._containers import channel_statistics
from sklearn_byol.images._in_memory import Images
from sklearn_byol.images._layout import fold, layout_of
from sklearn_byol.images._learned_range import pixel_range
from sklearn_byol.networks._encoders import EncoderSpecification, representation_dim
from sklearn_byol.objective import learning_rate_at
from sklearn_byol.training._device import (
    resolve_device,
    resolve_precision,
    seeded_torch,
)
from sklearn_byol.training._optimizers import make_optimizer
from sklearn_byol.training._plan import count_batches
from sklearn_byol.views._pair import views_for

LR, WEIGHT_DECAY, BATCH_SIZE = 1e-3, 0.05, 128
MIN_STEPS = 500


def supervised_accuracy(X, y, X_test, y_test, n_epochs, seed):
    """Train the encoder of "auto" under a linear head and score it on test images.

    Images are augmented by the views of BYOL's defaults. Training takes as many epochs
    as BYOL's, or more where that would be fewer than 500 steps.
    """
    device = resolve_device("auto")
    layout = layout_of(X, None)
    chosen = pixel_range(fold(X, layout), X)
    images, test = (Images(fold(part, layout), chosen) for part in (X, X_test))
    with seeded_torch(seed):
        statistics = channel_statistics(images)
        encoder = EncoderSpecification("auto", layout.shape, *statistics).build()
        n_outputs = representation_dim(encoder, layout.shape)
        network = nn.Sequential(encoder, nn.Linear(n_outputs, int(y.max()) + 1))
    network.to(device, memory_format=torch.channels_last)
    _train(network, images, torch.as_tensor(y, device=device), n_epochs, seed, device)
    network.eval()
    with torch.inference_mode():
        predicted = [network(batch.to(device)).argmax(1) for _, batch in test.batches()]
    return float(np.mean(torch.cat(predicted).cpu().numpy() == y_test))


def _train(network, images, labels, n_epochs, seed, device):
    """Minimise the cross-entropy by AdamW, its learning rate on a cosine."""
    shape = tuple(images.pixels.shape[1:])
    views, _ = views_for("auto", shape)
    precision = resolve_precision("auto", device, shape)
    n_batches = count_batches(len(images), BATCH_SIZE)
    n_steps = max(n_epochs * n_batches, MIN_STEPS)
    optimizer = make_optimizer("adamw", network, LR, WEIGHT_DECAY)
    generator = torch.Generator(device).manual_seed(seed)

    def show(chosen):
        return views.laws[0](images[chosen].to(device), generator)

    order = np.random.default_rng(seed)
    descend(network, optimizer, show, labels, n_steps, LR, order, precision)


def descend(network, optimizer, show, labels, n_steps, lr, order, precision):
    """Minimise the cross-entropy of what is shown of images by their numbers."""
    device, n_batches = labels.device, count_batches(len(labels), BATCH_SIZE)
    for step in range(n_steps):
        if step % n_batches == 0:
            batches = np.array_split(order.permutation(len(labels)), n_batches)
        chosen = batches[step % n_batches]
        shown = show(chosen).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            output = network(shown)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, n_steps, n_steps // 10, lr)
        optimizer.zero_grad()
        F.cross_entropy(output.float(), labels[chosen]).backward()
        optimizer.step()
