"""Images that are larger than the memory which fit and transform may take."""

import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow

N_IMAGES, SIDE = 30_000, 64  # 369 MB

# RLIMIT_DATA counts what a process allocates, not the pages of a file that it maps.
CODE = """
import resource, sys
import numpy as np, torch
from torch import nn
from torch.utils.data import Dataset
from sklearn_byol import BYOLTransformer

class Streamed(Dataset):
    def __init__(self, n_images):
        self.n_images = n_images
    def __len__(self):
        return self.n_images
    def __getitem__(self, index):
        return X[index]

def encoder():
    layers = nn.AvgPool2d(16), nn.Flatten(), nn.Linear(48, 8), nn.BatchNorm1d(8)
    return nn.Sequential(*layers)

torch.set_num_threads(1)
X = np.memmap(sys.argv[1], np.uint8, "r", shape=({n_images}, {side}, {side}, 3))
byol = BYOLTransformer(encoder, views="jitter", hidden_dim=8, projection_dim=8,
    max_epochs=1, random_state=0, device="cpu", precision="float32")
n = 300
byol.fit(X[:n]).transform({transformed})
for line in open("/proc/self/status"):
    if line.startswith("VmData"):
        now = int(line.split()[1]) * 1024
limit = now + int(sys.argv[2]) * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
n = {n_images}
rows = byol.transform({transformed})
if {fits}:
    byol.fit(X)
print(rows.shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("transformed", "fits", "megabytes", "succeeds"),
    [
        ("X[:n]", True, 120, True),
        ("Streamed(n)", False, 120, True),
        ("X[:n] + 0", False, 120, False),
    ],
)
def test_images_are_never_copied_as_a_whole(
    tmp_path, transformed, fits, megabytes, succeeds
):
    path = tmp_path / "images.dat"
    block = np.random.default_rng(0).integers(0, 256, 2**20, dtype=np.uint8).tobytes()
    n_bytes = N_IMAGES * SIDE * SIDE * 3
    with path.open("wb") as file:
        for start in range(0, n_bytes, len(block)):
            file.write(block[: n_bytes - start])
    code = CODE.format(n_images=N_IMAGES, side=SIDE, transformed=transformed, fits=fits)
    told = subprocess.run(
        [sys.executable, "-c", code, str(path), str(megabytes)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode == 0) == succeeds, told.stderr
    if succeeds:
        assert told.stdout.split("\n")[0] == f"({N_IMAGES}, 8)"
    else:
        assert "MemoryError" in told.stderr
