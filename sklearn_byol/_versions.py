"""By which versions an estimator was saved, and what to say of others."""

import contextlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from sklearn_byol._version import __version__
from sklearn_byol._warn import warn
from sklearn_byol.exceptions import VersionWarning

__all__ = ["FORMAT", "check_versions", "versions_for"]

FORMAT = 1  # of what is saved; counted up when an older version could not read it


def versions_for(encoder: Any) -> dict[str, Any]:
    """Name the format and the libraries that decide what saved weights mean.

    Parameters
    ----------
    encoder : str or other
        What the encoder is built from; None where there is none yet.

    Returns
    -------
    dict of str to int or str
        The format, and versions without their local part, since weights move between
        builds of torch for different devices.
    """
    versions: dict[str, Any] = {"format": FORMAT, "sklearn_byol": __version__}
    if encoder is None:
        return versions
    versions["torch"] = torch.__version__.partition("+")[0]
    if isinstance(encoder, str) and encoder != "auto":
        library = "timm" if encoder.startswith("timm/") else "torchvision"
        # That it is missing is said where the encoder is built.
        with contextlib.suppress(PackageNotFoundError):
            versions[library] = version(library).partition("+")[0]
    return versions


def check_versions(name: str, saved: Any, here: dict[str, Any]) -> None:
    """Refuse a format that is not known, and warn of other versions.

    Parameters
    ----------
    name : str
        Name of the estimator's class.
    saved, here : dict
        What `versions_for` returned when it was saved, and now.

    Raises
    ------
    ValueError
        If the format is newer than this version of the library, or not given.

    Warns
    -----
    VersionWarning
        If a version is another one.
    """
    if not isinstance(saved, dict) or not 1 <= saved.get("format", 0) <= FORMAT:
        raise ValueError(
            f"This {name} was saved by {_listed(saved)} in a format that sklearn_byol "
            f"{__version__} does not read. Load it with that version."
        )
    if any(saved[library] != here.get(library, saved[library]) for library in saved):
        shared = {library: here[library] for library in saved if library in here}
        warn(
            f"This {name} was saved by {_listed(saved)} and is loaded by "
            f"{_listed(shared)}. It is taken as it is: compare what it makes of some "
            "images with what it made of them there. Silence this by filtering "
            "sklearn_byol.exceptions.VersionWarning, or save it again.",
            VersionWarning,
        )


def _listed(versions: Any) -> str:
    """Name libraries with their versions."""
    if not isinstance(versions, dict) or "sklearn_byol" not in versions:
        return "an unknown version of sklearn_byol"
    named = [f"{name} {text}" for name, text in versions.items() if name != "format"]
    return " with ".join([named[0], " and ".join(named[1:])] if named[1:] else named)
