"""The version, and where the documentation is."""

from typing import ClassVar

__version__ = "0.1.0"

DOCUMENTATION = "https://sklearn-byol.readthedocs.io/en/latest"


class HasPage:
    """Lets the HTML that notebooks show of an estimator link to its page."""

    _doc_link_module: ClassVar[str] = "sklearn_byol"
    _doc_link_template: ClassVar[str] = (
        DOCUMENTATION + "/api/generated/{estimator_module}.{estimator_name}.html"
    )
