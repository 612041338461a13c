"""From what a user passes as X to images of one shape."""
