"""What using the library costs besides the arithmetic."""

import os
import platform
import subprocess
import sys

import pytest
from joblib import Parallel, delayed


def run(code, *options):
    return subprocess.run(
        [sys.executable, "-c", code, *options],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


@pytest.mark.slow
def test_import_brings_neither_torchvision_nor_compilers():
    found = set(run("import sklearn_byol, sys; print(*sys.modules)"))
    found -= set(run("import torch, sys; print(*sys.modules)"))  # some do by themselves
    assert "skorch" in found
    slow = {"torchvision", "torch._dynamo", "torch._inductor", "triton", "sympy"}
    slow |= {"matplotlib.pyplot", "timm", "datasets"}
    assert not slow & found


def n_threads():
    import torch  # noqa: PLC0415  in the worker

    import sklearn_byol  # noqa: F401, PLC0415

    return torch.get_num_threads()


@pytest.mark.slow
def test_workers_of_joblib_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")  # joblib sets it where nobody has
    counts = Parallel(2, backend="loky")(delayed(n_threads)() for _ in range(2))
    assert sum(counts) <= max(2, os.cpu_count() or 2)


FITS = """
import numpy as np, warnings
warnings.simplefilter("ignore")
from sklearn_byol import BYOLTransformer
X = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
def resident():
    status = open("/proc/self/status").read()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
for index in range(33):
    BYOLTransformer(max_epochs=1, batch_size=32, device="cpu").fit(X).transform(X)
    if index == 2:
        before = resident()
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_thirty_fits_do_not_grow():
    # A network with its target and its optimizer is 20 MB: one that stayed a fit
    # would make 600.
    assert float(run(FITS)[0]) < 60


FAULTS = """
import resource, sys, numpy as np
from skorch.callbacks import Callback
from sklearn_byol import BYOLTransformer
from sklearn_byol.training import _device
if "plain" in sys.argv:
    _device._set_thresholds = lambda trim, mmap: None
class Faults(Callback):
    def on_epoch_end(self, net, **others):
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
X = np.random.default_rng(0).integers(0, 256, (256, 32, 32, 3), dtype=np.uint8)
BYOLTransformer(
    max_epochs=6, batch_size=128, device="cpu", precision="float32",
    callbacks=[Faults()],
).fit(X)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="memory of glibc")
def test_memory_is_kept_between_steps(monkeypatch):
    # How much glibc returns by itself depends on where blocks happen to lie: with this
    # variable it is every large one. The first epochs fill the memory, with or without.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(128 * 1024))
    kept, plain = (
        [int(line) for line in run(FAULTS, *options)] for options in ((), ("plain",))
    )
    assert kept[-1] - kept[1] < 0.1 * (plain[-1] - plain[1])
