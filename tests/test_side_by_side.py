"""What computes side by side on a GPU computes the same; that takes no GPU."""

import copy
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from sklearn_byol.networks._byol import build_byol_network
from sklearn_byol.networks._encoders import EncoderSpecification
from sklearn_byol.training._side_by_side import (
    branches_of,
    passes_side_by_side,
    views_side_by_side,
)
from sklearn_byol.views._pair import views_for


class Written:
    """A branch that is computed in its place, and written down."""

    def __init__(self, lines, name):
        self.lines, self.name = lines, name

    def is_of_use(self):
        return True

    @contextmanager
    def begun(self):
        self.lines.append(f"{self.name} begins")
        yield
        self.lines.append(f"{self.name} has begun")

    def end(self, *results):
        self.lines.append(f"{self.name} ends, {len(results)} results")


@pytest.fixture(params=["auto", "resnet18"])
def network(request):
    torch.manual_seed(0)
    encoder = EncoderSpecification(request.param, (3, 32, 32), [0.5] * 3, [0.2] * 3)
    n_dims = 512 if request.param == "resnet18" else 1728
    return build_byol_network(encoder.build(), n_dims, 16, 8).train()


def test_passes_give_what_the_network_gives(network):
    views = torch.rand(2, 4, 3, 32, 32)
    other, lines = copy.deepcopy(network), []
    branches = Written(lines, "view 2"), Written(lines, "target")
    first = other.predictor[0]
    first.register_forward_pre_hook(
        lambda *given: lines.append("predicts"), prepend=True
    )
    outputs = network(*views), passes_side_by_side(other, *branches)(*views)
    for expected, given in zip(*outputs, strict=True):
        assert torch.equal(expected, given)
    for output in outputs:
        sum(tensor.square().sum() for tensor in output[:2]).backward()
    for (name, expected), given in zip(
        network.named_parameters(), other.parameters(), strict=True
    ):
        assert (expected.grad is None) == (given.grad is None), name
        assert expected.grad is None or torch.equal(expected.grad, given.grad), name
    buffers = other.state_dict()
    for name, expected in network.state_dict().items():
        assert torch.equal(expected, buffers[name]), name
    # Results are waited for after the branch that gives them has begun.
    assert lines.index("target begins") < lines.index("view 2 begins")
    assert lines[-4:] == [
        "view 2 ends, 1 results",
        "target ends, 2 results",
        "predicts",
        "predicts",
    ]


@pytest.mark.parametrize("name", ["byol", "natural", "gray"])
def test_views_are_those_that_are_drawn_one_by_one(name):
    images = torch.rand(6, 3, 40, 40)
    pair, _ = views_for(name, (3, 40, 40))
    lines = []
    side_by_side = views_side_by_side(pair, Written(lines, "view 1"))
    drawn = [
        draw(images, torch.Generator().manual_seed(3)) for draw in (pair, side_by_side)
    ]
    for expected, given in zip(*drawn, strict=True):
        assert torch.equal(expected, given)
    assert lines == ["view 1 begins", "view 1 has begun", "view 1 ends, 0 results"]


def test_what_a_function_draws_is_left_as_it_is():
    def pair(images, generator):
        return images, -images

    draw = views_side_by_side(pair, Written([], "view 1"))
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(draw(images, torch.Generator())[1], -images)


def test_trainings_of_a_gpu_share_its_branches(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: [device])
    branches_of.cache_clear()
    one, again, other = (branches_of(*key) for key in ((0, 0), (0, 0), (1, 0)))
    branches_of.cache_clear()
    assert one is again
    assert [branch.stream for branch in other] == [[1]] * 3


def test_nothing_is_put_beside_what_is_not_recorded():
    class Idle:
        def is_of_use(self):
            return False

    network = nn.Identity()
    network.forward = lambda view_1, view_2: (view_1, view_2)
    assert passes_side_by_side(network, Idle(), Idle())(1, 2) == (1, 2)
