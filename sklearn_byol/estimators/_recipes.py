"""Settings of published trainings, as parameters of BYOLTransformer."""

from typing import Any

OF_BOTH = {"views": "byol", "readout": 1, "projection_dim": 256}
OF_BOTH |= {"hog": 0, "mirror": 0, "unit_variance": False}
RECIPES: dict[str, dict[str, Any]] = {
    # Section 3.3 and appendix C of the paper; the batch of 4,096 needs 512 cores.
    "paper": {
        **OF_BOTH,
        "encoder": "resnet50",
        "hidden_dim": 4096,
        "momentum": 0.996,
        "optimizer": "lars",
        "lr": 3.2,
        "weight_decay": 1.5e-6,
        "warmup_epochs": 10,
        "batch_size": 4096,
        "max_epochs": 1000,
    },
    # lightly's benchmark. Its loss is a quarter of the paper's, so that SGD takes here
    # a quarter of its learning rate, 0.06 * 512 / 128, and four times its decay.
    "cifar10": {
        **OF_BOTH,
        "encoder": "resnet18",
        "hidden_dim": 1024,
        "momentum": 0.99,
        "optimizer": "sgd",
        "lr": 0.06,
        "weight_decay": 2e-3,
        "warmup_epochs": 0,
        "batch_size": 512,
        "max_epochs": 200,
    },
}


def recipe(name: str) -> dict[str, Any]:
    """Return the parameters of a published training.

    Pass them on, changed where you need to: a learning rate of LARS or SGD follows
    `batch_size`, so half the batch takes half of it.

    Parameters
    ----------
    name : {"paper", "cifar10"}
        "paper" is Grill et al. (2020) on ImageNet: ResNet-50, LARS, heads of 4,096,
        batches of 4,096, 1,000 epochs. "cifar10" is how lightly trains ResNet-18 on
        CIFAR-10: SGD, heads of 1,024, batches of 512, 200 epochs.

    Returns
    -------
    dict of str to object
        Parameters of `BYOLTransformer`.

    Raises
    ------
    ValueError
        If there is no recipe of this name.

    Examples
    --------
    >>> from sklearn_byol import BYOLTransformer, recipe
    >>> byol = BYOLTransformer(**recipe("paper") | {"batch_size": 256, "lr": 0.2})
    >>> byol.optimizer, byol.hidden_dim
    ('lars', 4096)
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(
            f"recipe must be one of {', '.join(map(repr, RECIPES))}. Got {name!r}."
        )
    return dict(RECIPES[name])
