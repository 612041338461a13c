"""Time to draw two views of a batch: ours, torchvision's and kornia's.

    python benchmarks/views.py --sides 32,64,96,224 --rounds 5 --json views.json

Every contender draws by the paper's law (crop, flip, jitter, grayscale; above 32 pixels
blur and solarization too) from uint8 images to two float batches in [0, 1]. They take
turns, round after round; the table has medians in microseconds an image, the spread of
the rounds, and how many times as long as ours each takes. kornia is left out, and said
to be, where it is not installed. Needs the extra `benchmark` for kornia and pillow.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import torch
from machine import describe
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from sklearn_byol.views._pair import views_for

try:
    import kornia
    import kornia.augmentation as K
except ImportError:
    kornia = None

VALUES = 256 * 3 * 64 * 64  # of a batch, at most: large images come in small batches
N_WORKERS = os.cpu_count() or 1


def torchvision_law(side, view):
    """Compose the paper's law for one image."""
    steps = [
        v2.RandomResizedCrop(side, scale=(0.08, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
        v2.RandomGrayscale(0.2),
    ]
    if side > 32:
        kernel = 2 * max(1, round(side / 20)) + 1
        blur = v2.GaussianBlur(kernel, (0.1, 2.0))
        steps.append(v2.RandomApply([blur], p=(1.0, 0.1)[view]))
    if view == 1:
        steps.append(v2.RandomSolarize(128, p=0.2))
    steps += [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    return v2.Compose(steps)


class Pairs(Dataset):
    """Two views of each image, for a DataLoader."""

    def __init__(self, images, law_1, law_2):
        self.images, self.law_1, self.law_2 = images, law_1, law_2

    def __len__(self):
        """Count the images."""
        return len(self.images)

    def __getitem__(self, index):
        """Draw two views of one image."""
        image = self.images[index]
        return self.law_1(image), self.law_2(image)


def ours(images, device):
    """sklearn_byol on the device."""
    side = images.shape[-1]
    pair, chosen = views_for("byol", tuple(images.shape[1:]))
    generator = torch.Generator(device).manual_seed(0)
    resident = images.to(device)
    assert chosen.blur[0] == float(side > 32)
    return lambda: pair(resident.float().div_(255), generator)


def torchvision_tensors(images, device):
    """Torchvision v2, image by image, on uint8 tensors."""
    side = images.shape[-1]
    laws = [torchvision_law(side, view) for view in (0, 1)]
    return lambda: [
        torch.stack([law(image) for image in images]).to(device) for law in laws
    ]


def torchvision_pil(images, device):
    """Torchvision v2, image by image, on PIL images."""
    side = images.shape[-1]
    laws = [torchvision_law(side, view) for view in (0, 1)]
    pictures = [v2.functional.to_pil_image(image) for image in images]
    return lambda: [
        torch.stack([law(picture) for picture in pictures]).to(device) for law in laws
    ]


def torchvision_workers(images, device):
    """Torchvision v2 on uint8 tensors in one DataLoader worker a core."""
    laws = [torchvision_law(images.shape[-1], view) for view in (0, 1)]
    n = len(images)
    # Four batches a call, so that the workers are busy; the time is divided by four.
    loader = DataLoader(
        Pairs(images.repeat(4, 1, 1, 1), *laws),
        batch_size=n,
        num_workers=N_WORKERS,
        persistent_workers=True,
    )
    return lambda: [[view.to(device) for view in pair] for pair in loader]


def kornia_law(images, device):
    """Kornia on float batches on the device, each image with its own draws."""
    side = images.shape[-1]

    def law(view):
        steps = [
            K.RandomResizedCrop((side, side), scale=(0.08, 1.0)),
            K.RandomHorizontalFlip(),
            K.ColorJitter(0.4, 0.4, 0.2, 0.1, p=0.8),
            K.RandomGrayscale(p=0.2),
        ]
        if side > 32:
            kernel = 2 * max(1, round(side / 20)) + 1
            steps.append(
                K.RandomGaussianBlur((kernel,) * 2, (0.1, 2.0), p=(1.0, 0.1)[view])
            )
        if view == 1:
            steps.append(K.RandomSolarize(thresholds=0.0, additions=0.0, p=0.2))
        return torch.nn.Sequential(*steps)

    resident, laws = images.to(device), [law(0), law(1)]
    return lambda: [law(resident.float().div_(255)) for law in laws]


CONTENDERS = {
    "sklearn_byol": (ours, 1),
    "torchvision, uint8": (torchvision_tensors, 1),
    "torchvision, PIL": (torchvision_pil, 1),
    f"torchvision, {N_WORKERS} workers": (torchvision_workers, 4),
    "kornia": (kornia_law, 1),
}


def seconds(function, device):
    """Time one call."""
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def measure(side, n_rounds, device):
    """Microseconds an image of every contender, round by round."""
    n = max(8, min(256, VALUES // (3 * side * side)))
    images = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8)
    functions = {
        name: make(images, device)
        for name, (make, _) in CONTENDERS.items()
        if name != "kornia" or kornia is not None
    }
    for function in functions.values():
        function()
    rounds = {name: [] for name in functions}
    for _ in range(n_rounds):
        for name, function in functions.items():
            n_batches = CONTENDERS[name][1]
            rounds[name].append(seconds(function, device) / (n * n_batches) * 1e6)
    return n, rounds


def print_table(side, n, rounds):
    """Medians, spread, and how many times as long as ours."""
    base = rounds["sklearn_byol"]
    print(f"\n{side} px, batches of {n}")
    print(f"{'':<24}{'us/image':>10}{'min':>9}{'max':>9}{'x ours':>9}")
    for name, values in rounds.items():
        ratio = statistics.median(
            value / ours for value, ours in zip(values, base, strict=True)
        )
        print(
            f"{name:<24}{statistics.median(values):>10.1f}{min(values):>9.1f}"
            f"{max(values):>9.1f}{ratio:>9.2f}"
        )


def main():
    """Run, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", default="32,64,96,224")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    where = describe(device, "kornia", "pillow")
    print(json.dumps(where, indent=1))
    figures = {}
    for side in map(int, arguments.sides.split(",")):
        n, rounds = measure(side, arguments.rounds, device)
        print_table(side, n, rounds)
        figures[side] = {"n_images": n, "us_per_image": rounds}
    if arguments.json:
        arguments.json.write_text(json.dumps({**where, "sides": figures}, indent=1))


if __name__ == "__main__":
    main()
