"""A spec as YAML, each line marked by where its value came from, to copy and to download.

Used before launch and on the page of a run. Start with `describe_spec` and `SpecPanel`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

import gradio as gr
import yaml

from app.components.assembling import read_scripts
from app.text import new_experiment as text
from engine.specs import ResolvedSpec, iter_provenance, to_yaml

COMMAND = "bitdial submit {file}"


class SpecPanel(gr.HTML):
    """YAML with copy and download; the value is what `describe_spec` returns, or None."""

    def __init__(
        self, value: dict[str, Any] | None = None, *, elem_id: str, render: bool = True
    ) -> None:
        super().__init__(
            value=value,
            render=render,
            html_template='<div class="bd-spec"></div>',
            js_on_load=read_scripts("dom.js", "spec_panel.js"),
            apply_default_css=False,
            elem_id=elem_id,
            words={
                "empty": text.SPEC_EMPTY,
                "copy": text.COPY,
                "copied": text.COPIED,
                "download": text.DOWNLOAD,
                "command": text.COMMAND,
                "origins": text.ORIGINS,
                "label": text.SPEC,
            },
        )


def describe_spec(
    resolved: ResolvedSpec,
    *,
    left_out: Collection[str] = (),
    command: str = COMMAND,
    kind: str = "experiment",
) -> dict[str, Any]:
    """Return the YAML, the origin of each of its lines, a file name and the equal command.

    Args:
        resolved: The complete spec.
        left_out: Sections that are another run's and cannot be asked for again.
        command: With {file}.
        kind: What the file is called where the spec has no name.
    """
    written = to_yaml(resolved.spec)
    if left_out:
        values = yaml.safe_load(written)
        kept = {key: value for key, value in values.items() if key not in left_out}
        written = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
    origins = {path: origin for path, _, origin in iter_provenance(resolved)}
    by_line = {
        line: origins.get(path, "") for path, lines in _iter_leaves(written) for line in lines
    }
    name = file_name(resolved.spec.name or resolved.preset or kind)
    return {
        "yaml": written,
        "lines": [
            {"text": line, "origin": by_line.get(number, "")}
            for number, line in enumerate(written.splitlines())
        ],
        "file": name,
        "command": command.format(file=name),
    }


def file_name(title: str) -> str:
    """Return a plain file name for a spec: lower case, digits, dashes, `.yaml`."""
    plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return f"{plain[:60] or 'experiment'}.yaml"


def _iter_leaves(written: str) -> Iterator[tuple[str, range]]:
    """Yield the dotted path of every value and the lines it stands on, counted from 0."""
    root = yaml.compose(written, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    yield from _iter_node(root, "")


def _iter_node(node: yaml.MappingNode, prefix: str) -> Iterator[tuple[str, range]]:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _iter_node(value, f"{path}.")
        else:
            yield path, range(key.start_mark.line, _last_line(value) + 1)


def _last_line(node: yaml.Node) -> int:
    """A block list ends where the next token starts; its last entry says where it really ends."""
    if isinstance(node, yaml.SequenceNode) and node.value:
        return _last_line(node.value[-1])
    line: int = node.end_mark.line
    return line
