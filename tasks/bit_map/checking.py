"""Measuring a map: an untrained run with its widths, and what was predicted of it kept beside.

Start with `verify`.
"""

from __future__ import annotations

from dataclasses import replace

from engine.specs import ResolvedSpec, resolve
from tasks.bit_map.content import Content, hash_widths, read_content
from tasks.bit_map.ground import Ground, build_ground
from tasks.bit_map.ledger import write_ledger
from tasks.bit_map.predicting import expect
from tasks.bit_map.quantizing import write_quantizer
from tasks.bit_map.scoring import Scored, find_scored
from tasks.desk import Desk, wake
from tasks.map_corrections import learn_correction
from tasks.requests import plan
from tasks.store.bit_map_checks import queue_check
from tasks.store.bit_map_records import NewCheck, Snapshot
from tasks.store.bit_maps import get_snapshot
from tasks.submit import check_fit

MAX_NAME = 120


def verify(desk: Desk, map_id: int) -> int:
    """Queue the measurement of a map as it stands, and keep what is predicted of it.

    While the same widths are being measured, and once they have been, nothing more is queued; a run
    that succeeded without a finite number has not measured them.

    Returns:
        The number of the run; of one that is under way or has measured them where there is one.

    Raises:
        MapNotFound: When there is no such map.
        SpecError: When the widths do not fit the model any more.
        ModelError: When the model cannot be found.
    """
    snapshot = get_snapshot(desk.database, map_id)
    ground = build_ground(snapshot.map.spec, snapshot.map.shapes)
    content = read_content(snapshot.state.content)
    name = f"{snapshot.map.name} (revision {snapshot.map.revision})"
    resolved = _resolve(ground, content, name[:MAX_NAME])
    run, baseline = plan(desk, resolved, check_fit(desk, resolved))
    check = _predict(desk, snapshot, ground, content)
    queued = queue_check(desk.database, map_id, check, run, baseline=baseline)
    wake(desk, queued.created)
    return queued.run_id


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
            "initialization": spec.initialization.model_dump(mode="json"),
            "evaluation": evaluation.model_dump(mode="json"),
        }
    )


def _predict(desk: Desk, snapshot: Snapshot, ground: Ground, content: Content) -> NewCheck:
    """Return a check with what is predicted now, before the measurement."""
    scored = find_scored(desk, snapshot.map)
    new = NewCheck(
        revision=snapshot.map.revision,
        content_hash=hash_widths(content),
        effective_bits=write_ledger(ground, content).effective_bits,
    )
    if not isinstance(scored, Scored):
        return new
    expected = expect(scored, content)
    corrector = learn_correction(desk.database, scored.basis)
    value, low, high = corrector.correct(expected.value, expected.standard_error)
    return replace(
        new,
        metric=scored.metric,
        predicted=value,
        low=low,
        high=high,
        scored_on=scored.scored_on,
        obstacle=scored.basis.obstacle or None,
    )
