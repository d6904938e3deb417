"""A small model's layers as the ground of a map, and edits upon it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.specs import resolve
from tasks.bit_map.ground import Ground, build_ground, write_shapes
from tasks.prediction import load_shapes
from tasks.settings import Settings
from tests.bit_map_samples import save_model


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """The fourteen layers of two blocks."""
    return make_ground(tmp_path_factory.mktemp("ground"))


def make_ground(folder: Path) -> Ground:
    """Write a model and return its layers."""
    model = save_model(folder / "model", num_blocks=2)
    spec = resolve({"preset": "rtn", "model": {"source": str(model)}}).spec
    settings = Settings(data_folder=folder, database_url="", broker_url=None)
    shapes = load_shapes(settings, spec)
    return build_ground(spec.model_dump(mode="json"), write_shapes(shapes))
