"""How long a training takes to an accuracy: ours, that of before, and others'.

    python benchmarks/time_to_accuracy.py --data DIR --sets digits,cifar10 --out FILE

Held-out accuracy of a linear probe, with 10 labels a class (mean of five draws) and
with all of a pool, against seconds of training, on one machine in alternating turns.
`BYOLTransformer` has a schedule, so each of its budgets is a training of its own; the
others train on, and are looked at in between. Images that are scored on are training
images that nothing was trained on; test images are not read. Records are kept in
FILE.json, from which the figure and the table are made.
"""

import argparse
import json
import os
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import torch
from contenders import BYOL, BYOLTransform, Task, byol_pytorch, lightly
from image_sets import load_set
from machine import clock, describe
from matplotlib.ticker import LogLocator, NullFormatter
from probes import draw_labels, tuned_linear_accuracy
from quality_figure import panels
from supervised import supervised_accuracy
from torch import nn

from sklearn_byol import BYOLTransformer, RandomViews
from sklearn_byol.estimators._fitting import SMALLEST
from sklearn_byol.networks import _residual
from sklearn_byol.networks._byol import BYOLNetwork
from sklearn_byol.networks._image_encoder import TRUNK
from sklearn_byol.networks._readout import CellAverage, Readout
from sklearn_byol.networks._residual import NECK_CELLS, ResidualBlock, auto_readout
from sklearn_byol.training import _training

# Images that are trained on, and epochs: the small budget of quality.py.
SETS = {
    "digits": (None, 40),
    "fashion_mnist": (10_000, 30),
    "cifar10": (20_000, 20),
    "tiny10": (10_000, 20),
    "hand_signs64": (None, 60),
    "steel64": (None, 60),
}
WITHOUT_TEST = ("digits", "hand_signs64", "steel64")  # load_set holds some out
SHARES = (0.1, 0.3, 1.0)  # of the epochs of the budget
WHOLE = (1.0,)  # that of before is looked at in the end
LOOKS = (1, 2, 4, 6.5)  # at others, in seconds of our first share
N_HELD_OUT, N_POOL, N_FEW, N_DRAWS = 2000, 3000, 10, 5
BATCH_SIZE, N_AT_ONCE = 256, 500  # images: of others, and that they represent at a time
N_STEPS = 10  # of others, between two looks at the clock
OURS, BEFORE, LABELS = "sklearn_byol", "former defaults", "labels only"


# Contenders: each yields seconds of training so far, and accuracy with few and with all
# labels.


def train_ours(
    images, n_epochs, seconds, seed, *, shares=SHARES, before=False, **given
):
    """Train `BYOLTransformer` for each share of the epochs."""
    for share in shares:
        epochs = max(1, round(share * n_epochs))
        byol = BYOLTransformer(max_epochs=epochs, random_state=seed, **given)
        with former_defaults(byol, images[0]) if before else nullcontext():
            start = clock()
            byol.fit(images[0])
        passed = clock() - start
        yield passed, *score(byol.transform, images, scales=before)


@contextmanager
def former_defaults(byol, X):
    """Give a transformer the former defaults: larger crops, views, and neck."""
    byol.set_params(hog=0, mirror=0, unit_variance=False)
    if min(X.shape[1:3]) < SMALLEST:
        yield
        return
    byol.set_params(views=RandomViews(size=1, crop_scale=(0.2, 1)))

    def build(encoder, representation_dim, hidden_dim, projection_dim, **options):
        n_maps = encoder.network.n_maps
        block = ResidualBlock(n_maps, 2 * n_maps, stride=2)
        _residual._draw_weights(block)
        neck = nn.Sequential(block, CellAverage(NECK_CELLS), nn.Flatten())
        dims = 2 * n_maps * NECK_CELLS**2, hidden_dim, projection_dim
        return BYOLNetwork(encoder.take(TRUNK), *dims, neck, **options)

    with mock.patch.object(_training, "build_byol_network", build):
        yield


def train_others(make, encoder, images, n_epochs, seconds, seed):
    """Train another library's parts, and look at them when so many seconds are over."""
    has_bfloat16 = torch.cpu._is_avx512_bf16_supported()
    precision = "bfloat16" if has_bfloat16 else "float32"
    torch.manual_seed(seed)
    X, *_ = images = as_bytes(images)
    batch_size = min(BATCH_SIZE, len(X) // 2)
    task = Task(X, encoder, batch_size, N_STEPS, torch.device("cpu"), precision)
    train, passed = make(task), 0.0
    for wanted in seconds:
        if passed >= wanted:
            continue
        train.network.train()
        start = clock() - passed
        while passed < wanted:
            train()
            passed = clock() - start
        yield passed, *score(partial(represent, train, task), images, scales=True)


def as_bytes(images):
    """Return images as bytes, which others take."""
    X, y, held_out, y_held_out = images
    if X.dtype == np.uint8:
        return images
    X, held_out = ((part * (255 / X.max())).astype(np.uint8) for part in (X, held_out))
    return X, y, held_out, y_held_out


@torch.inference_mode()
def represent(train, task, X):
    """Represent images by what another library has trained; "auto" as we read it."""
    network = train.network.eval()
    images = torch.from_numpy(X)
    images = images[:, None] if X.ndim == 3 else images.movedim(-1, 1)
    images = images.float().div(255)
    mean, std = (torch.tensor(part).reshape(1, -1, 1, 1) for part in train.statistics)
    images = (images - mean) / std  # gray ones go into three channels where there are
    if task.encoder == "auto":
        trunk = network[0] if len(network) > 2 else network[:-1]
        is_small = min(task.image_shape[1:]) < SMALLEST
        readout = nn.Identity() if is_small else Readout(auto_readout(task.image_shape))
        network = nn.Sequential(trunk, readout)
    return torch.cat([network(part) for part in images.split(N_AT_ONCE)]).numpy()


def train_on_labels(images, n_epochs, seconds, seed):
    """Train the encoder of "auto" on labels alone: on few, and on all of the pool."""
    X, y, held_out, y_held_out = images
    X, y = X[:N_POOL], y[:N_POOL]
    few = draw_labels(y, n_few(y), N_DRAWS)
    for place, draws in enumerate((few, [np.arange(len(y))])):
        start = clock()
        found = [
            supervised_accuracy(X[d], y[d], held_out, y_held_out, n_epochs, seed)
            for d in draws
        ]
        accuracies = [None, None]
        accuracies[place] = float(np.mean(found))
        yield (clock() - start) / len(draws), *accuracies


CONTENDERS = {
    OURS: train_ours,
    "sklearn_byol without HOG": partial(train_ours, shares=WHOLE, hog=0),
    BEFORE: partial(train_ours, shares=WHOLE, before=True),
    LABELS: train_on_labels,
}
if BYOLTransform:
    own = partial(lightly, n_workers=0)  # one process, as all have
    CONTENDERS["lightly"] = partial(train_others, own, "auto")
    CONTENDERS["lightly with ResNet-18"] = partial(train_others, own, "resnet18")
if BYOL:
    CONTENDERS["byol-pytorch"] = partial(train_others, byol_pytorch, "auto")


# Images and scores.


def load(name, data, n_images):
    """Return images to train on, with labels for a pool of them, and held-out ones."""
    if name in WITHOUT_TEST:
        (X, y), held_out = (load_set(name, part, data) for part in ("train", "test"))
        return X[:n_images], y[:n_images], *held_out
    X, y = load_set(name, "train", data, n_images + N_HELD_OUT)
    return X[N_HELD_OUT:], y[N_HELD_OUT:], X[:N_HELD_OUT], y[:N_HELD_OUT]


def n_few(y):
    """Return how many labels a class are few: 10, or what there is."""
    return min(N_FEW, int(np.unique(y, return_counts=True)[1].min()))


def score(encode, images, *, scales):
    """Accuracy of a linear probe with few labels, and with all of the pool."""
    X, y, held_out, y_held_out = images
    rows, rows_held_out = encode(X[:N_POOL]), encode(held_out)
    y = y[:N_POOL]
    found = [
        tuned_linear_accuracy(rows[d], y[d], rows_held_out, y_held_out, scales=scales)
        for d in [*draw_labels(y, n_few(y), N_DRAWS), np.arange(len(y))]
    ]
    return float(np.mean(found[:-1])), found[-1]


def measure(name, arguments):
    """Yield a record of each look at a contender; they take turns."""
    n_images, n_epochs = SETS[name]
    images = load(name, arguments.data, arguments.images or n_images)
    n_epochs = max(1, round(n_epochs * arguments.scale))
    ours = train_ours(images, n_epochs, None, arguments.seed)
    first = next(ours)
    yield record_of(name, OURS, first)
    seconds = [first[0] * times for times in LOOKS]
    turns = {OURS: ours} | {
        other: CONTENDERS[other](images, n_epochs, seconds, arguments.seed)
        for other in arguments.contenders.split(",")
        if other != OURS
    }
    while turns:
        for contender, looks in list(turns.items()):
            found = next(looks, None)
            if found is None:
                del turns[contender]
            else:
                yield record_of(name, contender, found)


def record_of(name, contender, found):
    """Name what was found at a look."""
    named = dict(zip(("seconds", "few", "all"), found, strict=True))
    return {"set": name, "contender": contender, **named}


# Table and figure.


def seconds_to(records, accuracy, labels):
    """Return when an accuracy is reached, on a line between looks; None if never."""
    points = [(r["seconds"], r[labels]) for r in records if r[labels] is not None]
    for place, (seconds, found) in enumerate(sorted(points)):
        if found >= accuracy:
            if not place:
                return seconds
            before, lower = sorted(points)[place - 1]
            return before + (seconds - before) * (accuracy - lower) / (found - lower)
    return None


def print_table(records):
    """Print how many times as long others take to the accuracy of our shares."""
    for name in dict.fromkeys(record["set"] for record in records):
        by = {}
        for record in records:
            if record["set"] == name:
                by.setdefault(record["contender"], []).append(record)
        for labels in ("few", "all"):
            print(f"{name}, {labels} labels")
            ours = sorted(by[OURS], key=lambda record: record["seconds"])
            for mine in ours:
                times = [
                    f"{other} {_times(theirs, mine, labels)}"
                    for other, theirs in by.items()
                    if other != OURS
                ]
                print(f"  {mine[labels]:.3f} after {mine['seconds']:.0f} s: {times}")
            if BEFORE in by:
                last = max(by[BEFORE], key=lambda record: record["seconds"])
                reached = seconds_to(ours, last[labels], labels)
                share = (
                    "more than all" if reached is None else reached / last["seconds"]
                )
                share = share if isinstance(share, str) else f"{share:.2f}"
                print(f"  the last accuracy of before, {last[labels]:.3f}, in {share}")


def _times(theirs, mine, labels):
    """Say how many times as long others take, or longer than how many."""
    reached = seconds_to(theirs, mine[labels], labels)
    if reached is not None:
        return f"{reached / mine['seconds']:.1f}"
    longest = max(record["seconds"] for record in theirs)
    best = max(record[labels] or 0 for record in theirs)
    return f"> {longest / mine['seconds']:.1f} ({best:.3f})"


def draw_figure(records, path):
    """Draw accuracy against seconds, a panel for each set and number of labels."""
    names, contenders = (
        list(dict.fromkeys(record[name] for record in records))
        for name in ("set", "contender")
    )
    figure, columns = panels(len(names), 2)
    for column, name in zip(columns, names, strict=True):
        for panel, labels in zip(column, ("few", "all"), strict=True):
            for number, contender in enumerate(contenders):
                points = sorted(
                    (record["seconds"], record[labels])
                    for record in records
                    if (record["set"], record["contender"]) == (name, contender)
                    and record[labels] is not None
                )
                if points:
                    x, y = zip(*points, strict=True)
                    panel.plot(x, y, "o-", color=f"C{number}", label=contender)
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.set_title(f"{name}, {'10 per class' if labels == 'few' else 'all'}")
            panel.grid(alpha=0.3)
            panel.set_xlabel("seconds of training")
            panel.set_ylabel("held-out accuracy")
    lines = {line.get_label(): line for a in columns.ravel() for line in a.get_lines()}
    figure.legend(lines.values(), lines, ncols=3, loc="lower center")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main():
    """Go through the sets; keep what is measured as soon as it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the real sets")
    parser.add_argument("--sets", default="digits")
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--scale", type=float, default=1.0, help="of the epochs")
    parser.add_argument("--images", type=int, help="to train on at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path("time_to_accuracy"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    file = arguments.out.with_suffix(".json")
    records = json.loads(file.read_text()) if file.exists() else []
    where = describe("cpu", "lightly", "byol-pytorch", "scikit-learn")
    for name in arguments.sets.split(","):
        if any(record["set"] == name for record in records):
            continue
        for record in measure(name, arguments):
            print(record, flush=True)
            records.append(record | {"seed": arguments.seed, "where": where})
            file.write_text(json.dumps(records, indent=1))
    print_table(records)
    draw_figure(records, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
