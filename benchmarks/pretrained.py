"""BYOL from real pretrained weights, beside the same network frozen.

    python benchmarks/pretrained.py --data DIR --sets steel64 --out pretrained.json
    python benchmarks/pretrained.py --parts labels --data DIR --sets steel64
    python benchmarks/pretrained.py --parts speed
    python benchmarks/pretrained.py --report pretrained.json

Networks: EfficientNet-Lite0 and Lite1 (known_networks.py says what to install), and a
resnet18 that was trained on tiny10 by known_networks.py, for cifar10 and fashion_mnist.
Rows: what users have for nothing, the network frozen, BYOL from its weights, BYOL from
scratch for as many seconds, the labels alone, and BYOLClassifier from the weights.
Accuracy with 10 labels a class (five draws) and with all, on test images, or on
training images that are held out, by which settings are chosen. A line of JSON for each
row is written as it is done; what is there already is left out.
"""

import argparse
import json
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from image_sets import load_set
from known_networks import LITE, lite
from machine import describe
from methods import REPRESENTATIONS, keeps_variances
from probes import draw_labels, tuned_linear_accuracy
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion
from supervised import supervised_accuracy

from sklearn_byol import BYOLClassifier, BYOLTransformer

SETS = ("tiny10", "hand_signs64", "steel64", "cifar10", "fashion_mnist", "speckle")
WITHOUT_TEST = ("hand_signs64", "steel64")
N_DRAWS, N_LABELS = 5, 10
EPOCHS = (2, 8, 32)
MIDDLE = {"lite0": 11, "lite1": 16}  # blocks: up to the last of 112 maps
FIRST_EPOCHS = 10  # from scratch, by which users choose where to begin
HAND_MADE = ("raw pixels", "HOG + colours")
CLASSIFIERS = ("frozen probe", "tuned from weights", "tuned after BYOL from weights")
KEY = ("set", "network", "size", "row", "seed", "images")


def images_of(name, options):
    """Return images and labels to train on, and those to score on."""
    n, n_scored = options.images, options.scored
    if name in WITHOUT_TEST or not options.held_out:
        X, y = load_set(name, "train", options.data, n)
        return (X, y), load_set(name, "test", options.data, n_scored)
    X, y = load_set(name, "train", options.data, n + n_scored)
    return (X[:n], y[:n]), (X[n:], y[n:])


def start_of(network, options):
    """Return the parameters of BYOLTransformer that begin with a network's weights."""
    if network == "resnet18":
        return {"encoder": "resnet18", "weights": options.resnet, "readout": 1}
    encoder = lite(int(network[-1]))
    return {"encoder": encoder, "weights": "pretrained", "normalization": LITE}


def scores(rows, y, rows_test, y_test, *, scales=True):
    """Accuracy with ten labels a class, each draw, and with all."""
    score = partial(tuned_linear_accuracy, scales=scales)
    few = draw_labels(y, N_LABELS, N_DRAWS)
    return {
        "few": [score(rows[d], y[d], rows_test, y_test) for d in few],
        "all": score(rows, y, rows_test, y_test),
    }


def of_transformer(fitted, train, test):
    """Score the rows of a fitted transformer."""
    (X, y), (X_test, y_test) = train, test
    return scores(fitted.transform(X), y, fitted.transform(X_test), y_test)


def hand_made(name, train, test):
    """Score what needs no training."""
    (X, y), (X_test, y_test) = train, test
    rows, rows_test = REPRESENTATIONS[name](X, [X, X_test], 0, 0)
    scales = not keeps_variances(name, X)
    return scores(rows, y, rows_test, y_test, scales=scales)


def from_labels(train, test, fit):
    """Score what learns from labels itself, on the first draw and on all."""
    (X, y), (X_test, y_test) = train, test
    few = draw_labels(y, N_LABELS, 1)[0]
    return {
        "few": [fit(X[few], y[few], X_test, y_test)],
        "all": fit(X, y, X_test, y_test),
    }


class Rows:
    """The rows of one network on one set."""

    def __init__(self, name, network, size, options):
        self.train, self.test = images_of(name, options)
        self.given = start_of(network, options) | {"input_size": size}
        self.seeds, self.wanted = options.seeds, options.rows
        self.key = name, network, size
        self.lasted = 0.0  # seconds, of BYOL for as many epochs as the second number

    def works(self):
        """Yield name, seed and work of each row, in an order that each can be done."""
        for row in HAND_MADE:
            yield row, 0, partial(hand_made, row, self.train, self.test)
        yield "frozen", 0, partial(self.adapt, 0, 0)
        for seed in self.seeds:
            for n_epochs in EPOCHS:
                row = f"BYOL {n_epochs} epochs"
                yield row, seed, partial(self.adapt, n_epochs, seed)
        n_first = FIRST_EPOCHS
        yield f"BYOL from scratch {n_first} epochs", 0, partial(self.scratch, n_first)
        yield "BYOL from scratch as long", 0, self.scratch_as_long
        yield "labels only", 0, partial(from_labels, self.train, self.test, alone)
        yield "fine-tuned", 0, partial(from_labels, self.train, self.test, self.tuned)
        yield "frozen beside adapted", 0, self.beside
        if self.key[1] in MIDDLE:
            yield "middle beside last", 0, self.layers

    def records(self, done):
        """Yield a record of each row that is wanted and not done yet."""
        n_images = len(self.train[0])
        for row, seed, do in self.works():
            key = *self.key, row, seed, n_images
            if key in done and row == f"BYOL {EPOCHS[1]} epochs":
                self.lasted = done[key]
            elif row in self.wanted and key not in done:
                start = time.perf_counter()
                found = do()
                seconds = found.pop("seconds", time.perf_counter() - start)
                named = dict(zip(KEY, key, strict=True))
                yield named | {"seconds": round(seconds, 1)} | found

    def adapt(self, n_epochs, seed):
        """Train by BYOL from the weights, or take them as they are."""
        start = time.perf_counter()
        fitted = self.of(max_epochs=n_epochs, random_state=seed).fit(self.train[0])
        seconds = time.perf_counter() - start
        if n_epochs == EPOCHS[1]:
            self.lasted = seconds
        found = of_transformer(fitted, self.train, self.test)
        return found | {"seconds": seconds, "share": fitted.trained_share_}

    def scratch_as_long(self):
        """Train by BYOL from scratch for as many seconds as from the weights."""
        start = time.perf_counter()
        BYOLTransformer(max_epochs=1, random_state=0).fit(self.train[0])
        return self.scratch(round(self.lasted / (time.perf_counter() - start)))

    def scratch(self, n_epochs):
        """Train by BYOL with the defaults, from scratch."""
        start = time.perf_counter()
        fitted = BYOLTransformer(max_epochs=max(1, n_epochs), random_state=0)
        fitted.fit(self.train[0])
        seconds = time.perf_counter() - start
        found = of_transformer(fitted, self.train, self.test)
        return found | {"seconds": seconds, "epochs": fitted.n_iter_}

    def beside(self):
        """Put frozen and adapted representations side by side."""
        return self.joined([self.of(max_epochs=0), self.of(max_epochs=EPOCHS[1])])

    def layers(self):
        """Put means of a layer in the middle and of the last one side by side."""
        network = self.key[1]
        middle = lite(int(network[-1]), MIDDLE[network])
        return self.joined(
            [self.of(max_epochs=0), self.of(max_epochs=0, encoder=middle)]
        )

    def joined(self, parts):
        """Score representations side by side."""
        named = [(str(number), part) for number, part in enumerate(parts)]
        return of_transformer(
            FeatureUnion(named).fit(self.train[0]), self.train, self.test
        )

    def of(self, **parameters):
        """Return a transformer that begins with the weights."""
        return BYOLTransformer(**{"random_state": 0, **self.given, **parameters})

    def tuned(self, X, y, X_test, y_test):
        """Tune from the weights, with labels."""
        clf = BYOLClassifier(self.of(max_epochs=0), random_state=0)
        return clf.fit(X, y).score(X_test, y_test)


def alone(X, y, X_test, y_test):
    """Train the encoder of "auto" from scratch, with labels."""
    return supervised_accuracy(X, y, X_test, y_test, 1, 0)


def by_labels(name, network, size, options):
    """Yield accuracies of the ways to a classifier, for numbers of labels a class."""
    (X, y), (X_test, y_test) = images_of(name, options)
    given = start_of(network, options) | {"input_size": size, "random_state": 0}
    frozen = BYOLTransformer(**given, max_epochs=0).fit(X)
    adapted = BYOLTransformer(**given, max_epochs=EPOCHS[1]).fit(X)
    rows, rows_test = frozen.transform(X), frozen.transform(X_test)

    def tuned(byol, drawn, seed):
        clf = BYOLClassifier(FrozenEstimator(byol), random_state=seed)
        return clf.fit(X[drawn], y[drawn]).score(X_test, y_test)

    for n in options.labels:
        if n >= np.bincount(y).min():
            continue
        draws = draw_labels(y, n, options.draws)
        found = {
            CLASSIFIERS[0]: [
                tuned_linear_accuracy(rows[d], y[d], rows_test, y_test) for d in draws
            ],
            CLASSIFIERS[1]: [tuned(frozen, d, i) for i, d in enumerate(draws)],
            CLASSIFIERS[2]: [tuned(adapted, d, i) for i, d in enumerate(draws)],
        }
        for row, values in found.items():
            yield {
                "set": name,
                "network": network,
                "size": size,
                "row": row,
                "labels": n,
                "accuracy": values,
            }


def speed(options):
    """Compare transform by a frozen network with the bare forward pass of torch."""
    X = np.random.default_rng(0).integers(0, 256, (options.speed, 64, 64, 3), np.uint8)
    given = start_of("lite0", options)
    byol = BYOLTransformer(**given, input_size=128, max_epochs=0, device="cpu")
    start = time.perf_counter()
    byol.fit(X)
    fit = time.perf_counter() - start
    encoder = byol.encoder_.to(memory_format=torch.channels_last)
    rates = {"transform": [], "bare": []}
    with torch.inference_mode():
        for _ in range(3):
            start = time.perf_counter()
            rows = byol.transform(X)
            rates["transform"].append(len(X) / (time.perf_counter() - start))
            start = time.perf_counter()
            bare = []
            for part in np.array_split(X, -(-len(X) // options.batch)):
                images = torch.from_numpy(part).permute(0, 3, 1, 2).float() / 255
                bare.append(encoder(images))
            rates["bare"].append(len(X) / (time.perf_counter() - start))
    far = float((torch.cat(bare) - torch.from_numpy(rows)).abs().max())
    ratio = np.median(np.divide(rates["transform"], rates["bare"]))
    return {
        "row": "speed",
        "fit_seconds": round(fit, 2),
        **{name: [round(rate, 1) for rate in some] for name, some in rates.items()},
        "ratio": round(float(ratio), 3),
        "batch": options.batch,
        "largest difference": far,
    }


def precisions(options):
    """Compare rows and rates of transform in bfloat16 with those in float32."""
    X, _ = load_set("shapes", "train", None, options.speed)
    networks = {"lite0": start_of("lite0", options), "auto": {}}
    if Path(options.resnet).exists():
        networks["resnet18"] = start_of("resnet18", options)
    for name, given in networks.items():
        byol = BYOLTransformer(**given, max_epochs=0, random_state=0).fit(X)
        rows, seconds = {}, {"float32": [], "bfloat16": []}
        for _ in range(3):
            for precision, lasted in seconds.items():
                byol.set_params(transform_precision=precision)
                start = time.perf_counter()
                rows[precision] = byol.transform(X)
                lasted.append(time.perf_counter() - start)
        exact, lower = rows.values()
        far = np.linalg.norm(lower - exact, axis=1) / np.linalg.norm(exact, axis=1)
        yield {
            "row": "bfloat16",
            "network": name,
            "shape": list(X.shape),
            "times as fast": round(float(np.median(np.divide(*seconds.values()))), 2),
            "largest distance": round(float(far.max()), 4),
        }


def report(records):
    """Print a table for each set and network; points more than frozen in brackets."""
    groups = {}
    for record in records:
        if "few" in record:
            key = tuple(record[name] for name in ("set", "network", "size", "images"))
            groups.setdefault(key, {}).setdefault(record["row"], []).append(record)
    for key, rows in groups.items():
        print(f"\n{key[0]}, {key[1]}, size {key[2]}, {key[3]} images")
        bar = rows.get("frozen", [None])[0]
        for row, some in rows.items():
            few = [np.mean(record["few"]) for record in some]
            every = [record["all"] for record in some]
            text = f"{np.mean(few):.3f} / {np.mean(every):.3f}"
            if bar is not None:
                gain = np.mean(few) - np.mean(bar["few"]), np.mean(every) - bar["all"]
                text += " ({:+.1f} / {:+.1f})".format(*(100 * part for part in gain))
            lasted = np.median([record["seconds"] for record in some])
            print(f"  {row:<30} {text}  {lasted:7.0f} s  {len(some)} seeds")
    for record in records:
        if "labels" in record:
            mean, spread = np.mean(record["accuracy"]), np.std(record["accuracy"])
            print(
                record["set"],
                record["network"],
                record["labels"],
                record["row"],
                f"{mean:.3f} ({spread:.3f})",
            )


def work(options, records):
    """Yield the records of the parts that are asked for."""
    if "speed" in options.parts:
        yield speed(options)
    if "precision" in options.parts:
        yield from precisions(options)
    for name in options.sets:
        for network in options.networks:
            size = None if network == "resnet18" else options.size
            if "rows" in options.parts:
                done = {tuple(map(r.get, KEY)): r.get("seconds") for r in records}
                yield from Rows(name, network, size, options).records(done)
            if "labels" in options.parts:
                yield from by_labels(name, network, size, options)


def main():
    """Read options, then measure or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])

    def several(text):
        return text.split(",")

    parser.add_argument("--data", type=Path, help="folder of the real sets")
    parser.add_argument("--parts", type=several, default=["rows"])
    parser.add_argument("--sets", type=several, default=list(SETS))
    parser.add_argument("--networks", type=several, default=["lite0"])
    parser.add_argument("--rows", type=several, default=None, help="all, if left out")
    parser.add_argument("--resnet", default="tiny10_resnet18.pth")
    parser.add_argument("--size", type=int, default=128, help="input_size; 0 is none")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--scored", type=int, default=2000)
    parser.add_argument("--held-out", action="store_true", help="of training images")
    parser.add_argument("--seeds", type=several, default=["0"])
    parser.add_argument("--labels", type=several, default=["1", "5", "10", "100"])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--speed", type=int, default=2000, help="images")
    parser.add_argument("--batch", type=int, default=64, help="of the bare forward")
    parser.add_argument("--out", type=Path, default=Path("pretrained.json"))
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    if options.report:
        report(json.loads(options.report.read_text())["records"])
        return
    torch.set_num_threads(1)
    options.size = options.size or None
    options.seeds, options.labels = map(int, options.seeds), map(int, options.labels)
    options.seeds, options.labels = list(options.seeds), list(options.labels)
    adapted = [f"BYOL {n} epochs" for n in EPOCHS]
    scratch = [
        f"BYOL from scratch {part}" for part in (f"{FIRST_EPOCHS} epochs", "as long")
    ]
    others = ["frozen", *scratch, "labels only", "fine-tuned"]
    others += ["frozen beside adapted", "middle beside last"]
    options.rows = options.rows or [*HAND_MADE, *adapted, *others]
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    records = found.get("records", [])
    where = describe("cuda" if torch.cuda.is_available() else "cpu", "scikit-learn")
    for record in work(options, list(records)):
        print(json.dumps(record), flush=True)
        records.append(record)
        text = json.dumps({"where": where, "records": records}, indent=1)
        options.out.write_text(text)
    report(records)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
