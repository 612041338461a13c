"""Weights of other trainings: matched by name and shape, and put in."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from sklearn_byol.exceptions import WeightsWarning, warn
from sklearn_byol.networks._weights_file import Weights, some

LEAST_SHARE = 0.25  # of the names of a file, or of an encoder, for one to be the other
SILENCE = "Silence this by filtering sklearn_byol.exceptions.WeightsWarning."
# Files that torchvision publishes have "norm.1" where its networks have "norm1".
OF_DENSENETS = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
N_WHOLE = 2  # ways of naming that are of all of an encoder, which come first
STATISTICS = "normalize."  # of what goes in, at the beginning of an encoder's names
AFTER = "scale."  # of what comes out


@dataclass(frozen=True)
class Match:
    """Which tensors of a file are which of an encoder."""

    weights: Weights  # by the names of the encoder
    missing: list[str]  # names of the encoder that begin at random
    unused: list[str]  # names of the file
    misshapen: list[str]  # what is said of tensors that agree in name and not in shape
    beyond: list[str]  # names of the file that go on where the encoder ends
    prefix: str = ""  # of the names of the file
    others: list[str] = field(default_factory=list)  # prefixes of networks that fit too

    @property
    def n_values(self) -> int:
        """Count the numbers that are taken over."""
        return sum(tensor.numel() for tensor in self.weights.values())

    def rank(self, chosen: str | None) -> tuple[int, bool, int]:
        """Tell how much is taken over; where nothing is, how much has the names."""
        return self.n_values, self.prefix == chosen, len(self.misshapen)

    @property
    def matrices(self) -> Weights:
        """Take what a network computes with; statistics may be there or not."""
        named = self.weights.items()
        return {name: w for name, w in named if w.ndim > 1 and _is_random(name)}

    def is_rival(self, other: "Match") -> bool:
        """Tell whether this is another network of the file that fits as well."""
        mine, theirs = self.matrices, other.matrices
        if not mine or self.prefix == other.prefix or mine.keys() != theirs.keys():
            return False
        return not all(torch.equal(mine[name], theirs[name]) for name in mine)

    def load(self, encoder: nn.Sequential, source: str) -> None:
        """Put the weights in; warn of what else there is."""
        n_taken = len(self.matrices)
        if not n_taken or len(self.misshapen) > n_taken:
            absent = [f"{name} is not there" for name in self.missing]
            raise ValueError(
                f"weights={source!r} does not fit the encoder: "
                f"{some(self.misshapen or absent)}. The file has "
                f"{some(self.unused)}. Choose the encoder that the weights were "
                "trained in."
            )
        strange = [name for name, tensor in self.weights.items() if _is_strange(tensor)]
        if strange:
            raise ValueError(
                f"weights={source!r} holds tensors without values, or values that are "
                f"infinite, not a number or complex: {some(strange)}. Choose the "
                "plain state_dict() of a training that went well."
            )
        encoder.load_state_dict(self.weights, strict=False)
        self._warn_of_the_rest(encoder, source)

    def _warn_of_the_rest(self, encoder: nn.Sequential, source: str) -> None:
        """Warn of other networks in the file, and of what is not matched."""
        if self.others:
            warn(
                f"weights={source!r} holds several networks that fit the encoder: "
                f"{some([repr(name) for name in (self.prefix, *self.others)])} begin "
                f"their names. {self.prefix!r} is taken, the first; choose by "
                f"weights=({source!r}, {self.others[0]!r}). {SILENCE}",
                WeightsWarning,
            )
        if self.missing:
            n_random = sum(map(_is_random, encoder.state_dict()))
            warn(
                f"{len(self.missing)} of {n_random} tensors of the encoder are not in "
                f"weights={source!r} and begin at random: "
                f"{some(self.misshapen or self.missing)}. Not used: "
                f"{some(self.unused)}. {self._said_of_the_end(encoder)}{SILENCE}",
                WeightsWarning,
            )
        if self.beyond:
            warn(
                f"weights={source!r} is of a deeper network than the encoder, which "
                f"leaves out {some(self.beyond)} and may make little sense of the "
                "rest. Choose the encoder that the weights were trained in. "
                f"{SILENCE}",
                WeightsWarning,
            )

    def _said_of_the_end(self, encoder: nn.Sequential) -> str:
        """Say that representations come out of a random layer, if they do."""
        own = encoder.state_dict().items()
        last = [name for name, w in own if w.ndim > 1 and _is_random(name)][-1]
        if last not in self.missing:
            return ""
        return (
            f"{last.rpartition('.')[0]}, the last layer by name, begins at random: if "
            "it is a head, representations come out of a random layer, and it is to "
            "be replaced by torch.nn.Identity(). "
        )


def best_match(
    found: Weights,
    encoder: nn.Sequential,
    prefix: str | None = None,
    *,
    is_stated: bool = False,
) -> Match:
    """Match by the prefix, and the way of naming layers, that takes over most.

    Statistics that are stated of what goes in are left as they are. Where several
    networks of a file fit, that with the prefix that was chosen is taken.
    """
    own = {
        name: tensor
        for name, tensor in encoder.state_dict().items()
        if not (is_stated and name.startswith(STATISTICS))
    }
    if any("denselayer1.norm1." in name for name in own):
        found = {OF_DENSENETS.sub(r"\1\2", name): w for name, w in found.items()}
    least = LEAST_SHARE * min(len(own), len(found))
    matches = [_match(found, {}, own, "")] + [
        _match(found, used, own, begins)
        for number, names in enumerate(_ways_of_naming(encoder, own, least))
        for begins, used in _agreeing(found, names).items()
        # Deep in a network, or of a file, names like "0.weight" agree by chance.
        if len(used) >= least or (number < N_WHOLE and not begins)
    ]
    networks: list[Match] = []
    for match in sorted(matches, key=lambda match: match.rank(prefix), reverse=True):
        if all(match.is_rival(other) for other in networks):
            networks.append(match)
    for match in networks:
        if match.prefix == prefix:
            return match
    best, *others = networks
    return replace(best, others=[match.prefix for match in others])


def _ways_of_naming(
    encoder: nn.Sequential, own: Weights, least: float
) -> Iterator[dict[str, str]]:
    """Map names that a file may use to names of the encoder, in each way there is."""
    yield {name: name for name in own}
    for path, network in _networks_in(encoder, least):
        inner = {name: f"{path}.{name}" for name in network.state_dict()}
        yield inner
        alone = {name: ours for name, ours in inner.items() if "." not in name}
        yield alone | {  # as in nn.Sequential(*network.children())
            f"{number}.{name}": f"{path}.{child}.{name}"
            for number, (child, module) in enumerate(network.named_children())
            for name in module.state_dict()
        }


def _networks_in(
    encoder: nn.Sequential, least: float
) -> Iterator[tuple[str, nn.Module]]:
    """Find the network, and all parts of it that hold as many names as must agree.

    A user's module may keep the network that a file is of among its parts.
    """
    network = encoder.get_submodule("network")
    yield "network", network
    for path, part in network.named_modules():
        if path and [*part.children()] and len(part.state_dict()) >= least:
            yield f"network.{path}", part


def _agreeing(found: Weights, names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Map names of the file to the encoder's, for each prefix they agree behind."""
    # Libraries put a prefix in front of the names of a network ("module.", "backbone.",
    # "encoder.", "model." and chains of these). Where several fit as well, as those of
    # a target network do, the first in the file is taken.
    agreeing: dict[str, dict[str, str]] = {}
    for name in found:
        for begin in (0, *(dot.end() for dot in re.finditer(r"\.", name))):
            if ours := names.get(name[begin:]):
                agreeing.setdefault(name[:begin], {})[name] = ours
    return agreeing


def _match(found: Weights, used: dict[str, str], own: Weights, prefix: str) -> Match:
    """Match names of a file to those of the encoder's own; shapes must be equal."""
    weights, misshapen = {}, []
    # What is deep in a network may have the names of something else.
    n_behind = sum(name.startswith(prefix) for name in found)
    is_compared = n_behind >= LEAST_SHARE * len(found)
    for name, ours in used.items():
        tensor, shape = _for_channels(found[name], own[ours].shape), own[ours].shape
        if tensor.shape == shape:
            weights[ours] = tensor
        else:
            misshapen.append(
                f"{name} has the shape {tuple(tensor.shape)} in the file and "
                f"{tuple(shape)} in the encoder"
                if is_compared
                else f"{ours} is not there"
            )
    missing = [ours for ours in own if ours not in weights and _is_random(ours)]
    unused = [name for name in found if name not in used]
    beyond = [name for name in unused if _follows(name, used, found)]
    return Match(weights, missing, unused, misshapen, beyond, prefix)


def _follows(name: str, used: Mapping[str, str], found: Weights) -> bool:
    """Tell whether a matrix has the number after one that is used, and its shape."""
    ahead = (
        f"{name[: number.start()]}{int(number[0]) - 1}{name[number.end() :]}"
        for number in re.finditer(r"\d+(?=\.)", name)
    )
    return found[name].ndim > 1 and any(
        other in used and found[other].shape == found[name].shape for other in ahead
    )


def _for_channels(weight: Tensor, shape: torch.Size) -> Tensor:
    """Repeat what a first layer makes of three colours for other channels."""
    is_of_colours = weight.ndim == len(shape) == 4 and weight.shape[1] == 3
    # Gray images are left alone: they can go into all three.
    if not is_of_colours or shape[1] in {1, 3} or weight.shape[2:] != shape[2:]:
        return weight
    repeated = weight.repeat(1, -(-shape[1] // 3), 1, 1)[:, : shape[1]]
    return repeated * (3 / shape[1])


def _is_random(name: str) -> bool:
    """Tell whether a tensor begins at random where no weights are given."""
    is_statistic = name.startswith((STATISTICS, AFTER))
    return not is_statistic and "num_batches_tracked" not in name


def _is_strange(tensor: Tensor) -> bool:
    """Tell what no encoder can compute with: sparse, quantized, complex, not finite."""
    is_dense = tensor.layout == torch.strided and not tensor.is_quantized
    if not is_dense or tensor.is_meta or tensor.is_complex():
        return True
    return not bool(tensor.isfinite().all())
