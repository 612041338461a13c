"""Images a second of a training: ours, its bare step, lightly's and byol-pytorch's.

    python benchmarks/throughput.py --settings gray8,auto32,auto64,resnet32 --rounds 5

The same encoder, heads, batches and image sizes, views by the paper's law. `fit` is
`BYOLTransformer.fit`, everything included; `bare step` the same networks on views that
were drawn before: the limit. lightly has the DataLoader with the fastest number of
workers; byol-pytorch draws its views once a batch, not once an image. Each runs in
float32 and in bfloat16, and they take turns, round after round; ratios are medians of
the rounds' own ratios, between the faster precision of each. Peers that are not
installed (extra `benchmark`) are left out, and said to be.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from contenders import CONTENDERS, Task
from machine import describe
from torch.utils.flop_counter import FlopCounterMode

from sklearn_byol.objective import byol_loss

# Side, channels, encoder, batch on processors and on GPUs; None is not run there.
SETTINGS = {
    "gray8": (8, 1, "auto", 256, 256),
    "auto32": (32, 3, "auto", 256, 256),
    "auto64": (64, 3, "auto", 256, 256),
    "resnet32": (32, 3, "resnet18", 128, 512),
    "resnet96": (96, 3, "resnet18", None, 256),
    "resnet224": (224, 3, "resnet50", None, 256),
}
PRECISIONS = ("float32", "bfloat16")


def make_task(setting, n_steps, device, precision):
    """Draw random images for a setting; None if it is not run on the device."""
    side, n_channels, encoder, *batches = SETTINGS[setting]
    batch_size = batches[device.type != "cpu"]
    if batch_size is None:
        return None
    shape = (batch_size * n_steps, side, side, n_channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return Task(
        pixels.squeeze(-1) if n_channels == 1 else pixels,
        encoder,
        batch_size,
        n_steps,
        device,
        precision,
    )


def flops_of_step(task):
    """Count the floating-point operations of one step."""
    network = task.network()
    views = torch.rand(2, 2, *task.view_shape, device=task.device)
    with FlopCounterMode(display=False) as counter:
        byol_loss(*network(*views)[:4]).backward()
    return counter.get_total_flops() / 2 * task.batch_size


def matrix_rate(device, precision, n=2048):
    """Measure floating-point operations a second of a large product of matrices."""
    a, b = torch.rand(2, n, n, device=device, dtype=getattr(torch, precision))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds)


def measure(setting, arguments, device):
    """Images a second of each contender and precision, round by round."""
    rounds, notes = {}, {}
    trains = {}
    for precision in arguments.precisions.split(","):
        task = make_task(setting, arguments.steps, device, precision)
        if task is None:
            return None
        for name in CONTENDERS:
            train = CONTENDERS[name](task)
            notes[f"{name}, {precision}"] = getattr(train, "n_workers", None)
            trains[f"{name}, {precision}"] = train
    n_images = task.batch_size * task.n_steps
    for _ in range(arguments.rounds):
        for name, train in trains.items():
            rounds.setdefault(name, []).append(n_images / train())
    flops = flops_of_step(task) / task.batch_size
    return {
        "batch_size": task.batch_size,
        "images_per_second": rounds,
        "n_workers": {name: n for name, n in notes.items() if n is not None},
        "flops_an_image": flops,
    }


def summary(figures, rates):
    """Turn rounds into medians, spreads, ratios and shares of the matrix rate."""
    rounds = figures["images_per_second"]
    best = {}
    for name in rounds:
        contender = name.split(", ")[0]
        if contender not in best or statistics.median(rounds[name]) > statistics.median(
            rounds[best[contender]]
        ):
            best[contender] = name
    rows = []
    for name, values in rounds.items():
        contender, precision = name.split(", ")
        median = statistics.median(values)
        ratio = statistics.median(
            ours / value
            for ours, value in zip(rounds[best["fit"]], values, strict=True)
        )
        rows.append(
            {
                "contender": contender,
                "precision": precision,
                "is_best": best[contender] == name,
                "median": median,
                "min": min(values),
                "max": max(values),
                "fit_is_times": ratio,
                "matrix_share": median * figures["flops_an_image"] / rates[precision],
            }
        )
    return rows


def print_table(setting, figures, rows):
    """Print what was measured."""
    side, n_channels, encoder, *_ = SETTINGS[setting]
    print(
        f"\n{side} px, {n_channels} channels, {encoder}, batches of "
        f"{figures['batch_size']}; lightly's workers: {figures['n_workers']}"
    )
    print(f"{'':<26}{'images/s':>10}{'min':>9}{'max':>9}{'fit is':>9}{'of mm':>8}")
    for row in rows:
        name = f"{row['contender']}, {row['precision']}{' *' * row['is_best']}"
        print(
            f"{name:<26}{row['median']:>10.0f}{row['min']:>9.0f}{row['max']:>9.0f}"
            f"{row['fit_is_times']:>8.2f}x{row['matrix_share']:>8.1%}",
            flush=True,
        )


def main():
    """Run, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--precisions", default=",".join(PRECISIONS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="timed, of one round")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    where = describe(device, "lightly", "byol-pytorch", "scikit-learn", "skorch")
    print(json.dumps(where, indent=1))
    n = 8192 if device.type == "cuda" else 2048
    rates = {name: matrix_rate(device, name, n) for name in PRECISIONS}
    print({name: f"{rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items()})
    settings = {}
    for setting in arguments.settings.split(","):
        figures = measure(setting, arguments, device)
        if figures is None:
            print(f"\n{setting}: not run on {device}")
            continue
        figures["rows"] = summary(figures, rates)
        print_table(setting, figures, figures["rows"])
        settings[setting] = figures
        if arguments.json:
            found = {**where, "matrix_rates": rates, "settings": settings}
            arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
