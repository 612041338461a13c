"""The parts of the command `python -m sklearn_byol`."""
