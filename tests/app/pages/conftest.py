"""The filled store, for the tests of this folder."""

from tests.filled import filled, filled_folder, started, started_folder

__all__ = ["filled", "filled_folder", "started", "started_folder"]
