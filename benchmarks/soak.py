"""Does anything grow? Fits in a loop, a grid of many candidates, a million images.

Writes soak.json beside this file; `--parts` runs some of the three and keeps what is
known of the others.
"""

import argparse
import gc
import json
import resource
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import psutil
from machine import describe
from sklearn.model_selection import GridSearchCV
from torch import nn

from sklearn_byol import BYOLTransformer, CollapseWarning
from sklearn_byol.metrics import effective_rank_scorer

PROCESS = psutil.Process()
FOLDER = Path(__file__).parent


def resident():
    """Return the memory of this process in megabytes."""
    gc.collect()
    return PROCESS.memory_info().rss / 2**20


def n_handles():
    """Count open files and sockets, and threads."""
    return PROCESS.num_fds() + PROCESS.num_threads()


def small():
    """Build a network of few weights, so that what grows shows."""
    return nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU())


def tiny(**parameters):
    """Make a transformer that trains in a moment."""
    sizes = {"hidden_dim": 16, "projection_dim": 8, "max_epochs": 1}
    return BYOLTransformer(small, **{**sizes, "device": "cpu", **parameters})


def fits(n):
    """Fit again and again: memory and handles after a warm-up and at the end."""
    X = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    marks, began = [], time.perf_counter()
    for index in range(n + n // 4):
        BYOLTransformer(max_epochs=1, batch_size=32, device="cpu").fit(X).transform(X)
        if index in {n // 4 - 1, n // 4 + n // 2 - 1}:
            marks.append((resident(), n_handles()))
    marks.append((resident(), n_handles()))
    return {
        "fits": n,
        "seconds": time.perf_counter() - began,
        "megabytes": [round(memory, 1) for memory, _ in marks],
        "handles": [handles for _, handles in marks],
    }


def grid(n):
    """Search over many candidates without labels."""
    X = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    lrs = np.geomspace(1e-4, 1e-2, n).tolist()
    before, began = resident(), time.perf_counter()
    search = GridSearchCV(
        tiny(random_state=0), {"lr": lrs}, scoring=effective_rank_scorer, cv=2
    ).fit(X)
    return {
        "candidates": len(search.cv_results_["params"]),
        "failed": int(np.isnan(search.cv_results_["mean_test_score"]).sum()),
        "seconds": time.perf_counter() - began,
        "megabytes": [round(before, 1), round(resident(), 1)],
    }


def peak():
    """Return the most memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def transform(n, path):
    """Transform images of a memory map: how far the peak of memory rises.

    In a process that has done nothing before, whose peak would hide it. Mapped pages
    and the rows that are returned count.
    """
    images = np.memmap(path, np.uint8, "w+", shape=(n, 8, 8))
    rng = np.random.default_rng(0)
    for start in range(0, n, 10_000):
        part = images[start : start + 10_000]
        part[:] = rng.integers(0, 256, part.shape, dtype=np.uint8)
    images.flush()
    del images, part
    images = np.memmap(path, np.uint8, "r", shape=(n, 8, 8))
    byol = tiny(random_state=0, readout=1).fit(images[:1000])
    byol.transform(images[:1000])
    before, began = peak(), time.perf_counter()
    rows = byol.transform(images)
    return {
        "images": n,
        "seconds": time.perf_counter() - began,
        "megabytes_of_rows": round(rows.nbytes / 2**20, 1),
        "megabytes_of_images": round(images.nbytes / 2**20, 1),
        "megabytes_of_rise": round(peak() - before, 1),
    }


def main():
    """Run the parts that are asked for and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="transform,fits,grid")
    parser.add_argument("--n-fits", type=int, default=200)
    parser.add_argument("--n-candidates", type=int, default=100)
    parser.add_argument("--n-images", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, default=FOLDER / "soak.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore", CollapseWarning)
    found = json.loads(options.json.read_text()) if options.json.exists() else {}
    found["machine"] = describe("cpu", "scikit-learn", "skorch")
    with tempfile.TemporaryDirectory() as place:
        run = {
            "transform": lambda: transform(options.n_images, f"{place}/images"),
            "fits": lambda: fits(options.n_fits),
            "grid": lambda: grid(options.n_candidates),
        }
        for part in options.parts.split(","):
            found[part] = run[part]()
    text = json.dumps(found, indent=1)
    options.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
