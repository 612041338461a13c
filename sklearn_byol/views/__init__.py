"""Views: how two copies of an image are made to differ."""
