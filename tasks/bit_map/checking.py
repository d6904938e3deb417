"""Measuring a map: an untrained run with its widths, and what was predicted of it kept beside.

Start with `verify`.
"""

from __future__ import annotations

from engine.specs import ResolvedSpec, resolve
from tasks.bit_map.content import Content, hash_widths, read_content
from tasks.bit_map.ground import Ground, build_ground
from tasks.bit_map.ledger import write_ledger
from tasks.bit_map.predicting import correct, expect, learn_correction
from tasks.bit_map.quantizing import write_quantizer
from tasks.bit_map.scoring import Scored, find_scored
from tasks.desk import Desk
from tasks.store.bit_map_checks import add_check, list_checks
from tasks.store.bit_map_records import NewCheck
from tasks.store.bit_maps import get_snapshot
from tasks.submit import submit

MAX_NAME = 120
UNFINISHED = ("queued", "running")


def verify(desk: Desk, map_id: int) -> int:
    """Queue the measurement of a map as it stands, and keep what is predicted of it.

    Asked again while the same widths are still being measured, nothing more is queued.

    Returns:
        The number of the run.

    Raises:
        MapNotFound: When there is no such map.
        SpecError: When the widths do not fit the model any more.
        ModelError: When the model cannot be found.
    """
    snapshot = get_snapshot(desk.database, map_id)
    ground = build_ground(snapshot.map.spec, snapshot.map.shapes)
    content = read_content(snapshot.state.content)
    content_hash = hash_widths(content)
    for check in list_checks(desk.database, map_id):
        if check.content_hash == content_hash and check.state in UNFINISHED:
            return check.run_id
    name = f"{snapshot.map.name} (revision {snapshot.map.revision})"
    run = submit(desk, _resolve(ground, content, name[:MAX_NAME]))
    scored = find_scored(desk, snapshot.map)
    new = NewCheck(
        revision=snapshot.map.revision,
        content_hash=content_hash,
        effective_bits=write_ledger(ground, content).effective_bits,
    )
    if isinstance(scored, Scored):
        new = _predict(desk, scored, content, new)
    add_check(desk.database, map_id, run.id, new)
    return run.id


def _resolve(ground: Ground, content: Content, name: str) -> ResolvedSpec:
    """Return the untrained experiment of a map; divergence is measured where it can be."""
    spec = ground.spec
    evaluation = spec.evaluation.model_copy(update={"divergence": True})
    return resolve(
        {
            "preset": "rtn",
            "name": name,
            "seed": spec.seed,
            "model": spec.model.model_dump(mode="json"),
            "quantizer": write_quantizer(ground, content),
            "evaluation": evaluation.model_dump(mode="json"),
        }
    )


def _predict(desk: Desk, scored: Scored, content: Content, new: NewCheck) -> NewCheck:
    """Return a check with what is predicted now, before the measurement."""
    expected = expect(scored, content)
    value, low, high = correct(scored, expected, learn_correction(desk, scored))
    return NewCheck(
        revision=new.revision,
        content_hash=new.content_hash,
        effective_bits=new.effective_bits,
        metric=scored.metric if not scored.start_words else None,
        uncorrected=expected.value,
        standard_error=expected.standard_error,
        predicted=value,
        low=low,
        high=high,
    )
