"""Memory that a container may take, by control groups of both versions."""

import numpy as np
import psutil
import pytest
from PIL import Image

from sklearn_byol.images import _cache, _memory
from tests.conftest import quick

VERSION_2 = {"memory.max": "{limit}", "memory.current": "{used}"}
VERSION_1 = {"memory.limit_in_bytes": "{limit}", "memory.usage_in_bytes": "{used}"}
FREE = 10_000


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Make this process a member of control groups, each with a limit and a use."""
    monkeypatch.setattr(_memory, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(_memory, "MINE", tmp_path / "mine")
    free = psutil.virtual_memory()._replace(available=FREE)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    (tmp_path / "mine").write_text("", encoding="utf-8")

    def make(member, groups, files, stat):
        (tmp_path / "mine").write_text(f"4:cpu:/\n{member}\n", encoding="utf-8")
        for place, (limit, used) in groups.items():
            folder = tmp_path / "cgroup" / place
            folder.mkdir(parents=True, exist_ok=True)
            for name, number in files.items():
                text = number.format(limit=limit, used=used)
                (folder / name).write_text(f"{text}\n", encoding="utf-8")
            (folder / "memory.stat").write_text(stat, encoding="utf-8")

    return make


@pytest.mark.parametrize(
    ("groups", "left"),
    [
        ({".": (3_000, 1_000)}, 2_000),  # a container, whose group is the root
        ({"a/b": (5_000, 1_000), "a": (3_000, 2_500)}, 500),  # the job of a cluster
        ({"a/b": ("max", 1_000)}, FREE),
        ({"a/b": (90_000, 1_000)}, FREE),
        ({"a/b": (1_000, 1_200)}, 0),
        ({"elsewhere": (1_000, 0)}, FREE),
        ({}, FREE),
    ],
)
def test_the_tightest_limit_counts(group, groups, left):
    group("0::/a/b", groups, VERSION_2, "anon 7\n")
    assert _memory.available_memory() == left


def test_copies_of_files_are_dropped_before_a_process_ends(group):
    group("0::/", {".": (3_000, 2_900)}, VERSION_2, "anon 7\ninactive_file 2000\n")
    assert _memory.available_memory() == 2_100


def test_the_first_version_is_known_too(group):
    stat = "inactive_file 9\ntotal_inactive_file 500\n"
    group("7:memory:/docker/abc", {"memory": (3_000, 1_000)}, VERSION_1, stat)
    assert _memory.available_memory() == 2_500
    group("7:cpu,memory:/job", {"memory/job": (2_000, 1_000)}, VERSION_1, stat)
    assert _memory.available_memory() == 1_500


def test_without_groups_it_is_what_the_machine_has(group, tmp_path):
    assert _memory.available_memory() == FREE
    (tmp_path / "mine").unlink()
    assert _memory.available_memory() == FREE


def test_images_that_a_container_has_no_room_for_are_decoded_again(group, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index, image in enumerate(rng.integers(0, 256, (6, 8, 8), dtype=np.uint8)):
        Image.fromarray(image).save(folder / f"{index}.png")
    kept = []

    def decode_once(*args):
        loaded = _cache.decode_once(*args)
        kept.append(loaded[0] is not None)
        return loaded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn_byol.images._reader.decode_once", decode_once)
        quick().fit(folder)
        group("0::/", {".": (3_000, 2_900)}, VERSION_2, "")
        quick().fit(folder)
    assert kept == [True, False]
