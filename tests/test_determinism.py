"""The same seed on the same machine with the same threads gives the same bits."""

import os
import subprocess
import sys

import pytest

FIT = """
import hashlib, sys, warnings
import numpy as np, torch
from sklearn_byol import BYOLTransformer
warnings.simplefilter("ignore")
torch.set_num_threads(1)
if sys.argv[1] == "cuda":
    torch.use_deterministic_algorithms(True)
X = np.random.default_rng(0).integers(0, 256, (48, 16, 16, 3), dtype=np.uint8)
byol = BYOLTransformer(
    hidden_dim=16, projection_dim=8, max_epochs=2, batch_size=16, device=sys.argv[1],
    views=("byol", "lab"), random_state=0,
).fit(X)
found = hashlib.sha256()
for name, tensor in sorted(byol.encoder_.state_dict().items()):
    found.update(tensor.cpu().numpy().tobytes())
found.update(byol.transform(X).tobytes())
found.update(repr(byol.history_["loss"]).encode())
print(found.hexdigest())
"""


def digest(device="cpu", **environment):
    """The bits of a fit in a new process."""
    return subprocess.run(
        [sys.executable, "-c", FIT, device],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout.split()[-1]


@pytest.mark.slow
def test_processes_and_hash_seeds_do_not_change_a_bit():
    found = {digest(PYTHONHASHSEED=seed) for seed in ("0", "4294967295")}
    assert len(found) == 1


@pytest.mark.slow
@pytest.mark.gpu
def test_a_gpu_gives_the_same_bits_with_deterministic_algorithms():
    found = {digest("cuda", CUBLAS_WORKSPACE_CONFIG=":4096:8") for _ in range(2)}
    assert len(found) == 1
