"""BYOL among scikit-learn's estimators."""
