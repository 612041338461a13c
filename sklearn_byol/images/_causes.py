"""Why an image cannot be read, in our own words, and what to do about it."""

import errno
import os
import struct
import zlib

from PIL import Image, UnidentifiedImageError

# What Pillow and others raise for files that are missing, empty, broken or too large,
# and what a Dataset may raise for one of its images.
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError),
    *(AttributeError, RuntimeError, EOFError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
OF_SYSTEM = {  # what else an operating system may say of a path
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EINVAL: "there is no such file",  # of names that Windows does not allow
    errno.EACCES: "it may not be read",
    errno.EPERM: "it may not be read",
    errno.ELOOP: "its link leads to itself",
    errno.ENAMETOOLONG: "its name is too long",
}
REMOVE, MEND = "Remove them", "Mend the Dataset"


class NoImageError(ValueError):
    """An item is no image; its message says why."""

    remedy = REMOVE


class NoNumbersError(NoImageError):
    """Some values of an image are no numbers."""

    remedy = "Put numbers in place of these values"


class NotReadError(NoImageError):
    """An item is not read as it is; what to do instead is in the message."""

    remedy = ""


class Cause(str):
    """Why an image cannot be read; `remedy` is "" where the words have their own."""

    __slots__ = ("remedy",)
    remedy: str

    def __new__(cls, words: str, remedy: str = REMOVE) -> "Cause":
        """Keep the remedy beside the words."""
        cause = super().__new__(cls, words)
        cause.remedy = remedy
        return cause


def cause_of(error: BaseException) -> Cause:
    """Say why a file, a picture or an array is no image."""
    if isinstance(error, NoImageError):
        return Cause(str(error), error.remedy)
    if isinstance(error, UnidentifiedImageError):
        return Cause("it is not an image that Pillow can read")
    if isinstance(
        error, (Image.DecompressionBombError, Image.DecompressionBombWarning)
    ):
        return Cause(
            "it has more pixels than Pillow reads unasked; raise "
            "PIL.Image.MAX_IMAGE_PIXELS if it is yours",
            "",
        )
    if isinstance(error, OSError) and error.errno and _is_of_path(error):
        words = OF_SYSTEM.get(error.errno) or os.strerror(error.errno).lower()
        return Cause(words, "Check the paths")
    if "MAX_TEXT" in str(error) or "Decompressed data" in str(error):
        return Cause("it holds more text than Pillow reads")
    return Cause("it is damaged or cut off")


def _is_of_path(error: OSError) -> bool:
    """Tell what the system says of a path, or a disk, from what broken bytes lead to.

    Those may send Pillow to before the beginning of a file, which is EINVAL as well.
    """
    return error.errno != errno.EINVAL or error.filename is not None


def cause_in_dataset(error: BaseException) -> Cause:
    """Say what a Dataset has raised, in its own words, which name what is amiss."""
    if isinstance(error, NoImageError):
        return cause_of(error)
    return Cause(f"{type(error).__name__}: {error}", MEND)
