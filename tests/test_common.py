"""scikit-learn's own checks: all of them, with default tags and no expected failure."""

import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_byol import BYOLTransformer

# The checks train on tables of 1 to 10 features and say so aloud; some of their data
# are constant, so that nothing can be learned from them.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn_byol.SmallImageWarning"),
    pytest.mark.filterwarnings("ignore::sklearn_byol.CollapseWarning"),
]

QUICK = BYOLTransformer(max_epochs=1, device="cpu")

# Checks that scikit-learn runs on its own transformers, not from `check_estimator`.
MORE_CHECKS = [
    "check_n_features_in_after_fitting",
    "check_dataframe_column_names_consistency",
    "check_get_feature_names_out_error",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
    "check_param_validation",
]


@parametrize_with_checks([QUICK])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# These checks fit on a data frame and transform an array on purpose.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize("name", MORE_CHECKS)
def test_further_checks_of_scikit_learns_own_transformers(name):
    getattr(estimator_checks, name)("BYOLTransformer", clone(QUICK))


def test_all_checks_are_run_with_default_tags():
    checks = [check for _, check in estimator_checks.estimator_checks_generator(QUICK)]
    assert len(checks) >= 46  # of scikit-learn 1.6; later ones have more
    tags, default = get_tags(QUICK), get_tags(PCA())
    assert not tags.non_deterministic
    assert not tags.no_validation
    assert tags.input_tags.two_d_array
    assert tags.requires_fit == default.requires_fit
    assert tags.input_tags.positive_only == default.input_tags.positive_only


@pytest.mark.slow
def test_default_parameters_pass_a_check():
    # A sceptic types check_estimator(BYOLTransformer()); one check stands for all.
    estimator_checks.check_estimators_nan_inf("BYOLTransformer", BYOLTransformer())
    estimator_checks.check_fit_idempotent("BYOLTransformer", BYOLTransformer())
