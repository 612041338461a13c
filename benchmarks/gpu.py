"""All that a GPU has to show, in one run of a few minutes.

    python benchmarks/gpu.py --minutes 8 --out DIR --data DIR

Parts run in order of worth: the tests that need CUDA, default fits, a recorded step
beside the usual one, throughput beside the bare step and lightly, a profile, views
alone, and CIFAR-10 for as many epochs as the time allows. Each writes its figures to
DIR as soon as it has them; one that fails writes its traceback. `--device cpu --tiny`
is a rehearsal.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from contenders import BYOLTransform, Task, bare_step, lightly, ours
from image_sets import load_set, make_shapes
from machine import describe
from probes import knn_accuracy, linear_accuracy
from skorch.callbacks import Callback
from throughput import flops_of_step, matrix_rate
from torch.profiler import ProfilerActivity, profile

from sklearn_byol import BYOLTransformer, recipe
from sklearn_byol.training import _recorded
from sklearn_byol.training._recorded import GraphMemory, Recorded
from sklearn_byol.views._pair import views_for

ROOT = Path(__file__).resolve().parent.parent
TESTS = [
    f"tests/test_{name}.py"
    for name in ("gpu", "determinism", "saved_formats", "views_laws")
]
# Side, encoder, batch, steps of an epoch; then what --tiny makes of batch and steps.
SETTINGS = {
    "auto8": (8, "auto", 128, 200),
    "auto32, 128": (32, "auto", 128, 100),
    "resnet18, 32 px, 128": (32, "resnet18", 128, 60),
    "resnet18, 32 px, 512": (32, "resnet18", 512, 40),
    "auto32, 512": (32, "auto", 512, 50),
    "auto64, 128": (64, "auto", 128, 60),
    "resnet50, 224 px, 128": (224, "resnet50", 128, 10),
}
HALF = ("bfloat16", "float16")
STEPS_OF_LIGHTLY = 80  # its workers are up to two batches each ahead of the first


@dataclass
class Bench:
    """Where it runs, for how long, and where figures go."""

    device: torch.device
    is_tiny: bool
    ends: float
    out: Path
    data: Path | None
    parts: list
    left_for_training: float  # seconds that CIFAR-10 is to have

    @property
    def is_cuda(self):
        """Whether there is a GPU to record and to profile."""
        return self.device.type == "cuda"

    def left(self):
        """Count the seconds that are left."""
        return self.ends - time.monotonic()

    def is_over(self, name):
        """Tell whether only the seconds are left that the later parts are to have."""
        later = self.parts[self.parts.index(name) + 1 :]
        return self.left() < max(30, self.left_for_training * ("cifar10" in later))

    def keep(self, name, figures):
        """Write the figures of a part, and show them."""
        text = json.dumps(figures, indent=1, default=str)
        (self.out / f"{name}.json").write_text(text)

    def settings(self, *names):
        """Choose settings; a rehearsal takes two tiny ones."""
        if not self.is_tiny:
            return {name: SETTINGS[name] for name in names}
        return {"auto8": (8, "auto", 16, 2)}


def task_of(bench, side, encoder, batch_size, n_steps, precision="bfloat16"):
    """Draw random images for a setting."""
    shape = (batch_size * n_steps, side, side) + (3,) * (side > 8)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if bench.is_tiny:
        precision = "float32"
    return Task(pixels, encoder, batch_size, n_steps, bench.device, precision)


def run_tests(bench):
    """Run the tests that need CUDA; pytest's report goes to tests.txt."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "--durations=10"]
    command += ["-W", "default"]  # of what else is installed there
    limit = max(30, min(150, bench.left() / 3))
    with (bench.out / "tests.txt").open("w") as report:
        pytest = subprocess.Popen(
            [*command, "-p", "no:cacheprovider", *TESTS],
            cwd=ROOT,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdout=report,
            stderr=subprocess.STDOUT,
        )
        try:
            pytest.wait(limit)
        except subprocess.TimeoutExpired:
            pytest.send_signal(signal.SIGINT)  # it reports what it has seen
            pytest.wait(30)
    text = (bench.out / "tests.txt").read_text()
    print(text[-6000:])
    if pytest.returncode not in {0, 5}:
        raise RuntimeError(text.strip().splitlines()[-1])
    return {"tests": text.strip().splitlines()[-1]}


def default_fits(bench):
    """Fit with defaults: digits, and images of 32 pixels for fewer epochs."""
    X, y = load_set("digits", "train")
    X_test, y_test = load_set("digits", "test")
    shapes = make_shapes(64 if bench.is_tiny else 5000)[0]
    found = {}
    for name, images, n_usual in (("digits", X, 100), ("32 px", shapes, 20)):
        n_epochs = 1 if bench.is_tiny else n_usual
        start = time.perf_counter()
        byol = BYOLTransformer(
            device=str(bench.device), random_state=0, max_epochs=n_epochs
        ).fit(images)
        found[name] = {
            "seconds in all": time.perf_counter() - start,
            **{key: values[-1] for key, values in byol.history_.items()},
        }
        if name == "digits":
            rows, rows_test = byol.transform(X), byol.transform(X_test)
            found["digits, linear"] = linear_accuracy(rows, y, rows_test, y_test)
        bench.keep("fits", found)
    return found


def fit_of(task, n_epochs, **parameters):
    """Fit and return the transformer."""
    return BYOLTransformer(
        task.encoder,
        **{
            "views": "byol",
            "batch_size": task.batch_size,
            "max_epochs": n_epochs,
            "device": str(task.device),
            "precision": task.precision,
            "random_state": 0,
            **parameters,
        },
    ).fit(task.pixels)


def distance(one, other):
    """How far the weights of two encoders lie apart, over their length."""
    pairs = [
        (a.double(), b.double())
        for a, b in zip(
            one.encoder_.state_dict().values(),
            other.encoder_.state_dict().values(),
            strict=True,
        )
    ]
    apart = sum(((a - b) ** 2).sum() for a, b in pairs)
    return float((apart / sum((a**2).sum() for a, _ in pairs)) ** 0.5)


@contextmanager
def unrecorded():
    """Let steps be launched kernel by kernel."""
    usual = _recorded.can_record
    _recorded.can_record = lambda training: False
    try:
        yield
    finally:
        _recorded.can_record = usual


def compare_recorded(bench):
    """Train 50 steps recorded, recorded again and unrecorded: weights and losses."""
    found = {}
    for name, (side, encoder, batch, _) in bench.settings(
        "auto8", "auto32, 128", "auto64, 128", "resnet18, 32 px, 128"
    ).items():
        for optimizer in ("adamw", "sgd")[: 1 + (not bench.is_tiny)]:
            task = task_of(bench, side, encoder, batch, 2 if bench.is_tiny else 10)
            task = replace(task, pixels=task.pixels[:-1])  # batches of two sizes
            recorded, again = (fit_of(task, 5, optimizer=optimizer) for _ in range(2))
            with unrecorded():
                usual = fit_of(task, 5, optimizer=optimizer)
            found[f"{name}, {optimizer}"] = {
                "recorded, again": distance(recorded, again),
                "recorded, unrecorded": distance(recorded, usual),
                "losses": [
                    abs(a - b)
                    for a, b in zip(
                        recorded.history_["loss"], usual.history_["loss"], strict=True
                    )
                ],
            }
            bench.keep("recorded", found)
    return found


def throughput(bench):
    """Images a second of fit, as usual and recorded, the bare step and lightly."""
    found = {
        "matrix rate, bfloat16": matrix_rate(
            bench.device, "bfloat16", 8192 if bench.is_cuda else 256
        )
    }
    for name, setting in bench.settings(*list(SETTINGS)[1:]).items():
        if bench.is_over("throughput"):
            break
        row = found[name] = {}
        try:
            speeds(bench, task_of(bench, *setting), row)
            rate = row["best"] * row["flops_an_image"]
            row["share of matrix rate"] = rate / found["matrix rate, bfloat16"]
        except RuntimeError as error:
            row["error"] = str(error)[:300]
        bench.keep("throughput", found)
    return found


def ways(bench):
    """Images a second of a recorded bare step, in some ways; compiled ones at last."""
    names = ["resnet18, 32 px, 512", "resnet18, 32 px, 128", "auto32, 128"]
    found = {}
    for is_compiled in (False, True)[: 1 + bench.is_cuda]:
        for name, setting in bench.settings(*names).items():
            for precision, is_parallel in itertools.product(HALF, (False, True)):
                if bench.is_over("ways") or (is_parallel and not bench.is_cuda):
                    continue
                task = task_of(bench, *setting, precision)
                way = f"{name}, {precision}"
                way += ", parallel" * is_parallel + ", compiled" * is_compiled
                began = time.perf_counter()
                found[way] = bare_speed(
                    bench, task, is_compiled=is_compiled, is_parallel=is_parallel
                )
                found[way]["seconds in all"] = time.perf_counter() - began
                bench.keep("ways", found)
    return found


def bare_speed(bench, task, **options):
    """Images a second of a bare step, and where its weights end."""
    try:
        bare = bare_step(task, is_recorded=bench.is_cuda, **options)
        n_images = task.batch_size * task.n_steps
        return {
            "images a second": max(n_images / bare() for _ in range(3)),
            "sum of weights": sum(
                float(weight.double().abs().sum())
                for weight in bare.network.parameters()
            ),
        }
    except Exception as error:  # noqa: BLE001 - the other ways are worth their time
        return {"error": str(error)[:300]}


def speeds(bench, task, row):
    """Time what a setting is trained by, into a row."""
    n_images = task.batch_size * task.n_steps
    train = ours(task)
    if bench.is_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    row["fit"] = [n_images / train() for _ in range(3)]
    if bench.is_cuda:
        row["peak of memory, GB"] = torch.cuda.max_memory_reserved() / 1e9
    with unrecorded():
        row["fit, unrecorded"] = [n_images / train() for _ in range(1 + bench.is_tiny)]
    bare = bare_step(task)
    row["bare step"] = [n_images / bare()]
    if bench.is_cuda:
        bare = bare_step(task, is_recorded=True)
        row["bare step, recorded"] = [n_images / bare() for _ in range(3)]
    if not bench.is_tiny:
        train = ours(replace(task, precision="float16"))
        row["fit, float16"] = [n_images / train() for _ in range(2)]
    del bare
    row["best"] = max(max(v) for v in row.values() if isinstance(v, list))
    row["flops_an_image"] = flops_of_step(task) / task.batch_size
    if BYOLTransform is not None:
        row["lightly"] = speed_of_lightly(task)


def speed_of_lightly(task):
    """Time lightly with its loader, one worker a core but for one."""
    n_workers = min(15, max((os.cpu_count() or 1) - 1, 1))
    n_steps = STEPS_OF_LIGHTLY if task.device.type == "cuda" else task.n_steps
    n_times = -(-n_steps // task.n_steps)
    pixels = np.concatenate([task.pixels] * n_times)
    train = lightly(replace(task, pixels=pixels, n_steps=n_steps), n_workers)
    speed = n_steps * task.batch_size / train()
    return {"n_workers": n_workers, "images_per_second": speed}


class Profile(Callback):
    """Profiles one epoch, the third."""

    def on_epoch_begin(self, net, **kwargs):
        """Begin."""
        if len(net.history) == 3:
            self.step_ = net.step_
            self.profile_ = profile(
                activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]
            )
            self.profile_.__enter__()
            self.began_ = time.perf_counter()

    def on_epoch_end(self, net, **kwargs):
        """Count the kernels of a step, and the time that they take of it."""
        if len(net.history) != 3:
            return
        if net.device != "cpu":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - self.began_
        self.profile_.__exit__(None, None, None)
        n_steps = net.step_ - self.step_
        on_gpu = [
            event
            for event in self.profile_.events()
            if event.device_type == torch.autograd.DeviceType.CUDA
            and not event.name.startswith("Optimizer.")
        ]
        totals = {}
        for event in on_gpu:
            totals[event.name] = totals.get(event.name, 0) + event.device_time
        busy = sum(totals.values()) / 1e6
        top = sorted(totals.items(), key=lambda item: -item[1])[:14]
        FOUND.append(
            {
                "milliseconds a step, profiled": seconds / n_steps * 1e3,
                "launches a step": len(on_gpu) / n_steps,
                "milliseconds of kernels a step": busy / n_steps * 1e3,
                "share of kernels": {n[:90]: t / 1e6 / max(busy, 1e-9) for n, t in top},
            }
        )


_recorded.KNOWN_CALLBACKS.add(Profile)
FOUND = []  # what callbacks, which are copied, have found


def profiles(bench):
    """Count launches and the gaps between them, as usual and recorded."""
    found = {}
    names = ("auto32, 128", "resnet18, 32 px, 512")
    for name, (side, encoder, batch, _) in bench.settings(*names).items():
        task = task_of(bench, side, encoder, batch, 2 if bench.is_tiny else 12)
        fit_of(task, 3, callbacks=[Profile()])
        found[name] = FOUND.pop()
        with unrecorded():
            fit_of(task, 3, callbacks=[Profile()])
        found[f"{name}, unrecorded"] = FOUND.pop()
        bench.keep("profile", found)
    return found


def views_alone(bench):
    """Milliseconds of two views of a batch, as usual and recorded."""
    found = {}
    sizes = [(128, 32), (512, 32), (256, 64), (128, 224)]
    for n, side in [(4, 16)] if bench.is_tiny else sizes:
        images = torch.rand(n, 3, side, side, device=bench.device)
        pair, _ = views_for("byol", (3, side, side))
        generator = torch.Generator(bench.device).manual_seed(0)

        def draw(images, pair=pair, generator=generator):
            return pair(images, generator)

        row = {"as usual": milliseconds(bench, lambda d=draw, i=images: d(i))}
        if bench.is_cuda:
            drawn = Recorded(draw, GraphMemory(bench.device), [generator])
            row["recorded"] = milliseconds(bench, lambda d=drawn, i=images: d(i))
        found[f"{n} images of {side} px"] = row
        bench.keep("views", found)
    return found


def milliseconds(bench, function, n=20):
    """Time a call; the mean of some that follow each other."""
    for _ in range(5):
        function()
    start = time.perf_counter()
    for _ in range(n):
        function()
    if bench.is_cuda:
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / n * 1e3


def cifar10(bench):
    """Train ResNet-18 for as many epochs as there is time; probe on all test images."""
    n = 64 if bench.is_tiny else None
    if bench.data is None:
        return {"not run": "no --data"}
    X, y = load_set("cifar10", "train", bench.data, n)
    X_test, y_test = load_set("cifar10", "test", bench.data, n)
    settings = recipe("cifar10") | {"device": str(bench.device), "random_state": 0}
    if bench.is_tiny:
        settings |= {"encoder": "auto", "batch_size": 32}

    def fit(n_epochs):
        start = time.perf_counter()
        fitted = BYOLTransformer(**settings | {"max_epochs": n_epochs}).fit(X)
        return fitted, time.perf_counter() - start

    byol, _ = fit(2)
    an_epoch = byol.history_["seconds"][-1]
    n_epochs = 2 if bench.is_tiny else max(2, int((bench.left() - 25) / an_epoch))
    found = {"seconds an epoch": an_epoch, "epochs": min(n_epochs, 200), "seed": 0}
    bench.keep("cifar10", found)
    byol, found["seconds"] = fit(found["epochs"])
    found["history"] = byol.history_
    bench.keep("cifar10", found)
    rows, rows_test = byol.transform(X), byol.transform(X_test)
    found["kNN"] = knn_accuracy(rows, y, rows_test, y_test)
    bench.keep("cifar10", found)
    found["linear"] = linear_accuracy(rows, y, rows_test, y_test, C=0.01)
    return found


PARTS = {
    "tests": run_tests,
    "fits": default_fits,
    "recorded": compare_recorded,
    "throughput": throughput,
    "ways": ways,
    "profile": profiles,
    "views": views_alone,
    "cifar10": cifar10,
}


def main():
    """Run the parts until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder of cifar10*.npz")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    device = torch.device(arguments.device)
    warnings.simplefilter("ignore")
    ends = time.monotonic() + 60 * arguments.minutes
    parts = arguments.parts.split(",")
    half = 30 * arguments.minutes  # of the time, for CIFAR-10
    bench = Bench(
        device, arguments.tiny, ends, arguments.out, arguments.data, parts, half
    )
    where = describe(device, "lightly", "scikit-learn", "skorch")
    bench.keep("where", {**where, "driver": driver()})
    failed = []
    for name in parts:
        if bench.is_over(name):
            print(f"{name}: not run, no time is left")
            continue
        began = time.monotonic()
        try:
            found = PARTS[name](bench)
            bench.keep(name, found)
            print(f"{name}: {json.dumps(found, default=str)}")
        except Exception:  # noqa: BLE001 - the other parts are worth their time
            (bench.out / f"{name}.error.txt").write_text(traceback.format_exc())
            traceback.print_exc()
            failed.append(name)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def driver():
    """Name the driver of the GPU, if there is one."""
    if not shutil.which("nvidia-smi"):
        return None
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, check=False, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
