"""Views: how two copies of an image are made to differ."""

from sklearn_byol.views._drawing import ViewPair
from sklearn_byol.views._random_views import RandomViews
from sklearn_byol.views._views_for import views_for

__all__ = ["RandomViews", "ViewPair", "views_for"]
