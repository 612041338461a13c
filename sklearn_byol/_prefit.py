"""What a classifier begins with: a transformer to fit, or one that is fitted."""

from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_byol._transformer import BYOLTransformer

__all__ = ["initial_byol"]


def initial_byol(
    byol: BYOLTransformer | FrozenEstimator | None, *, prefit: bool
) -> tuple[BYOLTransformer, bool]:
    """Return what BYOL is to be fitted with, or what is fitted already.

    Parameters
    ----------
    byol, prefit
        As in `BYOLClassifier`.

    Returns
    -------
    (BYOLTransformer, bool)
        A transformer, and whether it is fitted.

    Raises
    ------
    TypeError
        If something else than a transformer is frozen.
    sklearn.exceptions.NotFittedError
        If it is said to be fitted and is not.
    """
    byol = BYOLTransformer() if byol is None else byol
    is_frozen = isinstance(byol, FrozenEstimator)
    if is_frozen:
        byol = byol.estimator
    if not isinstance(byol, BYOLTransformer):
        raise TypeError(
            "byol=FrozenEstimator(...) must hold a BYOLTransformer. Got "
            f"{byol!r}. Other steps belong before BYOLClassifier in a Pipeline."
        )
    if not (is_frozen or prefit):
        return clone(byol), False
    check_is_fitted(
        byol,
        msg="byol is not fitted, as FrozenEstimator or prefit=True says. Fit it "
        "first; where BYOLClassifier is cloned, as in cross-validation, pass "
        "FrozenEstimator(byol), since a clone forgets what it has learned.",
    )
    return byol, True
