"""One change at a time from the defaults, scored on held-out training images.

    python benchmarks/study.py --data DIR --sets cifar10 --changes defaults,byol_views

For each set, seed and change: BYOL on unlabelled training images, then a linear probe
on part of them with 10 labels a class (mean of ten draws) and with all of that part,
scored on the rest. Test images are not read. Each encoder is read out on grids of 1 to
7 cells a side, whatever the grid that it was trained with. Prints one line of JSON a
training, with which tables are made; README.md beside this file has those.
"""

import argparse
import json
import os
import time
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from image_sets import load_set
from probes import draw_labels, linear_accuracy
from torch import nn

import sklearn_byol.training._training
from sklearn_byol import BYOLTransformer, RandomViews
from sklearn_byol.networks import _encoders
from sklearn_byol.networks._image_encoder import TRUNK
from sklearn_byol.networks._readout import Readout
from sklearn_byol.networks._residual import ResidualEncoder, auto_encoder
from sklearn_byol.training._optimizers import AUTO_LR, make_optimizer

N_DRAWS = 10
GRIDS = (1, 2, 3, 4, 7)

CHANGES = {
    "defaults": {},
    "untrained": {"lr": 1e-12, "max_epochs": 1},
    "bfloat16": {"precision": "bfloat16"},
    "lr_third": {"lr_factor": 1 / 3},
    "lr_triple": {"lr_factor": 3},
    "batch_64": {"batch_size": 64},
    "batch_256": {"batch_size": 256},
    "batch_1024": {"batch_size": 1024},
    "batch_1024_lr_0.4": {"batch_size": 1024, "lr_factor": 0.4},
    "batch_1024_lr_2": {"batch_size": 1024, "lr_factor": 2},
    "batch_1024_lr_3": {"batch_size": 1024, "lr_factor": 3},
    "batch_1024_momentum_0.5": {"batch_size": 1024, "momentum": 0.5},
    "batch_1024_momentum_0.8": {"batch_size": 1024, "momentum": 0.8},
    "batch_1024_momentum_0.97": {"batch_size": 1024, "momentum": 0.97},
    "batch_1024_no_warmup": {"batch_size": 1024, "warmup_epochs": 0},
    "momentum_0.9": {"momentum": 0.9},
    "momentum_0.97": {"momentum": 0.97},
    "momentum_0.99": {"momentum": 0.99},
    "momentum_0.996": {"momentum": 0.996},
    "no_warmup": {"warmup_epochs": 0},
    "decay_0.01": {"weight_decay": 0.01},
    "decay_0.1": {"weight_decay": 0.1},
    "sgd": {"optimizer": "sgd"},
    "lars": {"optimizer": "lars"},
    "hidden_512": {"hidden_dim": 512},
    "hidden_4096": {"hidden_dim": 4096},
    "projection_128": {"projection_dim": 128},
    "byol_views": {"views": "byol"},
    "safe_views": {"views": "safe"},
    "lab_views": {"views": "lab"},
    "gray_views": {"views": "gray"},
    "digits_views": {"views": "digits"},
    "full_views": {"views": RandomViews(size=1)},
    "no_flips": {"views": RandomViews(horizontal_flip=0)},
    "no_hog": {"hog": 0},
    "no_mirror": {"mirror": 0},
    "no_scale": {"unit_variance": False},
    "crops_0.08": {"views": RandomViews(crop_scale=(0.08, 1))},
    "crops_0.2": {"views": RandomViews(crop_scale=(0.2, 1))},
    "crops_0.4": {"views": RandomViews(crop_scale=(0.4, 1))},
    "grayscale_0.2": {"views": RandomViews(grayscale=0.2)},
    "solarize": {"views": RandomViews(solarize=(0, 0.2))},
    # What no parameter does. The encoder of "auto" with other dimensions:
    "width_32": {"network": {"width": 32}},
    "width_64": {"network": {"width": 64}},
    "one_more_stage": {"network": {"n_stages": 3}},
    "stem_1": {"network": {"stem_stride": 1}},
    "stem_2": {"network": {"stem_stride": 2}},
    "no_neck": {"network": {"has_neck": False}},
    "plain": {
        "network": {"n_stages": 4, "width": 32, "has_neck": False},
        "readout": 2,
    },
    "zero_init": {"network": {"zero_init": True}},
    "predictor_lr_10": {"predictor_lr": 10},
}


def changed_network(shape, zero_init=False, **changes):
    """Build the network of "auto" with other dimensions.

    With `zero_init` its blocks begin as their shortcuts.
    """
    auto = auto_encoder(shape)
    convolution, *_, pool = auto.stem
    strides = convolution.stride[0] * (1 if isinstance(pool, nn.Identity) else 2)
    options = {
        "n_stages": len(auto.stages),
        "width": convolution.out_channels,
        "stem_stride": strides,
        "has_neck": auto.has_neck,
    }
    network = ResidualEncoder(shape[0], **options | changes)
    if zero_init:
        for block in network.stages:
            nn.init.zeros_(block.norm2.weight)
    return network


def faster_predictor(factor):
    """Multiply the predictor's learning rate, which AdamW takes as longer steps."""

    def make(optimizer, module, *given):
        made = make_optimizer(optimizer, module, *given)
        chosen = list(module.predictor.parameters())
        before = [weight.detach().clone() for weight in chosen]

        def lengthen(*_):
            for weight, old in zip(chosen, before, strict=True):
                weight.data = old + factor * (weight.data - old)
                old.copy_(weight.data)

        made.register_step_post_hook(lengthen)
        return made

    return mock.patch.object(sklearn_byol.training._training, "make_optimizer", make)


def train(X, change, epochs, seed):
    """Train with one change from the defaults."""
    given = {"max_epochs": epochs, "random_state": seed, **change}
    factor, predictor = given.pop("lr_factor", 1), given.pop("predictor_lr", 1)
    network = given.pop("network", {})
    rates = {name: factor * lr for name, lr in AUTO_LR.items()}
    with (
        mock.patch.dict(AUTO_LR, rates),
        mock.patch.object(
            _encoders,
            "auto_encoder",
            lambda shape: changed_network(shape, **network),
        ),
        faster_predictor(predictor) if predictor != 1 else nullcontext(),
    ):
        return BYOLTransformer(**given).fit(X)


def scores(byol, X, y, n_held_out):
    """Accuracy with 10 labels a class and with all, for each grid of the readout."""
    answers = {}
    device = next(byol.encoder_.parameters()).device
    with torch.no_grad():
        example = torch.zeros(1, *byol.image_shape_, device=device)
        n_maps, *sides = byol.encoder_.take(TRUNK)(example).shape[1:]
    for n_cells in (n for n in GRIDS if n <= min(sides)):
        byol.encoder_.readout = Readout(n_cells)
        byol._n_features_out = n_maps * n_cells**2 + byol.encoder_.n_beside
        rows = byol.transform(X)
        train, held_out = rows[n_held_out:], rows[:n_held_out]
        y_train, y_held_out = y[n_held_out:], y[:n_held_out]
        few = [
            linear_accuracy(train[drawn], y_train[drawn], held_out, y_held_out)
            for drawn in draw_labels(y_train, 10, N_DRAWS)
        ]
        many = linear_accuracy(train, y_train, held_out, y_held_out, C=1e-2)
        answers[f"{n_cells}x{n_cells}"] = [
            round(float(np.mean(few)), 3),
            round(many, 3),
        ]
    return answers


def main():
    """Go through sets, seeds and changes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", default="fashion_mnist,cifar10,tiny10")
    parser.add_argument("--changes", default=",".join(CHANGES))
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--held-out", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in arguments.sets.split(","):
        X, y = load_set(name, "train", arguments.data, arguments.images)
        for seed in map(int, arguments.seeds.split(",")):
            for change in arguments.changes.split(","):
                start = time.perf_counter()
                byol = train(X, CHANGES[change], arguments.epochs, seed)
                seconds = time.perf_counter() - start
                row = {
                    "set": name,
                    "images": len(X),
                    "epochs": byol.n_iter_,
                    "seed": seed,
                    "change": change,
                    "10 a class, all": scores(byol, X, y, arguments.held_out),
                    "loss": round(byol.history_["loss"][-1], 3),
                    "spread": round(byol.history_["spread"][-1], 3),
                    "seconds": round(seconds),
                    "torch": torch.__version__,
                }
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
