"""
Save an encoder, and serve it
=============================

An encoder is trained on the digits for a moment and saved in four ways: with joblib as
the estimator that it is, its weights with safetensors, and as a graph of ONNX and a
program of ``torch.export``, which run without this library. How long does one image
take, alone and in batches, and how large are the files? All compute with one thread.
Needs ``pip install 'sklearn-byol[onnx,safetensors]' onnxruntime``. Prints the times and
saves a picture.
"""

import argparse
import tempfile
import time
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits

from sklearn_byol import BYOLTransformer


def save(byol, X, folder):
    """Save in four ways; returns the paths by name."""
    paths = {
        "joblib": folder / "byol.joblib",
        "safetensors": folder / "encoder.safetensors",
        "ONNX": folder / "encoder.onnx",
        "torch.export": folder / "encoder.pt2",
    }
    joblib.dump(byol, paths["joblib"])
    byol.to_safetensors(paths["safetensors"])
    byol.to_onnx(paths["ONNX"], X[:1])
    program = torch.export.export(
        byol.encoder_.cpu(),
        (byol.read_images(X[:2]),),
        dynamic_shapes=({0: torch.export.Dim("n_images")},),
    )
    torch.export.save(program, paths["torch.export"])
    return paths


def serve(paths):
    """Load what was saved; returns functions from pixels to representations."""
    byol = joblib.load(paths["joblib"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(paths["ONNX"], options)
    program = torch.export.load(paths["torch.export"]).module()

    def run_program(X):
        images = torch.from_numpy(X / byol.pixel_range_[1]).float()
        with torch.inference_mode():
            return program(images.reshape(-1, *byol.image_shape_)).numpy()

    return {
        "transform": byol.transform,
        "ONNX Runtime": lambda X: session.run(None, {"X": X})[0],
        "torch.export": run_program,
    }


def milliseconds(function, X, n_rounds):
    """Median time of an image, in milliseconds."""
    seconds = []
    for _ in range(n_rounds + 1):
        start = time.perf_counter()
        function(X)
        seconds.append(time.perf_counter() - start)
    return 1e3 * np.median(seconds[1:]) / len(X)


def draw(times, batches, sizes):
    """Draw times over batch sizes, and sizes of files."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 3.8), layout="constrained", width_ratios=(3, 2)
    )
    for name, row in times.items():
        left.loglog(batches, row, marker="o", label=name)
    left.set(xlabel="images at a time", ylabel="milliseconds an image")
    left.set_xticks(batches, batches)
    left.minorticks_off()
    left.grid(alpha=0.3)
    left.legend()
    bars = right.barh(list(sizes), list(sizes.values()), color="0.7")
    right.bar_label(bars, fmt=" %.2f")
    right.invert_yaxis()
    right.margins(x=0.2)
    right.set(xlabel="size of the file, MB")
    return figure


def main():
    """Save, load, compare and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--batches", default="1,4,16,64,256")
    parser.add_argument("--folder", type=Path, default=Path())
    arguments = parser.parse_args()
    batches = [int(n) for n in arguments.batches.split(",")]
    X, _ = load_digits(return_X_y=True)
    byol = BYOLTransformer(max_epochs=arguments.max_epochs, random_state=0).fit(X)
    expected = byol.transform(X)

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = save(byol, X, Path(folder))
        sizes = {name: path.stat().st_size / 1e6 for name, path in paths.items()}
        times = {}
        print(f"{'images at a time':<18}" + "".join(f"{n:>9}" for n in batches))
        for name, function in serve(paths).items():
            np.testing.assert_allclose(function(X), expected, 1e-3, 1e-4)
            times[name] = [
                milliseconds(function, X[:n], arguments.rounds) for n in batches
            ]
            print(f"{name:<18}" + "".join(f"{t:>9.4f}" for t in times[name]))
    torch.set_num_threads(n_threads)
    print(", ".join(f"{name} {size:.2f} MB" for name, size in sizes.items()))
    figure = draw(times, batches, sizes)
    figure.savefig(arguments.folder / "saving.png", dpi=150)


if __name__ == "__main__":
    main()
