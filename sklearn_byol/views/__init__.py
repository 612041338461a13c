"""Views: how two copies of an image are made to differ."""

from sklearn_byol.views._pair import ViewPair, views_for
from sklearn_byol.views._random_views import RandomViews

__all__ = ["RandomViews", "ViewPair", "views_for"]
