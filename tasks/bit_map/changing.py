"""Edits of a stored map: each request is one short transaction, and loses nobody's work.

A tab names the revision it saw. What another tab changed since is left as it is and named; all else
is applied to the newest state. The edits of one request are one step of undo. Undo and redo are for
one's own steps; a tab that changed nothing yet, such as one that was just reloaded, may go through
the history it sees. What a page numbered and sent before is not done again. Who gives no name is
another one each time: two scripts do not know of each other. Start with `change_map`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from engine.allocation.budgets import Budget
from engine.errors import Problem, SpecError
from tasks.bit_map.content import Content, list_changed, read_content, write_content
from tasks.bit_map.editing import Board, apply
from tasks.bit_map.edits import Edit, Move, Rename, Solve
from tasks.bit_map.ground import Ground, build_ground
from tasks.bit_map.reading import NOBODY, Request, Sources, read_request
from tasks.bit_map.scoring import Scored, Unscored, find_scored
from tasks.bit_map.solving import find_frontier, place_widths, solve
from tasks.bit_map.versions import Versions
from tasks.desk import Desk
from tasks.store.bit_map_records import MapChange
from tasks.store.bit_map_versions import list_versions
from tasks.store.bit_maps import OpenMap, changing_map, get_map, get_snapshot

SHARED = {-1: "undone", 1: "redone"}


@dataclass(frozen=True)
class Taken:
    """What other tabs changed since a tab looked: layers, and whether layers share widths."""

    places: frozenset[int] = frozenset()
    fused: bool = False


@dataclass(frozen=True)
class Asker:
    """Who asks for edits, and what others changed since the revision that was seen."""

    client: str
    others: tuple[MapChange, ...]

    @property
    def sees_content(self) -> bool:
        """Whether the content that was seen is the newest one."""
        return not any(change.kind in ("step", "move") for change in self.others)

    @property
    def sees_name(self) -> bool:
        """Whether the name that was seen is the newest one."""
        return not any(change.kind == "name" for change in self.others)

    def may_move(self, opened: OpenMap, position: int) -> bool:
        """Whether the step at a position is one's own, or may be undone or redone all the same.

        What is seen may be where nobody knows any more whose step it was, or by who has none.
        """
        author = opened.find_author(position)
        if author == self.client != NOBODY:
            return True
        is_new = self.client == NOBODY or not opened.has_edits_of(self.client)
        return self.sees_content and (author is None or is_new)


def change_map(desk: Desk, map_id: int, values: Mapping[str, Any]) -> str:
    """Carry out the edits of a request.

    Args:
        desk: Where the map is.
        map_id: The map.
        values: `revision`, `client` and `edits`, as REST takes them.

    Returns:
        What was refused, left to another tab, or done otherwise; empty where all went as asked.

    Raises:
        MapNotFound: When there is no such map.
        SpecError: At the field that cannot be; then nothing of the request is done.
    """
    record = get_map(desk.database, map_id)
    ground = build_ground(record.spec, record.shapes)

    def load_versions() -> Versions:
        return Versions(list_versions(desk.database, map_id))

    request = read_request(values, Sources(ground, load_versions))
    scored: Scored | Unscored = Unscored("")
    if any(isinstance(edit, Solve) for edit in request.edits):
        scored = find_scored(desk, record)
        _warm(scored, read_content(get_snapshot(desk.database, map_id).state.content))
    with changing_map(desk.database, map_id) as opened:
        return _carry_out(opened, request, ground, scored)


def _warm(scored: Scored | Unscored, content: Content) -> None:
    """Find the frontier before the store is locked; its refusal belongs to the edit."""
    if isinstance(scored, Scored):
        try:
            find_frontier(scored, content)
        except SpecError:
            return


def _carry_out(opened: OpenMap, request: Request, ground: Ground, scored: Scored | Unscored) -> str:
    if request.revision > opened.revision:
        raise SpecError.at(
            "revision",
            f"{request.revision} is still to come; the map is at revision {opened.revision}",
        )
    asker = _find_asker(opened, request)
    taken = _find_taken(opened, request, asker)

    def find_widths(content: Content, budget: Budget, field: str) -> tuple[tuple[int, ...], str]:
        return _solve(scored, content, budget, field)

    board = Board(ground, find_widths, taken.places, taken.fused)
    for is_step, edits in groupby(_list_new(opened, request), key=_is_step):
        if is_step:
            _add_step(opened, request.client, list(edits), board)
        else:
            for edit in edits:
                _move_or_rename(opened, asker, edit, board)
    return board.remarks.write(ground.names)


def _list_new(opened: OpenMap, request: Request) -> tuple[Edit, ...]:
    """Return the edits that were not done yet, as far as their page numbers them."""
    if not request.session:
        return request.edits
    first, count = request.sequence, len(request.edits)
    return request.edits[opened.count_done(request.session, first=first, count=count) :]


def _is_step(edit: Edit) -> bool:
    return not isinstance(edit, Move | Rename)


def _add_step(opened: OpenMap, client: str, edits: list[Edit], board: Board) -> None:
    """Apply edits one after another to the newest state, as one step."""
    before = content = read_content(opened.get_newest().content)
    for edit in edits:
        assert not isinstance(edit, Move | Rename)
        content = apply(content, edit, board)
    if content != before:
        opened.add_step(client, write_content(content))


def _move_or_rename(opened: OpenMap, asker: Asker, edit: Edit, board: Board) -> None:
    if isinstance(edit, Rename):
        _rename(opened, asker, edit.name, board)
        return
    assert isinstance(edit, Move)
    done = SHARED[edit.step]
    target = opened.find_neighbor(edit.step)
    if target is None:
        board.remarks.say(f"Nothing is left that could be {done}.")
        return
    position = opened.position if edit.step < 0 else opened.position + 1
    if asker.may_move(opened, position):
        opened.move_to(asker.client, target)
    elif asker.sees_content:
        board.remarks.say(f"Nothing was {done}: the step was made in another tab.")
    else:
        board.remarks.say(f"Nothing was {done}: another tab changed the map meanwhile.")


def _rename(opened: OpenMap, asker: Asker, name: str, board: Board) -> None:
    """Change the name, but not one that another tab gave meanwhile."""
    if name == opened.name:
        return
    if asker.sees_name:
        opened.rename(asker.client, name)
    else:
        board.remarks.say(f"The name stays {opened.name!r}: another tab gave it meanwhile.")


def _find_asker(opened: OpenMap, request: Request) -> Asker:
    """Compare who asks with who changed the map since."""
    changes = opened.list_changes(request.revision)
    return Asker(
        request.client,
        tuple(each for each in changes if each.client != request.client or each.client == NOBODY),
    )


def _find_taken(opened: OpenMap, request: Request, asker: Asker) -> Taken:
    """Compare each state that another tab made since with the one before it."""
    if asker.sees_content:
        return Taken()
    others = [change.revision for change in asker.others]
    contents: dict[int, Content] = {
        revision: read_content(each)
        for revision, each in opened.list_contents(request.revision).items()
    }
    kept = sorted(contents)
    if request.revision not in contents:  # so old that nobody knows what was there
        return Taken(frozenset(range(len(contents[kept[-1]].widths))), fused=True)
    before = dict(zip(kept[1:], kept[:-1], strict=True))
    pairs = [(contents[before[each]], contents[each]) for each in others if each in before]
    places = frozenset(place for old, new in pairs for place in list_changed(old, new))
    return Taken(places, any(old.fused != new.fused for old, new in pairs))


def _solve(
    scored: Scored | Unscored, content: Content, budget: Budget, field: str
) -> tuple[tuple[int, ...], str]:
    """Return the best widths of a budget, and what is to be said of them.

    Raises:
        SpecError: At the edit's budget, or at what of the map leaves a layer no width.
    """
    if isinstance(scored, Unscored):
        raise SpecError.at(field, scored.explain())
    try:
        solution = solve(scored, content, budget)
    except SpecError as error:
        raise SpecError(
            *(
                Problem(field, each.message) if each.field == "budget" else each
                for each in error.problems
            )
        ) from None
    count = len(scored.lacking)
    who = "1 layer has no score and keeps its" if count == 1 else f"{count} layers have no score"
    note = "" if not count else f"{who}{' width' if count == 1 else ' and keep their width'}."
    return place_widths(scored.ground, solution), note
