"""Many changes from the defaults on six image sets, side by side on one GPU.

    python benchmarks/grid.py --data DIR --out DIR --minutes 3.3 --workers 8

Trains each change of `CHANGES` on each set, scores on held-out training images, and
appends one line of JSON a training to OUT/grid.jsonl; stops when time is over. Test
images are not read. `--report FILE` makes a table of such lines. Steps are recorded as
CUDA graphs, as the encoder is always "auto", which is built with other dimensions here.
"""

import argparse
import io
import itertools
import json
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from image_sets import load_set
from PIL import Image
from probes import draw_labels
from study import changed_network
from torch import multiprocessing, nn
from torch.utils.flop_counter import FlopCounterMode

from sklearn_byol import BYOLTransformer, RandomViews
from sklearn_byol.networks import _byol, _encoders, _residual
from sklearn_byol.networks._image_encoder import TRUNK
from sklearn_byol.networks._readout import CellAverage, average_in_order
from sklearn_byol.training import _training
from sklearn_byol.training._optimizers import auto_lr
from sklearn_byol.training._plan import count_batches
from sklearn_byol.views import _geometry

N_IMAGES, N_DRAWS, N_NEIGHBORS = 5000, 10, 20
FEW_STEPS, MANY_STEPS = 200, 100  # of the regression
GRIDS = (1, 2, 3, 4, 5, 6)
FEW_C, MANY_C = (0.01, 0.1, 1.0, 10.0), (1e-3, 1e-2, 1e-1)  # of the scaling experiment

# Epochs, and images that are held out.
SETS = {
    "hand_signs64": (60, None),
    "cifar10": (16, 2000),
    "fashion_mnist": (16, 2000),
    "steel64": (60, 400),
    "tiny10": (16, 2000),
    "digits": (60, 400),
}
RGB, GRAY = ("cifar10", "tiny10", "hand_signs64"), ("fashion_mnist", "steel64")
LARGE = (*RGB, *GRAY)

# `network` goes to the encoder, `neck` and `readout` to what the projector sees,
# `views` to RandomViews, `batch`, `lr` (a factor) and `momentum` to BYOL; `sets` are
# those on which a change is one. In order of what they may tell. grid.jsonl has changes
# from former defaults: crops from a fifth of the area, views of the image's own size,
# and a neck of twice the width.
NO_FLIPS = {"horizontal_flip": 0}
FULL = {"size": 1}
FINE = {"stem_stride": None}  # half that of "auto": 2 at 64 pixels, 1 at 32 and 28
SKETCH = {"n_stages": 4, "width": 32} | FINE
PLAIN = SKETCH | {"has_neck": False}
NO_NECK = {"has_neck": False}
CHANGES = {
    "defaults": {},
    "crops_fifth": {"views": {"crop_scale": (0.2, 1)}, "sets": LARGE},
    "no_flips": {"views": NO_FLIPS, "sets": RGB},
    "full_views": {"views": FULL, "sets": LARGE},
    "neck_double": {"neck": "double", "sets": LARGE},
    "former": {
        "views": FULL | {"crop_scale": (0.2, 1)},
        "neck": "double",
        "sets": LARGE,
    },
    "half_views": {"views": {"size": 0.5}, "sets": LARGE},
    "neck_half": {"neck": "half", "sets": LARGE},
    "no_neck": {"network": NO_NECK, "sets": LARGE},
    "no_neck_6x6": {"network": NO_NECK, "readout": 6, "sets": LARGE},
    "fine_stem": {"network": FINE, "sets": LARGE},
    "three_stages": {"network": {"n_stages": 3}, "sets": LARGE},
    "sketch": {"network": PLAIN, "readout": 3, "sets": LARGE},
    "sketch_neck": {"network": SKETCH | {"has_neck": True}, "sets": LARGE},
    "batch_64": {"batch": 64},
    "mild_colour": {
        "views": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05}
    },
    "neck_conv": {"neck": "conv", "sets": LARGE},
    "width_64": {"network": {"width": 64}},
    "momentum_0.97": {"momentum": 0.97},
    "momentum_0.9": {"momentum": 0.9},
    "lr_triple": {"lr": 3},
    "lr_third": {"lr": 1 / 3},
    "batch_256": {"batch": 256},
    "other_law_rgb": {"views": {"preset": "gray"}, "sets": RGB},
    "other_law_gray": {"views": {"preset": "natural"}, "sets": GRAY},
    "width_48": {"network": {"width": 48}, "sets": ("digits",)},
    "width_32": {"network": {"width": 32}, "sets": LARGE},
}
EXPECTED = 25.0  # seconds of a job
NOW = {"change": {}}  # what this process is about


# What is trained: the library's own code, with these in place of functions of its own.


def change_now():
    """Return the change that this process is about."""
    return NOW["change"]


def view_side(side):
    """Return the side of views of images of a side."""
    share = change_now().get("views", {}).get("size", 0.75 if side >= 16 else 1)
    return _geometry.view_size((side, side), share)[0]


def chosen_network(shape):
    """Return what the change says of the network, and the stride of its stem."""
    auto, change = _residual.auto_encoder(shape), change_now().get("network", {})
    has_pool = isinstance(auto.stem[3], nn.MaxPool2d)
    stride = auto.stem[0].stride[0] * (1 + has_pool)
    if change.get("stem_stride", stride) is None:
        stride //= 2
    return {**change, "stem_stride": stride}, len(auto.stages)


def chosen_encoder(shape):
    """Build the network of "auto" with what the change says."""
    return changed_network(shape, **chosen_network(shape)[0])


def chosen_readout(shape):
    """Choose the grid of "auto", or that of the change, or what the map has."""
    network, n_stages = chosen_network(shape)
    n_halvings = network["stem_stride"] // 2 + network.get("n_stages", n_stages) - 1
    map_side = -(-view_side(min(shape[1:])) // 2**n_halvings)
    return min(change_now().get("readout", _residual.auto_readout(shape)), map_side)


def build_neck(kind, n_maps):
    """Build a cheaper neck; also return how many maps it ends in."""
    n_outputs = {"double": 2 * n_maps, "half": n_maps // 2, "conv": n_maps}[kind]
    block = _residual.ResidualBlock(n_maps, n_outputs, stride=2)
    if kind == "conv":
        block = nn.Sequential(block.conv1, block.norm1, nn.ReLU(inplace=True))
    _residual._draw_weights(block)
    cells = CellAverage(_residual.NECK_CELLS)
    return nn.Sequential(block, cells, nn.Flatten()), n_outputs


def chosen_byol(encoder, representation_dim, hidden_dim, projection_dim, **options):
    """Put heads around an encoder, behind the neck that the change says."""
    kind, network = change_now().get("neck"), encoder.get_submodule("network")
    if kind is None or not network.has_neck:
        dims = representation_dim, hidden_dim, projection_dim
        return ORIGINAL_BYOL(encoder, *dims, **options)
    trunk = encoder.take(TRUNK)
    neck, n_outputs = build_neck(kind, network.n_maps)
    n_inputs = n_outputs * _residual.NECK_CELLS**2
    dims = n_inputs, hidden_dim, projection_dim
    return _byol.BYOLNetwork(trunk, *dims, neck, **options)


ORIGINAL_BYOL = _byol.build_byol_network


def install():
    """Let the library build and draw what the change of this process says."""
    _encoders.auto_encoder = chosen_encoder
    _encoders.auto_readout = chosen_readout
    _training.build_byol_network = chosen_byol


def train(X, change, epochs, seed, device):
    """Train with one change from the defaults; the encoder is always "auto"."""
    batch, given = change.get("batch", 128), {}
    if "views" in change:
        kept = change["views"].items()
        if X.ndim == 3:
            kept = [(k, v) for k, v in kept if k not in ("saturation", "hue")]
        given["views"] = RandomViews(**dict(kept))
    if "lr" in change:
        n_together = len(X) / count_batches(len(X), batch)
        given["lr"] = change["lr"] * auto_lr("adamw", n_together)
    if "momentum" in change:
        given["momentum"] = change["momentum"]
    byol = BYOLTransformer(
        batch_size=batch,
        max_epochs=epochs,
        random_state=seed,
        device=device,
        verbose=0,
        **given,
    )
    return byol.fit(X)


# Images: those that are held out come first.


def load(name, data, n_images):
    """Return images, labels and how many of the first are held out."""
    n_held_out = SETS[name][1]
    if name in ("hand_signs64", "steel64"):
        with np.load(Path(data) / f"{name}.npz") as pack:
            X, y = pack["X_train"], pack["y_train"].astype(int)
            order, n_held_out = _held_out_first(pack, n_held_out, len(y))
        X, y = X[order], y[order]
    elif name != "digits" and (Path(data) / f"{name}_cut.npz").exists():
        X, y = _load_cut(Path(data) / f"{name}_cut.npz")
    else:
        X, y = load_set(name, "train", data, N_IMAGES)
    y = np.unique(y, return_inverse=True)[1]
    if n_images is not None and n_images < len(y):
        n_held_out = n_images // 3
        X, y = X[:n_images], y[:n_images]
    return X, y, n_held_out


def _held_out_first(pack, n_held_out, n):
    """Put blocks of image numbers first where there are numbers, else any images."""
    if "image_number_train" not in pack:
        return np.random.default_rng(0).permutation(n), n_held_out
    blocks = np.array_split(np.argsort(pack["image_number_train"]), 10)
    chosen = [blocks.pop(i) for i in (8, 5, 2)]
    rng = np.random.default_rng(0)
    parts = [rng.permutation(np.concatenate(part)) for part in (chosen, blocks)]
    return np.concatenate(parts), len(parts[0])


def _load_cut(path):
    """Read a cut of a set, in its own order."""
    with np.load(path) as pack:
        if "X_train" in pack:
            return pack["X_train"], pack["y_train"].astype(int)
        raw, ends = pack["bytes_train"].tobytes(), pack["offsets_train"]
        y = pack["y_train"].astype(int)
    pictures = [_decode(raw[a:b]) for a, b in itertools.pairwise(ends)]
    return np.stack(pictures), y


def _decode(file):
    """Decode one JPEG file."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


# Scores: multinomial logistic regression as scikit-learn's, many at once.


def fit_softmax(X, y, n_classes, C, n_steps):
    """Minimise scikit-learn's objective on centred X (b, n, d), y (b, n), C (b,).

    Steps go by Boehning's bound on the curvature, half the covariance, and are
    accelerated; the device is never waited for. Returns weights and intercepts.
    """
    b, n, d = X.shape
    Y = F.one_hot(y, n_classes).to(X.dtype)
    decay = (1 / (C * n)).to(X.dtype)[:, None, None]
    eye = torch.eye(d, dtype=X.dtype, device=X.device)
    bound = X.mT @ X / (2 * n) + decay * eye
    root = torch.linalg.cholesky_ex(bound)[0]
    root = torch.linalg.solve_triangular(root, eye.expand_as(root), upper=False)
    inverse = root.mT @ root
    W = V = X.new_zeros(b, d, n_classes)
    c = v = X.new_zeros(b, 1, n_classes)
    t = X.new_ones(b, 1, 1)
    for _ in range(n_steps):
        R = (torch.softmax(X @ V + v, dim=2) - Y) / n
        G = X.mT @ R + decay * V
        W_new, c_new = V - inverse @ G, v - 2 * R.sum(dim=1, keepdim=True)
        is_uphill = (G * (W_new - W)).sum(dim=(1, 2), keepdim=True) > 0
        t = torch.where(is_uphill, 1.0, t)
        t_new = (1 + (1 + 4 * t * t).sqrt()) / 2
        beta = (t - 1) / t_new
        V, v = W_new + beta * (W_new - W), c_new + beta * (c_new - c)
        W, c, t = W_new, c_new, t_new
    return W, c


def few_accuracies(rows, y, held_out, y_held_out, draws, stds, Cs):
    """Mean accuracy over draws of labelled rows, for each C; float64 rows.

    Columns are divided by `stds`, or by those of the rows drawn, where None.
    """
    drawn = torch.as_tensor(np.stack(draws), device=rows.device)
    X, labels = rows[drawn], y[drawn]
    means = X.mean(dim=1, keepdim=True)
    if stds is None:
        stds = X.std(dim=1, keepdim=True, unbiased=False)
        stds = torch.where(stds > 1e-9, stds, 1.0)
    A = (X - means) / stds
    # There are fewer rows than columns: coordinates of their span lose nothing.
    K = A @ A.mT
    jitter = 1e-9 * K.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None] + 1e-12
    L = torch.linalg.cholesky_ex(K + jitter * torch.eye(K.shape[1]).to(K))[0]
    V = A / stds
    H = held_out @ V.mT - (means @ V.mT)
    H = torch.linalg.solve_triangular(L, H.mT, upper=False).mT
    n_draws, n_C = len(draws), len(Cs)
    C = torch.tensor(Cs, device=rows.device).repeat_interleave(n_draws)
    n_classes = int(y.max()) + 1
    W, c = fit_softmax(
        L.repeat(n_C, 1, 1), labels.repeat(n_C, 1), n_classes, C, FEW_STEPS
    )
    hits = [
        ((H @ W[i : i + n_draws] + c[i : i + n_draws]).argmax(dim=2) == y_held_out)
        for i in range(0, n_C * n_draws, n_draws)
    ]
    return [round(float(hit.double().mean()), 4) for hit in hits]


def many_accuracies(rows, y, held_out, y_held_out, stds, Cs):
    """Accuracy with all labelled rows for each C."""
    if len(rows) < rows.shape[1]:
        every = [np.arange(len(rows))]
        return few_accuracies(rows, y, held_out, y_held_out, every, stds, Cs)
    means = rows.mean(dim=0)
    if stds is None:
        stds = rows.std(dim=0, unbiased=False)
        stds = torch.where(stds > 1e-9, stds, 1.0)
    X, H = (rows - means) / stds, (held_out - means) / stds
    answers = []
    for C in Cs:
        one = torch.tensor([C], device=rows.device)
        W, c = fit_softmax(X[None], y[None], int(y.max()) + 1, one, MANY_STEPS)
        hits = (H @ W[0] + c[0]).argmax(dim=1) == y_held_out
        answers.append(round(float(hits.double().mean()), 4))
    return answers


def knn(rows, y, held_out, y_held_out):
    """Accuracy of a vote of the nearest by cosine."""
    near = F.normalize(held_out, dim=1) @ F.normalize(rows, dim=1).mT
    k = min(N_NEIGHBORS, len(rows))
    votes = F.one_hot(y[near.topk(k, dim=1).indices], int(y.max()) + 1).sum(dim=1)
    return round(float((votes.argmax(dim=1) == y_held_out).double().mean()), 4)


@torch.no_grad()
def feature_maps(byol, X):
    """Return the last feature maps of images, in float32, on the device."""
    device = next(byol.encoder_.parameters()).device
    trunk = byol.encoder_.take(TRUNK).eval()
    parts = [
        trunk(byol.read_images(X[i : i + 500]).to(device))
        for i in range(0, len(X), 500)
    ]
    return torch.cat(parts).float()


def scores(byol, X, y, n_held_out):
    """Score the encoder on several grids; scalings on the grid of the defaults."""
    maps = feature_maps(byol, X)
    side = min(maps.shape[2:])
    grids = [n for n in GRIDS if n <= side]
    default = min(_residual.auto_readout(byol.image_shape_), side)
    labels = torch.as_tensor(y, device=maps.device)
    answers = {"map": side, "default": default, "grids": {}}
    for n_cells in grids:
        rows = average_in_order(maps, n_cells).flatten(1).double()
        parts = rows[n_held_out:], labels[n_held_out:], rows[:n_held_out]
        parts = (*parts, labels[:n_held_out])
        draws = label_draws(y[n_held_out:], 10)
        few = few_accuracies(*parts, draws, None, [1.0])[0]
        many = many_accuracies(*parts, None, [1e-2])[0]
        answers["grids"][f"{n_cells}x{n_cells}"] = [few, many]
        if n_cells == default:
            n_labels = (1, 5, 10) if min(X.shape[1:3]) < 16 else (10,)
            answers["scalings"] = scalings(rows, parts, y[n_held_out:], n_labels)
    return answers


def label_draws(y, n_a_class):
    """Draw labels, fewer where a class has fewer."""
    least = np.unique(y, return_counts=True)[1].min()
    return draw_labels(y, min(n_a_class, int(least)), N_DRAWS)


def scalings(rows, parts, y, n_labels):
    """Score ways of scaling columns: for each, by number of labels and C, and kNN."""
    stds = rows.std(dim=0, unbiased=False)
    one = stds.square().mean().sqrt().expand_as(stds)
    every = torch.where(stds > 1e-9, stds, 1.0)
    answers = {"C": {"few": FEW_C, "all": MANY_C}}
    for name, chosen in {"labelled": None, "every": every, "one": one}.items():
        answers[name] = {
            str(n): few_accuracies(*parts, label_draws(y, n), chosen, FEW_C)
            for n in n_labels
        }
        answers[name]["all"] = many_accuracies(*parts, chosen, MANY_C)
    mean = rows.mean(dim=0)
    train, y_train, held_out, y_held_out = parts
    answers["knn"] = knn(train, y_train, held_out, y_held_out)
    answers["knn_centred"] = knn(train - mean, y_train, held_out - mean, y_held_out)
    scaled = [(part - mean) / every for part in (train, held_out)]
    answers["knn_every"] = knn(scaled[0], y_train, scaled[1], y_held_out)
    return answers


def count_flops(shape):
    """Count operations of one forward: of the encoder, and of one view in training."""
    n = shape[0]
    made = _encoders.EncoderSpecification("auto", shape, [0.5] * n, [0.2] * n)
    encoder = made.build().eval()
    n_dims = _encoders.representation_dim(encoder, shape)
    defaults = BYOLTransformer()
    byol = chosen_byol(encoder, n_dims, defaults.hidden_dim, defaults.projection_dim)
    view = torch.zeros(1, n, *map(view_side, shape[1:]))
    with FlopCounterMode(display=False) as whole, torch.no_grad():
        encoder(torch.zeros(1, *shape))
    with FlopCounterMode(display=False) as trained, torch.no_grad():
        byol.eval().projector(byol.encoder(view))
    return whole.get_total_flops(), trained.get_total_flops()


# Jobs and workers.


def list_jobs(names, changes, seeds):
    """List (set, change, seed) where a change is one."""
    return [
        (name, change, seed)
        for seed in seeds
        for change in changes
        for name in names
        if name in CHANGES[change].get("sets", SETS)
    ]


def begin(options):
    """Be a worker: read the sets once, and share the GPU's memory."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    install()
    NOW["options"] = options
    NOW["sets"] = {n: load(n, options.data, options.n_images) for n in options.names}
    if options.device == "cuda":
        torch.cuda.set_per_process_memory_fraction(0.9 / options.workers)


def do_job(job):
    """Train and score, unless time is over; return a record, also of an error."""
    name, change, seed = job
    about = {"set": name, "change": change, "seed": seed}
    if time.time() > NOW["options"].deadline - EXPECTED:
        return about | {"error": "no time is left"}
    NOW["change"] = CHANGES[change]
    try:
        return about | run_job(name, seed)
    except Exception as error:  # noqa: BLE001 - the other jobs are worth their time
        trace = traceback.format_exc()[-1500:]
        return about | {"error": f"{type(error).__name__}: {error}", "trace": trace}
    finally:
        NOW["change"] = {}


def run_job(name, seed):
    """Train by the change that is set, and score."""
    (X, y, n_held_out), options = NOW["sets"][name], NOW["options"]
    epochs = 1 if options.tiny else max(1, round(SETS[name][0] * options.epochs_factor))
    start = time.perf_counter()
    byol = train(X, NOW["change"], epochs, seed, options.device)
    seconds = time.perf_counter() - start
    answers = scores(byol, X, y, n_held_out)
    flops = dict(
        zip(("flops", "flops_view"), count_flops(byol.image_shape_), strict=True)
    )
    return {
        "images": len(X),
        "shape": byol.image_shape_,
        "epochs": byol.n_iter_,
        "seconds": round(seconds, 2),
        "scoring": round(time.perf_counter() - start - seconds, 2),
        "loss": round(byol.history_["loss"][-1], 4),
        "spread": round(byol.history_["spread"][-1], 3),
        "torch": torch.__version__,
        **answers,
        **flops,
    }


def run(options):
    """Let workers do all jobs until time is over; write a line for each."""
    jobs = list_jobs(options.names, options.chosen, options.seeds)
    n_done, path = 0, options.out / "grid.jsonl"
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.workers, begin, [options]) as pool:
        records = pool.imap_unordered(do_job, jobs)
        for _ in jobs:
            try:
                record = records.next(max(0, options.deadline - time.time()))
            except multiprocessing.TimeoutError:
                break
            n_done += "error" not in record
            with path.open("a") as file:
                file.write(json.dumps(record) + "\n")
    print(f"{n_done} of {len(jobs)} jobs", flush=True)


# The table.


def summary(row):
    """Accuracy with 10 labels a class and with all, on the grid of the defaults."""
    grid = row["grids"][f"{row['default']}x{row['default']}"]
    return np.array([*grid, row["seconds"], row["flops_view"] or np.nan])


def differences(rows):
    """Map (change, set) to differences from the defaults, one a seed, and ratios."""
    by = {(r["change"], r["set"], r["seed"]): summary(r) for r in rows if "grids" in r}
    answers = {}
    for (change, name, seed), row in by.items():
        base = by.get(("defaults", name, seed))
        if base is not None:
            pair = np.concatenate([row[:2] - base[:2], row[2:] / base[2:]])
            answers.setdefault((change, name), []).append(pair)
    return answers


def report(path):
    """Print differences from the defaults of the same seed, in points, as a table."""
    rows = [json.loads(line) for line in Path(path).read_text().splitlines() if line]
    by, names = differences(rows), list(SETS)
    print("Points from the defaults: 10 labels a class / all (number of seeds)")
    heads = [*names, "worst set", "seconds", "flops"]
    print(" | ".join([f"{'change':25}", *(f"{head:>14}" for head in heads)]))
    absolute = [
        (name, [summary(r)[:2] for r in rows if r.get("change") == "defaults"
                and "grids" in r and r["set"] == name])
        for name in names
    ]  # fmt: skip
    cells = [
        f"{np.mean(v, 0)[0]:.3f}/{np.mean(v, 0)[1]:.3f} ({len(v)})" if v else ""
        for _, v in absolute
    ]
    print(" | ".join([f"{'defaults, accuracy':25}", *(f"{c:>14}" for c in cells)]))
    for change in dict.fromkeys(change for change, _ in by):
        found = {n: by[change, n] for n in names if (change, n) in by}
        if found and change != "defaults":
            print(" | ".join([f"{change:25}", *(f"{c:>14}" for c in _line(found))]))
    print(f"{sum('error' in row for row in rows)} errors")
    report_readouts([row for row in rows if "grids" in row])


def report_readouts(rows):
    """Print, set by set, what grids and scalings of all trainings score on average."""
    for name in SETS:
        mine = [row for row in rows if row["set"] == name and row["map"] >= 4]
        for grid in sorted({g for row in mine for g in row["grids"]}):
            found = [row for row in mine if grid in row["grids"]]
            base = [r["grids"][f"{r['default']}x{r['default']}"] for r in found]
            values = [r["grids"][grid] for r in found]
            few, many = 100 * np.subtract(values, base).mean(axis=0)
            print(f"{name:14} {grid}: {few:+.1f}/{many:+.1f} ({len(found)})")
        mine = [row["scalings"] for row in rows if row["set"] == name]
        for way in ("labelled", "every", "one") if mine else ():
            means = {n: np.mean([m[way][n] for m in mine], 0) for n in mine[0][way]}
            texts = [
                f"{n}: {' '.join(f'{v:.3f}' for v in m)}" for n, m in means.items()
            ]
            print(f"{name:14} {way:8} by C, labels a class {'; '.join(texts)}")
        for way in ("knn", "knn_centred", "knn_every") if mine else ():
            print(f"{name:14} {way}: {np.mean([m[way] for m in mine]):.3f}")


def _line(found):
    """Write the cells of a change."""
    means = {n: np.mean(v, axis=0) for n, v in found.items()}
    cells = [
        f"{100 * means[n][0]:+.1f}/{100 * means[n][1]:+.1f} ({len(found[n])})"
        if n in means
        else ""
        for n in SETS
    ]
    worst = min(100 * mean[:2].mean() for mean in means.values())
    ratios = np.exp(np.mean([np.log(m[2:]) for m in means.values()], axis=0))
    return [*cells, f"{worst:+.1f}", f"{ratios[0]:.2f}", f"{ratios[1]:.2f}"]


def main():
    """Read the arguments; train, or report."""
    began = time.time()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--epochs-factor", type=float, default=1.0)
    parser.add_argument("--only", help="sets, by comma")
    parser.add_argument("--changes", help="names, by comma")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--report")
    options = parser.parse_args()
    if options.report:
        report(options.report)
        return
    names = options.only or ("cifar10,steel64" if options.tiny else ",".join(SETS))
    options.names = names.split(",")
    options.chosen = options.changes.split(",") if options.changes else list(CHANGES)
    options.n_images = 64 if options.tiny else None
    options.workers = min(options.workers, 2) if options.tiny else options.workers
    options.seeds = list(map(int, options.seeds.split(",")))
    options.deadline = began + 60 * options.minutes
    options.out.mkdir(parents=True, exist_ok=True)
    run(options)


if __name__ == "__main__":
    main()
