"""Parts of a step that compute side by side on a GPU once they are recorded.

A kernel of a small network leaves most of a GPU idle. The target network needs nothing
of the online one, view 2 nothing of view 1, and so do the backward passes of the views.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor

from sklearn_byol.networks._byol import BYOLNetwork, BYOLOutput
from sklearn_byol.training._batches import Batch
from sklearn_byol.views._pair import ViewPair


class Branch:
    """A stream of a GPU beside the current one."""

    def __init__(self, device: torch.device | int) -> None:
        self.stream = torch.cuda.Stream(device)

    @staticmethod
    def is_of_use() -> bool:
        """Tell whether work is recorded; what is launched one by one gains nothing."""
        return torch.cuda.is_current_stream_capturing()

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Compute what is inside after what was before, and beside what follows."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            yield

    def end(self, *results: Tensor) -> None:
        """Let what follows wait for the branch, and use results that do not outlive it.

        What outlives the recording needs no such care. It must have none: to free a
        tensor that streams have shared ends a forked process.
        """
        current = torch.cuda.current_stream()
        current.wait_stream(self.stream)
        for result in results:
            result.record_stream(current)


@functools.cache
def branches_of(device: int, stream: int) -> list[Branch]:
    """Return three branches beside a stream of a GPU, the same for all trainings there.

    cuBLAS keeps memory for each stream that it was used on as long as a process lives.
    Trainings on one stream have one step after the other, and one of them records at a
    time, so that they can share it.
    """
    return [Branch(device) for _ in range(3)]


def views_side_by_side(
    pair: Callable[[Tensor, Generator], Batch], branch: Branch
) -> Callable[[Tensor, Generator], Batch]:
    """Draw view 1 beside view 2; both have the draws that they have one by one."""

    def draw(images: Tensor, generator: Generator) -> Batch:
        if not (isinstance(pair, ViewPair) and branch.is_of_use()):
            return pair(images, generator)
        law_1, law_2 = pair.laws
        with branch.begun():
            view_1 = law_1(images, generator)
        view_2 = law_2(images, generator)
        branch.end()
        return view_1, view_2

    return draw


def passes_side_by_side(
    network: BYOLNetwork, second: Branch, third: Branch
) -> Callable[[Tensor, Tensor], BYOLOutput]:
    """Do what the network's forward pass does, the target network's part beside it.

    Batch norm sees the views one after the other, as it does otherwise, and its
    statistics are the same. Backward passes run where their forward passes ran.
    """

    def forward(view_1: Tensor, view_2: Tensor) -> BYOLOutput:
        if not second.is_of_use():
            output: BYOLOutput = network(view_1, view_2)
            return output
        with third.begun(), torch.no_grad():
            targets = network.target(view_1), network.target(view_2)
        projection_1 = network.projector(network.encoder(view_1))
        with second.begun():
            projection_2 = network.projector(network.encoder(view_2))
        second.end(projection_2)
        third.end(*targets)
        predictions = network.predictor(projection_1), network.predictor(projection_2)
        return BYOLOutput(*predictions, *targets, projection_1.detach())

    return forward
