"""What stored bit maps promise on either database: nothing lost, others' work left alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import update

from engine.errors import SpecError
from engine.events import SensitivityScored
from tasks.bit_map.changing import change_map
from tasks.bit_map.checking import verify
from tasks.bit_map.opening import open_map
from tasks.bit_map.predicting import expect
from tasks.bit_map.scoring import Scored
from tasks.bit_map.viewing import StateView, open_workplace, view_state
from tasks.desk import Desk
from tasks.errors import MapNotFound
from tasks.lease import claim_run
from tasks.settings import Settings
from tasks.store import bit_map_versions, bit_maps
from tasks.store.bit_map_news import is_known
from tasks.store.bit_map_versions import add_version
from tasks.store.bit_maps import delete_map, list_maps
from tasks.store.clock import later
from tasks.store.database import Database
from tasks.store.recording import Batch, finish, write_batch
from tasks.store.run_changes import delete_run
from tasks.store.tables import Run
from tasks.submit import submit_sensitivity
from tests.bit_map_samples import BitMapSamples, add_bit_map, list_layers

LAYERS = list_layers(2)


@pytest.fixture
def desk(settings: Settings, database: Database) -> Desk:
    """A desk on the empty store."""
    return Desk(settings, database)


@pytest.fixture
def scored(desk: Desk) -> BitMapSamples:
    """A scored model of two blocks."""
    return add_bit_map(desk, num_blocks=2)


def open_scored(desk: Desk, scored: BitMapSamples) -> int:
    return open_map(desk, {"sensitivity": scored.sensitivity}).record.id


def set_width(place: int, bits: int) -> dict[str, Any]:
    return {"edit": "set", "layers": [LAYERS[place]], "bits": bits}


def change(
    desk: Desk, map_id: int, *edits: dict[str, Any], seen: int | None = None, by: str = "a"
) -> StateView:
    """Edit from a revision, the newest where none is given, and return what then holds."""
    revision = view_state(desk, map_id).revision if seen is None else seen
    asked = {"revision": revision, "client": by, "edits": list(edits)}
    return view_state(desk, map_id, note=change_map(desk, map_id, asked))


def widths_of(view: StateView) -> dict[str, int]:
    order = sorted(LAYERS, key=lambda name: (name.split(".")[2], name))
    return dict(zip(order, view.content.widths, strict=True))


def test_ten_quick_edits_lose_none(desk: Desk, scored: BitMapSamples) -> None:
    """Ten requests from one seen revision all hold, and are ten steps of undo."""
    map_id = open_scored(desk, scored)
    for place in range(10):
        view = change(desk, map_id, set_width(place, 2), seen=1)
    assert [widths_of(view)[name] for name in LAYERS] == [2] * 10 + [4] * 4
    for _ in range(10):
        view = change(desk, map_id, {"edit": "undo"})
    assert (set(view.content.widths), view.can_undo, view.can_redo) == ({4}, False, True)


def test_one_request_is_one_step(desk: Desk, scored: BitMapSamples) -> None:
    """Ten edits in a request are undone at once; one that changes nothing is no step."""
    map_id = open_scored(desk, scored)
    change(desk, map_id, *(set_width(place, 2) for place in range(10)))
    assert change(desk, map_id, set_width(0, 2)).revision == 2
    view = change(desk, map_id, {"edit": "undo"})
    assert (set(view.content.widths), view.can_undo) == ({4}, False)
    assert change(desk, map_id, {"edit": "undo"}).note == "Nothing is left that could be undone."


def test_two_tabs_at_once_lose_nothing(desk: Desk, scored: BitMapSamples) -> None:
    """Two sessions that edit other layers at the same time both keep every edit."""
    map_id = open_scored(desk, scored)
    barrier = threading.Barrier(2)

    def paint(tab: int) -> list[str]:
        barrier.wait()
        notes = []
        for place in range(tab, 14, 2):
            asked = {"revision": 1, "client": f"tab {tab}", "edits": [set_width(place, 2 + tab)]}
            notes.append(change_map(desk, map_id, asked))
        return notes

    with ThreadPoolExecutor(2) as pool:
        assert set().union(*pool.map(paint, range(2))) == {""}
    view = view_state(desk, map_id)
    assert [widths_of(view)[name] for name in LAYERS] == [2, 3] * 7
    assert view.revision == 15


def test_no_tab_overwrites_another_unseen(desk: Desk, scored: BitMapSamples) -> None:
    """What another tab changed since is left and named, the rest holds; once seen it can change."""
    map_id = open_scored(desk, scored)
    change(desk, map_id, set_width(0, 8), seen=1, by="b")
    view = change(desk, map_id, set_width(0, 2), set_width(1, 2), seen=1)
    found = widths_of(view)
    assert (found[LAYERS[0]], found[LAYERS[1]]) == (8, 2)
    assert view.note == f"1 layer left as another tab changed it meanwhile: {LAYERS[0]}."
    assert widths_of(change(desk, map_id, set_width(0, 2)))[LAYERS[0]] == 2


def test_undo_is_for_ones_own_steps(desk: Desk, scored: BitMapSamples) -> None:
    """Over another tab's newer step it is refused with a note; a tab without steps sees on."""
    map_id = open_scored(desk, scored)
    change(desk, map_id, set_width(0, 2), by="a")
    change(desk, map_id, set_width(1, 2), by="b")
    refused = change(desk, map_id, {"edit": "undo"}, by="a")
    assert refused.note == "Nothing was undone: the step was made in another tab."
    assert refused.revision == 3
    stale = change(desk, map_id, {"edit": "undo"}, by="new", seen=2)
    assert stale.revision == 3
    assert change(desk, map_id, {"edit": "undo"}, by="b").revision == 4
    assert change(desk, map_id, {"edit": "redo"}, by="a").note != ""
    reloaded = change(desk, map_id, {"edit": "undo"}, by="new")
    assert (reloaded.note, set(reloaded.content.widths)) == ("", {4})


def test_scripts_without_a_name_do_not_overwrite_each_other(
    desk: Desk, scored: BitMapSamples
) -> None:
    """Each request is another one's; at the newest revision it may change and undo all it sees."""
    map_id = open_scored(desk, scored)

    def send(seen: int, *edits: dict[str, Any]) -> str:
        return change_map(desk, map_id, {"revision": seen, "edits": list(edits)})

    assert send(1, set_width(0, 8)) == ""
    assert "another tab changed it meanwhile" in send(1, set_width(0, 2))
    assert "another tab changed the map meanwhile" in send(1, {"edit": "undo"})
    assert widths_of(view_state(desk, map_id))[LAYERS[0]] == 8
    assert send(2, {"edit": "undo"}) == ""
    assert widths_of(view_state(desk, map_id))[LAYERS[0]] == 4


def test_a_name_is_not_overwritten_unseen(desk: Desk, scored: BitMapSamples) -> None:
    """The name that another tab gave meanwhile stays; other changes do not stand against one."""
    map_id = open_scored(desk, scored)
    change(desk, map_id, {"edit": "name", "name": "theirs"}, by="b")
    late = change(desk, map_id, {"edit": "name", "name": "mine"}, seen=1)
    assert (late.name, late.note) == (
        "theirs", "The name stays 'theirs': another tab gave it meanwhile.",
    )  # fmt: skip
    change(desk, map_id, set_width(0, 2), by="b")
    add_version(desk.database, map_id, "first")
    assert change(desk, map_id, {"edit": "name", "name": "mine"}, seen=2).name == "mine"
    assert change(desk, map_id, {"edit": "name", "name": "mine too"}, seen=2).name == "mine too"


def test_a_version_does_not_stand_against_undo(desk: Desk, scored: BitMapSamples) -> None:
    """A tab that sees the newest widths may undo, though a version was kept or a name given."""
    map_id = open_scored(desk, scored)
    change(desk, map_id, set_width(0, 2), by="b")
    add_version(desk.database, map_id, "first")
    change(desk, map_id, {"edit": "name", "name": "ours"}, by="b")
    view = change(desk, map_id, {"edit": "undo"}, by="new", seen=2)
    assert (view.note, widths_of(view)[LAYERS[0]]) == ("", 4)
    stale = change(desk, map_id, {"edit": "redo"}, by="newer", seen=2)
    assert stale.note == "Nothing was redone: another tab changed the map meanwhile."


def test_forgotten_steps_are_not_offered(
    desk: Desk, scored: BitMapSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redo is offered for what is kept alone; what nobody knows of is undone only where seen."""
    monkeypatch.setattr(bit_maps, "MAX_STATES", 3)
    map_id = open_scored(desk, scored)
    for place in range(3):
        change(desk, map_id, set_width(place, 2), by="b")
    for _ in range(2):
        change(desk, map_id, {"edit": "undo"}, by="b")
    for edit in ("redo", "undo") * 3:
        view = change(desk, map_id, {"edit": edit}, by="b")
    assert view.can_redo  # the second place, written again and again
    redone = change(desk, map_id, {"edit": "redo"}, by="b")
    assert not redone.can_redo  # the third has been forgotten
    late = change(desk, map_id, {"edit": "undo"}, by="a", seen=redone.revision - 1)
    assert late.note == "Nothing was undone: another tab changed the map meanwhile."
    assert change(desk, map_id, {"edit": "undo"}, by="b").note == ""


def test_a_late_solve_keeps_the_other_tabs_pins(desk: Desk, scored: BitMapSamples) -> None:
    """It solves the newest content and says so."""
    map_id = open_scored(desk, scored)
    pin = {"edit": "pin", "layers": [LAYERS[0]]}
    change(desk, map_id, set_width(0, 8), pin, by="b")
    solve = {"edit": "solve", "budget": {"amount": 3.0, "unit": "bits"}}
    view = change(desk, map_id, solve, seen=1)
    assert widths_of(view)[LAYERS[0]] == 8
    assert view.ledger.effective_bits <= 3
    assert view.note == "Solved with what another tab changed meanwhile; its pins are kept."


def test_only_the_newest_states_are_kept(
    desk: Desk, scored: BitMapSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tab that looked longer ago than that changes nothing another one may have changed."""
    monkeypatch.setattr(bit_maps, "MAX_STATES", 5)
    map_id = open_scored(desk, scored)
    for number in range(8):
        change(desk, map_id, set_width(3, 2 + number % 2), by="b")
    view = change(desk, map_id, set_width(0, 8), seen=1)
    assert view.note == f"1 layer left as another tab changed it meanwhile: {LAYERS[0]}."
    for _ in range(4):
        assert view.can_undo
        view = change(desk, map_id, {"edit": "undo"}, by="b")
    assert not view.can_undo


def test_a_version_can_be_restored(desk: Desk, scored: BitMapSamples) -> None:
    """It keeps the content it was given to; restoring is a step of undo."""
    map_id = open_scored(desk, scored)
    add_version(desk.database, map_id, "first")
    change(desk, map_id, set_width(0, 2))
    view = change(desk, map_id, {"edit": "restore", "version": 1})
    assert (set(view.content.widths), view.versions[0].effective_bits) == ({4}, 4.3125)
    assert widths_of(change(desk, map_id, {"edit": "undo"}))[LAYERS[0]] == 2
    with pytest.raises(SpecError, match=r"edits\.0\.version: there is no version 2; there are 1"):
        change(desk, map_id, {"edit": "restore", "version": 2})


def test_a_map_outlives_its_run_and_its_model(desk: Desk, scored: BitMapSamples) -> None:
    """Without scores it is still edited, and a solve says what is missing; its checks go."""
    map_id = open_scored(desk, scored)
    run_id = verify(desk, map_id)
    assert verify(desk, map_id) == run_id
    assert [check.run for check in view_state(desk, map_id).checks] == [run_id]
    delete_run(desk.database, scored.sensitivity)
    delete_run(desk.database, run_id)
    view = change(desk, map_id, set_width(0, 2))
    assert (view.prediction, view.checks) == (None, ())
    solve = {"edit": "solve", "budget": {"amount": 3.0, "unit": "bits"}}
    with pytest.raises(SpecError, match="was deleted; open a map from a sensitivity run"):
        change(desk, map_id, solve)


def test_scores_that_come_in_are_news_and_are_used(desk: Desk, scored: BitMapSamples) -> None:
    """The same units told again from more text change prediction and version of an open map."""
    asked = {"model": {"source": scored.model}, "widths": [4, 2]}
    run_id = submit_sensitivity(desk, asked).id
    held = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert held is not None

    def tell(loss: float, samples: int) -> None:
        pairs = [(name, bits) for name in LAYERS for bits in (4, 2)]
        told = [SensitivityScored(*each, "kl_divergence", loss, None, samples) for each in pairs]
        write_batch(desk.database, held, Batch(sensitivity_scores=told))

    tell(0.5, 8)
    map_id = open_map(desk, {"sensitivity": run_id}).record.id
    values = [find_sum(desk, map_id)]
    versions = [view_state(desk, map_id).scores]
    for loss, samples in ((0.25, 16), (0.125, 16)):
        tell(loss, samples)
        values.append(find_sum(desk, map_id))
        versions.append(view_state(desk, map_id).scores)
    assert values == [14 * 0.5, 14 * 0.25, 14 * 0.125]
    assert len(set(versions)) == 3
    assert view_state(desk, map_id).scores == versions[-1]
    assert not is_known(desk.database, map_id, 1)
    finish(desk.database, held, Batch(), ending="succeeded", columns={})
    assert not is_known(desk.database, map_id, 1)
    end_long_ago(desk, run_id)
    assert is_known(desk.database, map_id, 1)
    assert not is_known(desk.database, map_id, 2)


def find_sum(desk: Desk, map_id: int) -> float:
    """Return the sum of the scores of a map's layers."""
    place = open_workplace(desk, map_id)
    assert isinstance(place.scored, Scored)
    return expect(place.scored, place.content).value


def end_long_ago(desk: Desk, run_id: int) -> None:
    """Let a run have ended a minute ago."""
    with desk.database.writing() as session:
        session.execute(update(Run).where(Run.id == run_id).values(finished_at=later(-60)))


def test_maps_are_listed_page_by_page(desk: Desk, scored: BitMapSamples) -> None:
    """The one changed last first, each once; of one model or one run's scores where asked for."""
    ids = [open_scored(desk, scored) for _ in range(5)]
    change(desk, ids[1], set_width(0, 2))
    order = [ids[1], ids[4], ids[3], ids[2], ids[0]]
    found: list[int] = []
    while page := list_maps(desk.database, before_id=found[-1] if found else None, limit=2):
        found += [each.id for each in page]
    assert found == order
    own = {"model": scored.model, "sensitivity": scored.sensitivity}
    assert [each.id for each in list_maps(desk.database, **own)] == order  # type: ignore[arg-type]
    assert list_maps(desk.database, model="org/other") == ()
    assert list_maps(desk.database, sensitivity=scored.sensitivity + 1) == ()


def test_versions_have_an_end(
    desk: Desk, scored: BitMapSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more than a map may keep is refused at its name, and changes nothing."""
    monkeypatch.setattr(bit_map_versions, "MAX_VERSIONS", 2)
    map_id = open_scored(desk, scored)
    for name in ("first", "second"):
        add_version(desk.database, map_id, name)
    with pytest.raises(SpecError, match="name: a map keeps 2 versions; open another one"):
        add_version(desk.database, map_id, "third")
    view = view_state(desk, map_id)
    assert (view.revision, len(view.versions)) == (3, 2)


def test_a_deleted_map_is_gone(desk: Desk, scored: BitMapSamples) -> None:
    """With its states and versions; others stay."""
    first, second = open_scored(desk, scored), open_scored(desk, scored)
    add_version(desk.database, first, "first")
    delete_map(desk.database, first)
    assert [each.id for each in list_maps(desk.database)] == [second]
    with pytest.raises(MapNotFound, match=f"there is no bit map {first}"):
        view_state(desk, first)
    with pytest.raises(MapNotFound):
        change_map(desk, first, {"revision": 1, "edits": [{"edit": "undo"}]})


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 13), st.sampled_from([2, 3, 8, 16])),
        st.sampled_from(["undo", "redo"]),
    ),
    max_size=14,
)


@examples(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_history_is_a_list_of_states(desk: Desk, scored: BitMapSamples, actions: list[Any]) -> None:
    """Any edits, undos and redos end where a plain list with a place in it ends."""
    map_id = open_scored(desk, scored)
    states, at = [dict.fromkeys(LAYERS, 4)], 0
    for action in actions:
        if action == "undo":
            at = max(0, at - 1)
        elif action == "redo":
            at = min(len(states) - 1, at + 1)
        elif states[at][LAYERS[action[0]]] != action[1]:
            states[at + 1 :] = [{**states[at], LAYERS[action[0]]: action[1]}]
            at += 1
        edit = {"edit": action} if isinstance(action, str) else set_width(*action)
        change_map(desk, map_id, {"revision": 1, "client": "a", "edits": [edit]})
    view = view_state(desk, map_id)
    assert widths_of(view) == states[at]
    assert (view.can_undo, view.can_redo) == (at > 0, at < len(states) - 1)
