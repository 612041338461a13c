"""Digits learnt by one process and by two that share each batch.

Trains the same number of epochs with the same batch size, several seeds, and scores
logistic regression on the representations with few labels and with all. Prints a table
and writes the figures, with what they were measured on, to a JSON file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe
from probes import draw_labels, linear_accuracy
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_byol import BYOLTransformer

N_A_CLASS = (1, 10)
N_DRAWS = 5


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", default="1,2", help="numbers of processes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--json", type=Path, default=Path("processes.json"))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def train(options):
    """Train each seed in one of the processes; the first scores and writes."""
    X, y = load_digits(return_X_y=True)
    train, test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=0
    )
    found = []
    for seed in range(options.seeds):
        byol = BYOLTransformer(
            max_epochs=options.epochs,
            batch_size=options.batch_size,
            random_state=seed,
            device="cpu",
        )
        start = time.perf_counter()
        byol.fit(train)
        seconds = time.perf_counter() - start
        if os.environ.get("RANK", "0") != "0":
            continue
        rows, rows_test = byol.transform(train), byol.transform(test)
        scores = {
            str(n): np.mean(
                [
                    linear_accuracy(rows[draw], y_train[draw], rows_test, y_test)
                    for draw in draw_labels(y_train, n, N_DRAWS)
                ]
            )
            for n in N_A_CLASS
        }
        scores["all"] = linear_accuracy(rows, y_train, rows_test, y_test)
        scores = {name: round(float(score), 4) for name, score in scores.items()}
        spread = byol.history_["spread"][-1]
        found.append({"seed": seed, "seconds": seconds, "spread": spread, **scores})
    if found:
        options.json.write_text(json.dumps(found))


def measure(options, n_processes):
    """Launch this script as torchrun does, and read what it has found."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        given = ["--worker", "--json", str(path), "--seeds", str(options.seeds)]
        given += ["--epochs", str(options.epochs)]
        given += ["--batch-size", str(options.batch_size)]
        launcher = [] if n_processes == 1 else ["-m", "torch.distributed.run"]
        if n_processes > 1:
            launcher += ["--nproc-per-node", str(n_processes)]
        command = [sys.executable, *launcher, str(Path(__file__)), *given]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        return json.loads(path.read_text())


def main():
    """Measure, print and write."""
    options = arguments()
    if options.worker:
        train(options)
        return
    print("| processes | 1 label a class | 10 | all | spread | seconds |")
    print("|---|---|---|---|---|---|")
    found = {}
    for n_processes in map(int, options.processes.split(",")):
        runs = found[n_processes] = measure(options, n_processes)
        columns = [
            " ".join(f"{run[name]:.3f}" for run in runs)
            for name in ("1", "10", "all", "spread")
        ]
        seconds = np.median([run["seconds"] for run in runs])
        print(f"| {n_processes} | {' | '.join(columns)} | {seconds:.0f} |", flush=True)
    about = describe("cpu", "scikit-learn")
    about["threads a process"] = 1
    setting = {"epochs": options.epochs, "batch_size": options.batch_size}
    options.json.write_text(
        json.dumps({"machine": about, **setting, "processes": found}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
