"""BYOLClassifier against its own linear probe and against labels alone.

    python benchmarks/classifier.py --data DIR --sets digits,fashion_mnist --out FILE

For each set one BYOL, trained once with its defaults and kept in --byol, and five draws
of 1, 5, 10 and 100 labels a class, the same for all: the encoder of "auto" trained from
scratch on the labels with BYOL's views, logistic regression on BYOL's representations
(C by cross-validation), and BYOLClassifier with its defaults. Test accuracy. Writes
OUT.json after each draw, leaves out what is there already, and prints a table.
"""

import argparse
import json
import os
import time
from pathlib import Path

import joblib
import numpy as np
import torch
from image_sets import load_set
from machine import describe
from methods import keeps_variances
from probes import draw_labels, tuned_linear_accuracy
from sklearn.frozen import FrozenEstimator
from supervised import supervised_accuracy

from sklearn_byol import BYOLClassifier, BYOLTransformer

# Images (all, where None) and epochs of BYOL, by budget.
BUDGETS = {
    "try": {"digits": (400, 1), "fashion_mnist": (400, 1)},
    "small": {"digits": (None, 40), "fashion_mnist": (4000, 20)}
    | dict.fromkeys(("hand_signs64", "steel64"), (None, 60)),
}
METHODS = ("from scratch", "linear probe", "BYOLClassifier")
N_TEST, N_DRAWS = 2000, 5


def trained_byol(X, n_epochs, file):
    """Load the transformer of an earlier run, or train one and keep it."""
    if not file.exists():
        byol = BYOLTransformer(max_epochs=n_epochs, random_state=0).fit(X)
        joblib.dump(byol, file)
    return joblib.load(file)


def accuracy(method, byol, train, test, seed):
    """Train one method on labelled images and score it on test images."""
    (X, y), (X_test, y_test) = train, test
    if method == "from scratch":
        return supervised_accuracy(X, y, X_test, y_test, byol.n_iter_, seed)
    if method == "linear probe":
        rows, rows_test = byol.transform(X), byol.transform(X_test)
        scales = not keeps_variances("BYOL", X)
        return tuned_linear_accuracy(rows, y, rows_test, y_test, scales=scales)
    clf = BYOLClassifier(FrozenEstimator(byol), random_state=seed).fit(X, y)
    return float(clf.score(X_test, y_test))


def measure(name, arguments, records):
    """Yield a record of each number of labels, draw and method not measured yet."""
    n_images, n_epochs = BUDGETS[arguments.budget][name]
    X, y = load_set(name, "train", arguments.data, n_images)
    test = load_set(name, "test", arguments.data, arguments.test)
    file = arguments.byol / f"{name}-{arguments.budget}.joblib"
    byol = trained_byol(X, n_epochs, file)
    done = {
        tuple(record[key] for key in ("set", "labels", "draw", "method"))
        for record in records
    }
    for n_labels in map(int, arguments.labels.split(",")):
        for seed, drawn in enumerate(draw_labels(y, n_labels, arguments.draws)):
            for method in arguments.methods.split(","):
                key = {"set": name, "labels": n_labels, "draw": seed, "method": method}
                if tuple(key.values()) in done:
                    continue
                start = time.perf_counter()
                score = accuracy(method, byol, (X[drawn], y[drawn]), test, seed)
                seconds = round(time.perf_counter() - start, 1)
                yield key | {"accuracy": score, "seconds": seconds}


def print_table(records):
    """Print mean and standard deviation over the draws."""
    for name in dict.fromkeys(record["set"] for record in records):
        of_set = [record for record in records if record["set"] == name]
        numbers = sorted({record["labels"] for record in of_set})
        print(f"\n| {name} | {' | '.join(map(str, numbers))} |")
        print("|---" * (len(numbers) + 1) + "|")
        for method in METHODS:
            cells = []
            for number in numbers:
                scores = [
                    record["accuracy"]
                    for record in of_set
                    if (record["method"], record["labels"]) == (method, number)
                ]
                cells.append(_cell(scores))
            print(f"| {method} | {' | '.join(cells)} |")


def _cell(scores):
    """Mean and standard deviation, a dash where there are no scores."""
    return f"{np.mean(scores):.3f} ({np.std(scores):.3f})" if scores else "-"


def main():
    """Go through the sets; keep what is measured as soon as it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the real sets")
    parser.add_argument("--sets", default="digits")
    parser.add_argument("--budget", choices=BUDGETS, default="small")
    parser.add_argument("--labels", default="1,5,10,100", help="a class")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--draws", type=int, default=N_DRAWS)
    parser.add_argument("--test", type=int, default=N_TEST, help="test images, at most")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--byol", type=Path, default=Path(), help="folder for BYOL")
    parser.add_argument("--out", type=Path, default=Path("classifier.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    records = found.get("records", [])
    where = describe("cuda" if torch.cuda.is_available() else "cpu", "scikit-learn")
    for name in arguments.sets.split(","):
        for record in measure(name, arguments, records):
            print(json.dumps(record), flush=True)
            records.append(record)
            arguments.out.write_text(
                json.dumps({"where": where, "records": records}, indent=1)
            )
    print_table(records)


if __name__ == "__main__":
    main()
