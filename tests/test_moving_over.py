"""What other libraries have trained, by the code of a page, represents the same here.

The page is docs/comparison.rst. test_pages.py runs our blocks of it, this file theirs.
"""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.base import clone
from torchvision.transforms.functional import normalize, to_tensor

from sklearn_byol import BYOLTransformer, WeightsWarning
from tests.test_pages import DIRECTIVE, DOCS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # theirs
    pytest.mark.filterwarnings("error::sklearn_byol.WeightsWarning"),
]
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def blocks_of(section):
    """Return the code of a section, behind what is set up before all of them."""
    page = re.split(
        r"^(From .+)\n~+\n",
        (DOCS / "comparison.rst").read_text(encoding="utf-8"),
        flags=re.M,
    )
    assert section in page
    text = page[0] + page[page.index(section) + 1]
    return [textwrap.dedent(match["code"]) for match in DIRECTIVE.finditer(text)]


def in_short(code):
    """Return the same code with an epoch of two steps."""
    code = re.sub(r"(epochs ?= ?)[1-9]\d*", r"\g<1>1", code)
    return re.sub(r"(batch_size=)\d+", r"\g<1>4", code)


def run(section):
    """Run what the section has, with trainings of an epoch, and return all names."""
    names = {"__name__": "__main__"}
    for code in blocks_of(section):
        exec(compile(in_short(code), section, "exec"), names)
    return names


def tensors(images, mean=IMAGENET["mean"], std=IMAGENET["std"]):
    """Make tensors of images as torchvision does, normalised."""
    return normalize(torch.stack([to_tensor(image) for image in images]), mean, std)


def pictures():
    """Open the images of the page."""
    return [Image.open(path) for path in sorted(Path("images").glob("*.png"))]


def represent(network, images):
    """Represent images by a network that is not ours."""
    network.eval()
    with torch.no_grad():
        return network(images).numpy()


def assert_same(rows, expected):
    """Compare, but for rounding, which differs between sizes of batches."""
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5 * expected.max())


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_an_encoder_that_lightly_has_trained():
    pytest.importorskip("lightly")
    names = run("From lightly")
    assert names["backbone"].bn1.num_batches_tracked == 4  # two batches of two views
    assert_same(names["rows"], represent(names["backbone"], tensors(pictures())))


@pytest.mark.parametrize("prefix", ["backbone.", "backbone_momentum."])
def test_one_of_two_networks_of_a_whole_module_of_lightly(prefix, tmp_path):
    heads = pytest.importorskip("lightly.models.modules")

    def network():  # as in lightly's examples, without the last layer
        return torch.nn.Sequential(*[*torchvision.models.resnet18().children()][:-1])

    parts = {"backbone": network(), "backbone_momentum": network()}
    parts["projection_head"] = heads.BYOLProjectionHead(512, 1024, 256)
    torch.save(torch.nn.ModuleDict(parts).state_dict(), "whole.pth")
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    given = {"input_size": None, "max_epochs": 0}
    moved = BYOLTransformer("resnet18", weights=("whole.pth", prefix), **given)
    rows = moved.fit_transform(images)
    pixels = tensors(images)
    theirs = represent(parts[prefix.removesuffix(".")], pixels)[..., 0, 0]
    assert_same(rows, theirs)
    with pytest.raises(WeightsWarning, match=r"'backbone_momentum\.'"):
        clone(moved).set_params(weights="whole.pth").fit(images)


def test_an_encoder_that_byol_pytorch_has_trained():
    pytest.importorskip("byol_pytorch")
    names = run("From byol-pytorch")
    learner = names["learner"].eval()
    with torch.no_grad():
        images = normalize(names["images"], **IMAGENET)
        theirs = learner(images, return_embedding=True, return_projection=False)
    assert learner.net.bn1.num_batches_tracked > 1
    assert_same(names["rows"], theirs.numpy())


def test_a_frozen_network_of_embetter(monkeypatch):
    pytest.importorskip("embetter.vision")
    timm = pytest.importorskip("timm")
    create = timm.create_model

    def published(name, pretrained=False, **options):
        """Draw what would be fetched, and save it where the page looks for it."""
        network = create(name, **options)
        if pretrained:
            torch.save(network.state_dict(), "resnet18.pth")
        return network

    monkeypatch.setattr(timm, "create_model", published)
    names = run("From embetter, or a frozen network of timm")
    network = names["encoder"].model  # whose statistics have changed
    network.load_state_dict(torch.load("resnet18.pth"))
    images = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)
    frozen = clone(names["moved"]).set_params(max_epochs=0, image_shape=None)
    pixels = tensors(images)
    assert_same(frozen.fit_transform(images), represent(network, pixels))


def test_an_encoder_that_lightly_train_has_trained(monkeypatch):
    monkeypatch.setenv("LIGHTLY_TRAIN_EVENTS_DISABLED", "1")
    lightly_train = pytest.importorskip("lightly_train")
    names = run("From lightly-train")
    lightly_train.embed(
        out="embeddings.pth",
        data="images",
        checkpoint="out/checkpoints/last.ckpt",
        format="torch",
        image_size=(64, 64),
        num_workers=0,
    )
    embedded = torch.load("embeddings.pth", weights_only=True)
    theirs = embedded["embeddings"].numpy()[np.argsort(embedded["filenames"])]
    assert_same(names["rows"], theirs)


def byol_of_solo_learn(dataset):
    """Make solo-learn's module, with statistics that are not the first ones."""
    methods = pytest.importorskip("solo.methods")
    size = 16
    heads = {"proj_hidden_dim": size, "proj_output_dim": size, "pred_hidden_dim": size}
    config = {
        "method": "byol",
        "backbone": {"name": "resnet18"},
        "data": {"dataset": dataset, "num_classes": 2},
        "method_kwargs": heads,
        "optimizer": {"name": "lars", "batch_size": 8, "lr": 1.0},
        "scheduler": {"name": "warmup_cosine"},
        "momentum": {"base_tau": 0.99, "final_tau": 1.0},
        "max_epochs": 1,
    }
    config["data"] |= {"num_large_crops": 2, "num_small_crops": 0}
    config["optimizer"] |= {"weight_decay": 1e-5, "classifier_lr": 0.1}
    omegaconf = pytest.importorskip("omegaconf")
    module = methods.BYOL(omegaconf.OmegaConf.create(config))
    module.backbone(torch.rand(8, 3, 64, 64))
    return module


def test_encoders_of_solo_learn():
    of_photographs, of_cifar = map(byol_of_solo_learn, ["custom", "cifar10"])
    for name, module in {
        "byol-custom-dataset-0-ep=399.ckpt": of_photographs,
        "byol-cifar10-0-ep=999.ckpt": of_cifar,
    }.items():
        torch.save({"state_dict": module.state_dict()}, name)
    names = run("From solo-learn")
    theirs = represent(of_photographs.backbone, tensors(pictures()))
    assert_same(names["moved"].transform("images"), theirs)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    theirs = represent(of_cifar.backbone, tensors(pictures(), mean, std))
    assert_same(names["rows"], theirs)
