"""Where the documentation is, and the page of it that a class has."""

from typing import ClassVar

__all__ = ["DOCUMENTATION", "HasPage"]

DOCUMENTATION = "https://sklearn-byol.readthedocs.io/en/latest"


class HasPage:
    """Lets the HTML that notebooks show of an estimator link to its page."""

    _doc_link_module: ClassVar[str] = "sklearn_byol"
    _doc_link_template: ClassVar[str] = f"{DOCUMENTATION}/api/generated/{{page}}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        """Name the page: that of the module where the class is public."""
        kind = type(self)
        is_private = any(part.startswith("_") for part in kind.__module__.split("."))
        module = "sklearn_byol" if is_private else kind.__module__
        return {"page": f"{module}.{kind.__name__}"}
