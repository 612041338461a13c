"""The options of the command: its own, and each parameter of the transformer."""

import argparse
import ast
import inspect
import re
from numbers import Integral
from typing import Any

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_byol.estimators._transformer import BYOLTransformer
from sklearn_byol.views._presets import PRESETS

NOT_HERE = frozenset({"callbacks", "verbose", "warm_start"})
WORDS = frozenset({"cache", "checkpoint", "encoder"})  # never numbers, as folders are
USAGE = """
Values are words, or written as in Python: 0.5, None, True. A training from scratch has
100 epochs. On photographs begin with a network that knows ImageNet: --encoder resnet18
--weights pretrained. Images of different sizes, and those larger than 64 pixels, are
brought to 64x64, or with --weights to 160x160; --image-shape 96 is another size.
"""
# Values that a parameter's constraints do not tell.
EXAMPLES = {
    "encoder": "auto, resnet18, timm/efficientnet_lite0",
    "weights": "pretrained, or a file of weights",
    "views": ", ".join(["auto", *PRESETS]),
    "image_shape": "96, or 64,64 or 64,64,5",
    "pixel_range": "auto, or 0,4095",
    "device": "auto, cpu, cuda, cuda:1, mps",
    "freeze": "layer1 of a ResNet",
    "cache": "a folder",
    "checkpoint": "a folder",
    "n_jobs": "2, or -1 for all cores",
    "random_state": "0",
}


def arguments() -> argparse.ArgumentParser:
    """Make the parser of what is typed."""
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_byol",
        usage="%(prog)s FOLDER --out FILE [--PARAMETER VALUE ...]",
        description="Train BYOL on all images below a folder, without labels, and save "
        "a fitted BYOLTransformer with joblib. Two pictures are saved beside it: views "
        "that it learned from, and images next to those that it finds most similar.",
        epilog=USAGE,
        allow_abbrev=False,
    )
    parser.add_argument("folder", help="where the images are; subfolders are read too")
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="the file to write, such as model.joblib, outside of FOLDER",
    )
    parser.add_argument(
        "--follow-links",
        action="store_true",
        help="follow links that lead out of the folder, also to other folders",
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--traceback", action="store_true", help="show where an error comes from"
    )
    _add_parameters(parser.add_argument_group("parameters of BYOLTransformer"))
    return parser


def _add_parameters(group: argparse._ArgumentGroup) -> None:
    """Make an option of each parameter of the transformer."""
    meanings = summaries()
    for name, default in BYOLTransformer().get_params(deep=False).items():
        if name not in NOT_HERE:
            values = values_of(name)
            told = f"{values}; default: {default}" if values else f"default: {default}"
            group.add_argument(
                option(name),
                dest=name,
                type=word if name in WORDS else value,
                default=argparse.SUPPRESS,
                metavar="VALUE",
                help=f"{meanings.get(name, '')} ({told})".strip(),
            )


def option(name: str) -> str:
    """Name the option of a parameter."""
    return f"--{name.replace('_', '-')}"


def summaries() -> dict[str, str]:
    """Take the first sentence of each parameter from the docstring."""
    text = inspect.cleandoc(BYOLTransformer.__doc__ or "").partition("\nAttributes")[0]
    found = re.findall(r"^(\w+) : .*\n((?:    .*\n)+)", text, flags=re.MULTILINE)
    return {
        name: re.split(r"[.:;] ", " ".join(meaning.split()))[0].rstrip(".")
        for name, meaning in found
    }


def values_of(name: str) -> str:
    """List the words that a parameter takes, or examples of its values."""
    if name in EXAMPLES:
        return EXAMPLES[name]
    constraints = BYOLTransformer._parameter_constraints[name]  # noqa: SLF001  ours
    words = [
        word
        for constraint in constraints
        if isinstance(constraint, StrOptions)
        for word in sorted(constraint.options)
    ]
    words += ["True", "False"] if "boolean" in constraints else []
    words += [_in_words(one) for one in constraints if isinstance(one, Interval)]
    return ", ".join(words)


def _in_words(interval: Interval) -> str:
    """Say which numbers an interval holds."""
    kind = "a whole number" if interval.type is Integral else "a number"
    low, high = interval.left, interval.right
    is_low, is_high = (interval.closed in {side, "both"} for side in ("left", "right"))
    bounds = []
    if low is not None:
        bounds.append(f"at least {low}" if is_low else f"above {low}")
    if high is not None:
        bounds.append(f"at most {high}" if is_high else f"below {high}")
    return f"{kind} {' and '.join(bounds)}".strip()


def word(text: str) -> str | None:
    """Take a text as it is, but for None."""
    return None if text == "None" else text


def value(text: str) -> Any:
    """Read a number, a tuple or None as Python does, and else take the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
