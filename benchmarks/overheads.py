"""What fit, transform and import cost besides the arithmetic.

    python benchmarks/overheads.py --json overheads.json

Seconds to import, beside torch's own; seconds from `fit` to the first step; `transform`
against the bare forward of the encoder, on an array and image by image; that forward
against one whose batch norm is folded into its convolutions; seconds an epoch takes as
images and pixels grow; memory that fit takes beside the images; and a grid of nine
candidates in one process against two. What is compared takes turns; ratios are medians
of the rounds' own.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from machine import describe
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.fx.experimental.optimization import fuse

from sklearn_byol import BYOLTransformer

IMPORTS = ("torch", "torch, sklearn, skorch", "sklearn_byol")
MEMORY = """
import sys
import numpy as np
from torch import nn
from sklearn_byol import BYOLTransformer
def peak():
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
def encoder():
    return nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(48, 16))
n = int(sys.argv[1])
X = np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)
byol = BYOLTransformer(encoder, views=lambda x: x.flip(3), hidden_dim=16, max_epochs=1)
byol.fit(X[:256])
before = peak()
byol.fit(X)
print((peak() - before) / X.nbytes)
"""


def python(code, *arguments):
    """Run code in a process of its own and return what it prints."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def seconds_of(function):
    """Time one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ratio(first, second, n_rounds):
    """Median of how many times as long the first takes as the second."""
    first(), second()
    return statistics.median(
        seconds_of(first) / seconds_of(second) for _ in range(n_rounds)
    )


def import_seconds(n_rounds):
    """Median seconds of imports, each in a new process."""
    code = "import time; t = time.time(); import {}; print(time.time() - t)"
    rounds = [
        {name: float(python(code.format(name))) for name in IMPORTS}
        for _ in range(n_rounds)
    ]
    return {name: statistics.median(one[name] for one in rounds) for name in IMPORTS}


def images(n, side=32):
    """Draw random images."""
    shape = n, side, side, 3
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def fit(X, **parameters):
    """Fit with defaults."""
    return BYOLTransformer(**{"max_epochs": 1, "random_state": 0, **parameters}).fit(X)


def start_up(n_rounds):
    """Seconds of fit that are not of its epochs: of a first and of later ones.

    The first optimizer of a process makes torch import its compiler, used or not.
    """
    compiler = seconds_of(lambda: importlib.import_module("torch._dynamo"))
    X, values = images(256), []
    for _ in range(n_rounds + 1):
        start = time.perf_counter()
        byol = fit(X)
        total = time.perf_counter() - start
        values.append(total - sum(byol.history_["seconds"]))
    return {
        "import of torch's compiler": compiler,
        "first": values[0],
        "later": statistics.median(values[1:]),
    }


def transform_ratios(n_rounds):
    """How many times as long transform takes as the encoder on ready tensors."""
    X = images(4096)
    byol = fit(X[:256])
    encoder = byol.encoder_
    device = next(encoder.parameters()).device
    ready = torch.from_numpy(X).permute(0, 3, 1, 2).float().div(255).to(device)
    ready = ready.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def forward(batches):
        return [encoder(batch).cpu() for batch in batches]

    return {
        "4,096 images": ratio(
            lambda: byol.transform(X), lambda: forward(ready.split(256)), n_rounds
        ),
        "one image": ratio(
            lambda: [byol.transform(X[i : i + 1]) for i in range(50)],
            lambda: forward(ready[:50].split(1)),
            n_rounds,
        ),
    }


def folded_ratios(n_rounds):
    """How many times as long the encoder takes as with its batch norm folded."""
    found = {}
    for encoder, side, n in (
        ("auto", 8, 2048),
        ("auto", 32, 512),
        ("auto", 64, 256),
        ("resnet18", 32, 64),
    ):
        X = images(n, side)
        byol = fit(X, encoder=encoder, max_epochs=0)
        network = byol.encoder_.network.eval()
        folded = fuse(network).to(memory_format=torch.channels_last)
        batch = torch.rand(n, *byol.image_shape_)
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            found[f"{encoder}, {side} px"] = ratio(
                partial(network, batch), partial(folded, batch), n_rounds
            )
    return found


def epochs_as_work_grows(n_rounds):
    """Seconds of an epoch for more images and more pixels, each over the first."""

    def seconds(n, side):
        byol = fit(images(n, side), encoder=small_encoder, max_epochs=n_rounds + 1)
        return statistics.median(byol.history_["seconds"][1:])

    base = seconds(1024, 32)
    return {
        "images x 4": seconds(4096, 32) / base,
        "images x 16": seconds(16_384, 32) / base,
        "pixels x 4": seconds(1024, 64) / base,
        "pixels x 16": seconds(1024, 128) / base,
    }


def small_encoder():
    """Build a network whose cost follows the pixels."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3)
    )


def grid_seconds(n_jobs):
    """Seconds of a grid of nine candidates and three folds."""
    X = images(600, 16)
    y = np.arange(600) % 10
    grid = {
        "byoltransformer__momentum": [0.9, 0.95, 0.99],
        "byoltransformer__lr": [1e-3, 3e-3, 1e-2],
    }
    pipe = make_pipeline(
        BYOLTransformer(max_epochs=5, random_state=0), LogisticRegression()
    )
    search = GridSearchCV(pipe, grid, cv=3, n_jobs=n_jobs, refit=False)
    return seconds_of(lambda: search.fit(X, y))


def main():
    """Run, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", help="beginnings of names of parts, with commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-images", type=int, default=81_380, help="1 GB")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    figures = {"where": describe(device, "scikit-learn", "skorch", "joblib")}
    parts = {
        "import, seconds": lambda: import_seconds(arguments.rounds),
        "start-up of fit, seconds": lambda: start_up(arguments.rounds),
        "transform, times the bare forward": lambda: transform_ratios(arguments.rounds),
        "forward, times one with folded batch norm": lambda: folded_ratios(
            arguments.rounds
        ),
        "epoch, times the first": lambda: epochs_as_work_grows(arguments.rounds),
        "memory of fit, times X": lambda: float(
            python(MEMORY, arguments.memory_images)
        ),
        "grid, seconds": lambda: {
            f"n_jobs={n_jobs}": grid_seconds(n_jobs) for n_jobs in (1, 2)
        },
    }
    wanted = list(parts)
    if arguments.parts is not None:
        wanted = [start.strip() for start in arguments.parts.split(",")]
    for start in wanted:
        if not start or not any(name.startswith(start) for name in parts):
            parser.error(f"No part begins with {start!r}, of {'; '.join(parts)}.")
    for name, part in parts.items():
        if not name.startswith(tuple(wanted)):
            continue
        figures[name] = part()
        print(name, figures[name], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
