"""What the library says, in the words of the command."""

import re
import sys

from sklearn_byol._command._options import NOT_HERE, option, values_of
from sklearn_byol.estimators._transformer import BYOLTransformer

PARAMETERS = set(BYOLTransformer().get_params(deep=False)) - NOT_HERE
ARGUMENT = re.compile(
    rf"\b({'|'.join(sorted(PARAMETERS))})=('[^']*'|\"[^\"]*\"|\([^()]*\)|[\w.+-]*\w)"
)
PHRASES = {
    "list_images(folder, follow_links=True)": "--follow-links",
    "call fit again, with the same images and parameters,": "type the same again",
    "The next fit resumes in checkpoint.": "The same command goes on from there.",
    "pass them as one array: np.concatenate([np.load(path) for path in paths])": (
        "make a file of each"
    ),
}
REFUSED = re.compile(
    r"The '(\w+)' parameter of BYOLTransformer must be .*\. Got (.*) instead\.",
    re.DOTALL,
)
# How Python is kept from a warning, which a command cannot be.
SILENCE = re.compile(
    r"( ?Silence this by filtering sklearn_byol\.exceptions\.[^.]*\.)"
    r"|([,;] (or )?silence this by filtering sklearn_byol\.exceptions\.\w+)"
)


def as_options(text: str) -> str:
    """Write on_error='skip' as --on-error skip, and (64, 64) as 64,64."""
    text = REFUSED.sub(_as_refusal, SILENCE.sub("", text))
    for ours, theirs in PHRASES.items():
        text = text.replace(ours, theirs)
    return ARGUMENT.sub(_as_option, text)


def _as_option(found: re.Match[str]) -> str:
    """Write one argument of Python as an option."""
    name, given = found.groups()
    plain = given.strip("'\"").strip("()").replace(", ", ",")
    return f"{option(name)} {given if ' ' in plain else plain}"


def _as_refusal(found: re.Match[str]) -> str:
    """Say what an option takes."""
    name, given = found.groups()
    return f"{option(name)} takes {values_of(name)}; not {given}."


class SaysOnce:
    """Shows each warning as one line, and no line twice."""

    def __init__(self) -> None:
        self.said: set[str] = set()

    def __call__(self, message: Warning | str, *_: object, **__: object) -> None:
        """Show a warning, in place of `warnings.showwarning`."""
        line = f"Warning: {as_options(str(message))}"
        if line not in self.said:
            self.said.add(line)
            print(line, file=sys.stderr)
