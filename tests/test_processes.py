"""Trainings that many processes share."""

import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skorch.callbacks import Callback
from torch import nn

from sklearn_byol.estimators import _fitting
from sklearn_byol.networks._byol import build_byol_network
from sklearn_byol.training import _processes as processes
from sklearn_byol.training._device import resolve_device, resolve_precision
from sklearn_byol.training._processes import check_place
from tests import launched
from tests.conftest import quick

pytestmark = pytest.mark.xdist_group("processes")  # one launch serves many

SCRIPT = str(Path(launched.__file__))
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}
ALONE["PYTHONPATH"] = str(Path(SCRIPT).parents[1])
TASKS = ["defaults", "one_step", "same_images", "more_kinds", "callbacks", "errors"]
TASKS += ["search", "classifier", "long"]


def launch(n, folder, *tasks):
    """Launch a script as users do; return its exit status and its output."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]
    told = subprocess.run(
        [*command, str(n), SCRIPT, str(folder), *tasks],
        env=ALONE,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return told.returncode, told.stdout + told.stderr


def left(folder, task, n):
    """Load what each process has left."""
    return [
        torch.load(folder / f"{task}-{rank}.pt", weights_only=False)
        for rank in range(n)
    ]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes leave, one of which is killed in the last training."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "log").touch()
    status, output = launch(2, folder, *TASKS, "killed")
    ended = time.time()
    seconds = ended - float((folder / "signalled").read_text(encoding="utf-8"))
    return {
        **{task: left(folder, task, 2) for task in TASKS},
        "killed": (status, output, seconds),
        "folder": folder,
    }


@pytest.mark.slow
@pytest.mark.parametrize("task", ["defaults", "one_step", "search", "classifier"])
def test_all_processes_end_with_the_same_bits(two, task):
    one, other = two[task]
    assert one["digest"] == other["digest"]
    assert one["history"] == other["history"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["dropout", "idle weights", "baseline", "partial", "warm"]
)
def test_other_ways_to_train_end_with_the_same_bits(two, kind):
    one, other = (told[kind] for told in two["more_kinds"])
    assert one == other


@pytest.mark.slow
def test_four_processes_end_with_the_same_bits(tmp_path):
    status, output = launch(4, tmp_path, "defaults")
    assert status == 0, output
    first, *others = left(tmp_path, "defaults", 4)
    assert all(first == other for other in others)


@pytest.mark.slow
def test_the_gradient_is_that_of_the_mean_over_all_images(two):
    (one, other), gradients = two["one_step"], {}
    network = one["network"].train()
    n_images = [len(told["views"][0]) for told in (one, other)]
    assert n_images == [13, 12]
    for views, n in zip((one["views"], other["views"]), n_images, strict=True):
        q = [network.predictor(network.projector(network.encoder(v))) for v in views]
        z = [network.target(v).detach() for v in views]
        cosines = F.cosine_similarity(q[0], z[1]) + F.cosine_similarity(q[1], z[0])
        loss = (4 - 2 * cosines).mean()
        (loss * n / sum(n_images)).backward()
    gradients = {n: p.grad for n, p in network.named_parameters() if p.requires_grad}
    assert one["gradients"].keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert torch.equal(one["gradients"][name], other["gradients"][name])
        torch.testing.assert_close(
            one["gradients"][name], gradient, rtol=1e-4, atol=1e-6
        )


@pytest.mark.slow
def test_processes_draw_views_of_their_own(two):
    one, other = two["same_images"]
    assert not torch.isclose(one[0][:12], other[0]).all(dim=(1, 2, 3)).any()


@pytest.mark.slow
def test_a_process_that_stops_alone_stops_all(two):
    one, other = two["callbacks"]
    assert one["digest"] == other["digest"]
    assert one["history"] == other["history"]
    assert one["history"]["epoch"] == [1, 2]
    assert one["history"]["knn_accuracy"][1] > 0.2


@pytest.mark.slow
def test_the_first_process_alone_writes_logs(two):
    one, other = two["callbacks"]
    assert "Loss/train_loss" in one["tags"]
    assert other["tags"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("images", "X is 99 images .* in process 0 and 99 images .* in process 1"),
        ("parameters", "random_state is 0 in process 0 and 1 in process 1"),
        ("labels", "y is .* in process 0"),
        ("shares", "batch_size=3 .* fewer than two for each of 2 processes"),
        ("folder", "must be a folder"),
        ("threads", "RuntimeError: .*under torchrun take n_jobs=None"),
    ],
)
def test_what_cannot_be_shared_is_an_error_everywhere(two, task, message):
    for told in two["errors"]:
        assert re.search(message, told[task])


@pytest.mark.slow
def test_a_search_has_the_same_scores_in_all_processes(two):
    one, other = two["search"]
    np.testing.assert_array_equal(one["scores"], other["scores"])
    assert one["scores"].min() > 0.3


@pytest.mark.slow
def test_a_classifier_is_the_same_in_all_processes(two):
    one, other = two["classifier"]
    np.testing.assert_array_equal(one["probabilities"], other["probabilities"])


@pytest.mark.slow
def test_a_killed_process_ends_the_others_within_a_minute(two):
    status, output, seconds = two["killed"]
    assert status != 0
    assert seconds < 60
    assert "SIGKILL" in output


@pytest.fixture(scope="module")
def killed(two, tmp_path_factory):
    """Copies of the checkpoints that a killed training has left."""

    def copied():
        folder = tmp_path_factory.mktemp("killed")
        shutil.copytree(two["folder"] / "checkpoints", folder / "checkpoints")
        return folder

    return copied


@pytest.fixture(scope="module")
def resumed(killed):
    """What two processes make of it, and what they learn elsewhere."""
    folder = killed()
    status, output = launch(2, folder, "resumed", "learns")
    assert status == 0, output
    return {task: left(folder, task, 2) for task in ("resumed", "learns")}


@pytest.mark.slow
def test_a_killed_training_ends_as_if_it_had_not_been(two, resumed):
    one, other = resumed["resumed"]
    assert one == other
    whole = two["long"][0]
    assert one["digest"] == whole["digest"]
    for name in ("loss", "spread", "effective_rank", "lr"):
        assert one["history"][name] == whole["history"][name]


@pytest.mark.slow
def test_another_number_of_processes_goes_on(two, killed):
    settings = {"checkpoint": killed() / "checkpoints", "checkpoint_minutes": 0}
    byol = launched.make(max_epochs=launched.N_EPOCHS, **settings).fit(launched.X)
    whole = two["long"][0]["history"]
    assert byol.history_["loss"][:2] == whole["loss"][:2]
    assert byol.history_["loss"][3] == pytest.approx(whole["loss"][3], abs=0.5)
    assert byol.history_["lr"] == whole["lr"]


@pytest.mark.slow
def test_two_processes_learn_as_much_as_one(resumed):
    alone = launched.learns()["score"]
    shared = resumed["learns"][0]["score"]
    assert alone > 0.7
    assert shared == pytest.approx(alone, abs=0.06)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_a_process_that_answers_no_more_is_not_waited_for_for_ever(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    both = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(tmp_path), "hangs"],
            env={**ALONE, **place, "RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        _, said = both[0].communicate(timeout=120)
        ended = time.time()
    finally:
        both[1].kill()
        both[1].communicate()
    assert both[1].returncode == -signal.SIGKILL
    assert both[0].returncode == 1
    assert 4 < ended - float((tmp_path / "signalled").read_text(encoding="utf-8")) < 60
    assert "This was process 0 of 2 that trained together" in said


@pytest.fixture
def group_of_one(monkeypatch):
    """A process group with this process alone in it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free.getsockname()[1]}
    for name, value in {**place, "RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    if sys.platform == "darwin":  # gloo looks for the name of the machine, which may be
        monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo0")  # known nowhere
    yield
    torch.distributed.destroy_process_group()
    processes.ManyProcesses.has_failed = False


def test_a_group_of_one_trains_as_one_process_does(
    digits, tmp_path, group_of_one, monkeypatch
):
    X, _ = digits
    alone = quick(max_epochs=2, batch_size=50).fit(X)
    monkeypatch.setattr(_fitting, "join", processes.ManyProcesses)
    kept = {"checkpoint": tmp_path, "checkpoint_minutes": 0}
    grouped = quick(max_epochs=2, batch_size=50, **kept).fit(X)
    np.testing.assert_array_equal(grouped.transform(X), alone.transform(X))
    for name in ("loss", "spread", "effective_rank"):
        assert grouped.history_[name] == alone.history_[name]
    with pytest.raises(ValueError, match="holds another training"):
        quick(max_epochs=3, batch_size=50, **kept).fit(X)


def test_after_a_failure_the_group_is_not_used_again(digits, group_of_one, monkeypatch):
    monkeypatch.setattr(_fitting, "join", processes.ManyProcesses)

    class Fails(Callback):
        def on_batch_end(self, net, **kw):
            raise ConnectionError("power cut")

    with pytest.raises(ConnectionError) as caught:
        quick(callbacks=[Fails()]).fit(digits[0])
    assert "process 0 of 1 that trained together" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="Launch them again"):
        quick().fit(digits[0])


def test_a_group_that_has_no_backend_for_the_device_is_an_error(
    group_of_one, monkeypatch
):
    device = torch.device("cpu")
    processes.ManyProcesses(device)
    monkeypatch.setattr(torch.distributed, "get_backend_config", lambda: "cuda:nccl")
    with pytest.raises(RuntimeError, match=r"'cpu'.* backends for 'cuda:nccl' alone"):
        processes.ManyProcesses(device)


def test_a_diverged_training_is_seen_by_all_so_that_others_may_follow(
    digits, group_of_one, monkeypatch
):
    monkeypatch.setattr(_fitting, "join", processes.ManyProcesses)
    with pytest.raises(FloatingPointError):
        quick(lr=1e30, optimizer="sgd", max_epochs=3).fit(digits[0])
    assert quick().fit(digits[0]).n_iter_ == 1


def test_a_launch_that_says_not_where_the_others_are_is_an_error(digits, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    for name in ("RANK", "LOCAL_RANK", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match=r"no MASTER_PORT and no RANK\. "):
        quick().fit(digits[0])


@pytest.mark.parametrize("name", ["mps", "cuda:1", "cuda"])
def test_a_device_that_processes_cannot_share_is_an_error(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(RuntimeError, match=f"'{name}' in a process with LOCAL_RANK=0"):
        processes.join(torch.device(name))


def test_workers_of_a_launched_process_do_not_join(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_place()
    monkeypatch.setattr(multiprocessing.current_process(), "name", "LokyProcess-1")
    with pytest.raises(RuntimeError, match="begun in a worker process"):
        check_place()


@pytest.mark.parametrize(
    ("name", "rank", "expected"),
    [
        ("auto", "3", "cuda:3"),
        ("cuda", "1", "cuda:1"),
        ("cuda:1", "3", "cuda:1"),
        ("cpu", "3", "cpu"),
        ("auto", None, "cuda"),
        ("cuda:1", None, "cuda:1"),
    ],
)
def test_each_process_has_the_gpu_of_its_number(monkeypatch, name, rank, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    if rank is not None:
        monkeypatch.setenv("WORLD_SIZE", "4")
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert resolve_device(name) == torch.device(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cuda:0", torch.float32),
        ("cuda:1", torch.bfloat16),
        ("cuda:2", torch.float16),
    ],
)
def test_precision_is_that_of_the_gpu_that_is_used(monkeypatch, name, expected):
    current, capabilities = [], [(6, 1), (8, 0), (7, 5)]

    @contextmanager
    def choose(device):
        current.append(device.index)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", choose)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda **options: current == [1]
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda device: capabilities[device.index]
    )
    assert resolve_precision("auto", torch.device(name), (3, 32, 32)) == expected


def test_more_processes_than_gpus_are_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    with pytest.raises(ValueError, match="torch sees 2 CUDA devices"):
        resolve_device("auto")


def test_synchronised_batch_norm_works_on_the_same_tensors():
    encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    network = build_byol_network(encoder, 4 * 36, 16, 8)
    twin = processes.synchronised(network)
    kinds = [type(part) for part in twin.modules()]
    # In the encoder, the projector, the predictor, and the target network's two.
    assert kinds.count(nn.SyncBatchNorm) == 5
    assert nn.SyncBatchNorm not in map(type, network.modules())
    for one, other in zip(
        network.state_dict().values(), twin.state_dict().values(), strict=True
    ):
        assert one.data_ptr() == other.data_ptr()
    images = torch.rand(4, 1, 8, 8)
    twin.eval()
    network.eval()
    assert torch.equal(twin(images, images)[0], network(images, images)[0])


def test_weights_that_are_not_used_are_found():
    images = torch.rand(2, 1, 8, 8)
    idle = build_byol_network(launched.WithIdleWeights(), 16, 16, 8)
    busy = build_byol_network(launched.small(), 16, 16, 8)
    assert processes.has_idle_weights(idle, images)
    assert not processes.has_idle_weights(busy, images)
