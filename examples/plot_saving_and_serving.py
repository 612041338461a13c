"""
Save an encoder, and serve it
=============================

An encoder is saved with joblib as the estimator that it is, its weights with
safetensors, and as a graph of ONNX and a program of ``torch.export``, which run without
this library. How large are the files, and how long does one image take, alone and in
batches? Needs ``pip install 'sklearn-byol[onnx,safetensors]' onnxruntime``.
"""

# %%
# Four files
# ----------
# An estimator that is loaded represents as before; weights are for other trainings; a
# graph takes the pixels as X has them, any number of images at a time; a program takes
# what `read_images` returns.

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

MAX_EPOCHS = 5
N_ROUNDS = 30
BATCHES = [1, 4, 16, 64, 256]

X, _ = load_digits(return_X_y=True)
byol = BYOLTransformer(max_epochs=MAX_EPOCHS, random_state=0).fit(X)

folder = tempfile.TemporaryDirectory()
names = ["byol.joblib", "encoder.safetensors", "encoder.onnx", "encoder.pt2"]
paths = [Path(folder.name, name) for name in names]

joblib.dump(byol, paths[0])
byol.to_safetensors(paths[1])
byol.to_onnx(paths[2], X[:1])
program = torch.export.export(
    byol.encoder_.cpu(),
    (byol.read_images(X[:2]),),
    dynamic_shapes=({0: torch.export.Dim("n_images")},),
)
torch.export.save(program, paths[3])
for path in paths:
    print(f"{path.name:<20} {path.stat().st_size / 1e6:.2f} MB")

# %%
# The same numbers from all
# -------------------------
# Each is loaded as it would be where it serves, with one thread. The digits go from 0
# to 16: the graph knows that, the program has to be told.

n_threads = torch.get_num_threads()
torch.set_num_threads(1)
loaded = joblib.load(paths[0])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(paths[2], options)
module = torch.export.load(paths[3]).module()


def run_graph(X):
    """Pixels to representations by ONNX Runtime."""
    return session.run(["representations"], {"X": X})[0]


def run_program(X):
    """Pixels to representations by what torch has exported."""
    images = torch.from_numpy(X).float().reshape(-1, *byol.image_shape_) / 16
    with torch.inference_mode():
        return module(images).numpy()


servers = {
    "transform": loaded.transform,
    "torch.export": run_program,
    "ONNX Runtime": run_graph,
}
expected = byol.transform(X)
for name, serve in servers.items():
    difference = np.abs(serve(X) - expected).max() / np.abs(expected).max()
    print(f"{name:<13} differs by {difference:.0e} of the largest number")

# %%
# Milliseconds an image
# ---------------------
# Medians of some rounds. A graph costs little to start, which is what counts for one
# image at a time; the more images, the more all of them wait for the same products.


def milliseconds(serve, X):
    """Median time of an image, in milliseconds, after a first round."""
    seconds = []
    for _ in range(N_ROUNDS + 1):
        start = time.perf_counter()
        serve(X)
        seconds.append(time.perf_counter() - start)
    return 1e3 * np.median(seconds[1:]) / len(X)


figure, axis = plt.subplots(figsize=(6.4, 4), layout="constrained")
print("images:      " + "".join(f"{n:>9}" for n in BATCHES))
for name, serve in servers.items():
    times = [milliseconds(serve, X[:n]) for n in BATCHES]
    axis.loglog(BATCHES, times, marker="o", label=name)
    print(f"{name:<13}" + "".join(f"{t:9.4f}" for t in times))
axis.set(xlabel="images at a time", ylabel="milliseconds an image, one thread")
axis.set_xticks(BATCHES, BATCHES)
axis.minorticks_off()
axis.grid(alpha=0.3)
axis.legend()
figure.savefig("saving.png", dpi=150)

torch.set_num_threads(n_threads)
folder.cleanup()
# sphinx_gallery_thumbnail_path = 'pictures/thumbnail_saving_and_serving.png'
