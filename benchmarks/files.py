"""Images from JPEG files: memory, decoding speed, and epochs against an array's.

    python benchmarks/files.py --images 100000 --json files.json

Writes JPEG files of 64x64 pixels into a temporary folder, then fits, each in a process
of its own: the decoded array; the folder, decoded into memory; the folder through a
cache file, written and found again; and the folder streamed. The encoder is as small as
can be, so that an epoch is mostly images. Prints the seconds before the first epoch
(decoding), the median seconds of the later epochs and how many times as long they take
as the array's, and the growth of the peak of memory over what was there before fit, in
decoded bytes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from machine import describe
from PIL import Image
from torch import nn

from sklearn_byol import BYOLTransformer
from sklearn_byol.images import _cache

SIDE = 64
N_EPOCHS = 4
CASES = ("array", "folder", "cache, written", "cache, found", "streamed")


def write_files(folder, n_images):
    """Write blurred noise, a thousand files to a folder."""

    def write(index):
        rng = np.random.default_rng(index)
        small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        place = folder / "images" / f"{index // 1000:04}"
        place.mkdir(parents=True, exist_ok=True)
        small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(
            place / f"{index:07}.jpg", quality=90
        )

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(n_images)))


def tiny_encoder():
    """Average 16x16 pixels, then two small layers."""
    return nn.Sequential(
        nn.AvgPool2d(16), nn.Flatten(), nn.Linear(48, 16), nn.BatchNorm1d(16)
    )


def peak_memory():
    """Return the most memory that this process has had, in bytes; Linux only.

    Not getrusage's figure, which begins with that of the parent process.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def run(case, folder, n_jobs):
    """Fit once in this process and print what was measured."""
    folder = Path(folder)
    byol = BYOLTransformer(
        encoder=tiny_encoder,
        views=lambda images: images.flip(3),
        hidden_dim=16,
        projection_dim=16,
        max_epochs=N_EPOCHS,
        batch_size=256,
        n_jobs=n_jobs,
        random_state=0,
        cache=folder / "cache" if case.startswith("cache") else None,
    )
    byol.fit(np.zeros((8, SIDE, SIDE, 3), np.uint8) + np.arange(8)[:, None, None, None])
    X = np.load(folder / "array.npy") if case == "array" else folder / "images"
    if case == "streamed":
        _cache.MEMORY_SHARE = 0.0
    before = peak_memory()
    start = time.perf_counter()
    byol.fit(X)
    total = time.perf_counter() - start
    after = peak_memory()
    epochs = byol.history_["seconds"]
    print(
        json.dumps(
            {
                "seconds_before_training": total - sum(epochs),
                "epoch_seconds": epochs[1:],
                "growth_bytes": after - before,
            }
        )
    )


def measure(folder, n_images, n_jobs):
    """Run every case in a process of its own."""
    decoded = n_images * 3 * SIDE**2
    figures = {}
    for case in CASES:
        command = [sys.executable, __file__, "--case", case, "--folder", str(folder)]
        told = subprocess.run(
            [*command, "--n-jobs", str(n_jobs)], check=True, stdout=subprocess.PIPE
        )
        figures[case] = json.loads(told.stdout.splitlines()[-1])
        epoch = statistics.median(figures[case]["epoch_seconds"])
        base = statistics.median(figures["array"]["epoch_seconds"])
        before = figures[case]["seconds_before_training"]
        print(
            f"{case:<16} {before:>7.1f} s before training "
            f"({n_images / before:>8.0f} images/s), epoch {epoch:.2f} s, "
            f"{epoch / base:.2f} x the array's, memory grew by "
            f"{figures[case]['growth_bytes'] / decoded:.2f} x the decoded bytes",
            flush=True,
        )
    return figures


def main():
    """Write files, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--n-jobs", type=int, default=-1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        run(arguments.case, arguments.folder, arguments.n_jobs)
        return
    where = describe(torch.device("cpu"), "pillow", "joblib")
    print(json.dumps(where, indent=1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, arguments.images)
        files = sorted((folder / "images").rglob("*.jpg"))
        array = np.stack([np.asarray(Image.open(file)) for file in files])
        np.save(folder / "array.npy", array)
        del array
        figures = measure(folder, arguments.images, arguments.n_jobs)
    if arguments.json:
        arguments.json.write_text(
            json.dumps({**where, "images": arguments.images, **figures}, indent=1)
        )


if __name__ == "__main__":
    main()
