"""What an edit makes of a content. Pure: nothing is read or written here.

Layers that share a width change together, or none of them does. A set moves a pin along; a limit
that a width breaks moves the width, unless it is pinned. What cannot be is left as it was and said.
The budget that a map was solved for is forgotten as soon as its widths are others.
Start with `apply`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from engine.allocation.budgets import Budget
from tasks.bit_map.content import Content
from tasks.bit_map.edits import Change, Fuse, Import, Limit, Pin, Restore, SetWidth, Solve
from tasks.bit_map.ground import Ground
from tasks.bit_map.remarks import Remarks

Solver = Callable[[Content, Budget, str], tuple[tuple[int, ...], str]]
"""From content, budget and field to widths and a sentence."""
Unit = tuple[int, ...]


@dataclass(frozen=True)
class Board:
    """What edits are made on.

    Attributes:
        ground: The layers.
        solve: Finds widths for a budget.
        taken: Layers that another tab changed since this one looked; they are left alone.
        fuse_taken: Whether another tab changed what layers share.
    """

    ground: Ground
    solve: Solver
    taken: frozenset[int] = frozenset()
    fuse_taken: bool = False
    remarks: Remarks = field(default_factory=Remarks)


def apply(content: Content, change: Change, board: Board) -> Content:
    """Return what a change makes of a content; what was left is noted in the board's remarks.

    Raises:
        SpecError: When a budget is too small, or there are no scores to solve with.
    """
    match change:
        case SetWidth():
            made = _set_widths(content, dict.fromkeys(change.places, change.bits), board)
        case Import():
            board.remarks.say(change.note)
            made = _set_widths(content, dict(change.widths), board)
        case Pin():
            made = _pin(content, change, board)
        case Limit():
            made = _limit(content, change, board)
        case Fuse():
            made = _fuse(content, board) if change.fused else _part(content, board)
        case Restore():
            return _restore(content, change, board)
        case Solve():
            return _solve(content, change, board)
    return made if made.widths == content.widths else replace(made, budget=None)


def _list_units(content: Content, places: Iterable[int], board: Board) -> Iterable[Unit]:
    """Return the layers that change together, once each, without what another tab changed."""
    ground = board.ground
    units = dict.fromkeys(ground.get_unit(place, fused=content.fused) for place in places)
    for unit in units:
        if board.taken.isdisjoint(unit):
            yield unit
        else:
            board.remarks.leave(unit)


def _set_widths(content: Content, wanted: dict[int, int], board: Board) -> Content:
    """Give layers widths; those of a group that are given several get the highest."""
    widths = list(content.widths)
    for unit in _list_units(content, wanted, board):
        given = {wanted[place] for place in unit if place in wanted}
        bits = max(given)
        if len(given) > 1:
            board.remarks.level(unit)
        if all(content.allows(place, bits) for place in unit):
            for place in unit:
                widths[place] = bits
        elif any(widths[place] != bits for place in unit):
            board.remarks.refuse(unit, bits)
    return replace(content, widths=tuple(widths))


def _pin(content: Content, change: Pin, board: Board) -> Content:
    places = {each for unit in _list_units(content, change.places, board) for each in unit}
    pins = content.pins | places if change.pinned else content.pins - places
    return replace(content, pins=frozenset(pins))


def _limit(content: Content, change: Limit, board: Board) -> Content:
    """Change limits, and widths that break them; a pin or the other bound may stand against it."""
    now = content
    for unit in _list_units(content, change.places, board):
        bounded = _bound(now, unit, change)
        if any(bounded.least.get(each, 0) > bounded.most.get(each, 99) for each in unit):
            board.remarks.cross(unit)
            continue
        bits = _clamp(bounded, unit, now.widths[unit[0]])
        if bits is None:
            board.remarks.cross(unit)
        elif all(now.widths[each] == bits for each in unit):
            now = bounded
        elif now.pins.isdisjoint(unit):
            board.remarks.move(unit)
            now = replace(bounded, widths=_put(bounded.widths, unit, bits))
        else:
            board.remarks.hold(unit)
    return now


def _bound(content: Content, unit: Unit, change: Limit) -> Content:
    """Return a content with other bounds of some layers."""
    found = {"least": dict(content.least), "most": dict(content.most)}
    for name, bits in change.changes.items():
        for place in unit:
            found[name].pop(place, None)
            if bits is not None:
                found[name][place] = bits
    return replace(content, least=found["least"], most=found["most"])


def _clamp(content: Content, unit: Unit, bits: int) -> int | None:
    """Return the width nearest to one that the limits of all layers leave; None for none."""
    least = max((content.least[each] for each in unit if each in content.least), default=0)
    most = min((content.most[each] for each in unit if each in content.most), default=99)
    return None if least > most else min(max(bits, least), most)


def _put(widths: Sequence[int], unit: Unit, bits: int) -> tuple[int, ...]:
    """Return widths with one for all of some layers."""
    changed = list(widths)
    for place in unit:
        changed[place] = bits
    return tuple(changed)


def _part(content: Content, board: Board) -> Content:
    """Let every layer have a width of its own again."""
    if board.fuse_taken and content.fused:
        board.remarks.say("Layers go on sharing widths: another tab asked for it meanwhile.")
        return content
    return replace(content, fused=False)


def _fuse(content: Content, board: Board) -> Content:
    """Make the widths of each group equal: to that of its pin, or to the highest."""
    if content.fused:
        return content
    if board.fuse_taken:
        board.remarks.say(
            "Layers go on without sharing widths: another tab asked for it meanwhile."
        )
        return content
    now = content
    for group in board.ground.groups:
        leveled = _level(now, group, board)
        if leveled is None:
            return content
        now = leveled
    return replace(now, fused=True)


def _level(content: Content, group: Unit, board: Board) -> Content | None:
    """Give a group one width; None where a pin, a limit or another tab stands against it."""
    if len({content.widths[place] for place in group}) == 1:
        return content
    if not board.taken.isdisjoint(group):
        board.remarks.part(group, "another tab changed them meanwhile; ask again")
        return None
    pinned = {content.widths[place] for place in group if place in content.pins}
    wanted = max(pinned or {content.widths[place] for place in group})
    bits = _clamp(content, group, wanted)
    if len(pinned) > 1 or bits is None or (pinned and bits not in pinned):
        why = "pins" if pinned else "limits"
        board.remarks.part(group, f"their {why} leave them no width in common; change one")
        return None
    board.remarks.level(group)
    return replace(content, widths=_put(content.widths, group, bits))


def _restore(content: Content, change: Restore, board: Board) -> Content:
    """Take everything over from a version but what another tab changed since."""
    version = change.content
    grouped = replace(content, fused=content.fused or version.fused)
    widths, pins = list(content.widths), set(content.pins)
    least, most = dict(content.least), dict(content.most)
    for unit in _list_units(grouped, range(board.ground.num_layers), board):
        for place in unit:
            widths[place], is_pinned, lowest, highest = version.get_cell(place)
            (pins.add if is_pinned else pins.discard)(place)
            for bounds, bits in ((least, lowest), (most, highest)):
                bounds.pop(place, None)
                if bits is not None:
                    bounds[place] = bits
    fused = content.fused if board.fuse_taken else version.fused
    if fused and any(len({widths[place] for place in group}) > 1 for group in board.ground.groups):
        fused = False
        board.remarks.say("Layers no longer share widths: what another tab changed differs.")
    budget = version.budget if tuple(widths) == version.widths else None
    return Content(tuple(widths), frozenset(pins), least, most, fused, budget)


def _solve(content: Content, change: Solve, board: Board) -> Content:
    """Solve the content as it is, whoever changed it last."""
    widths, note = board.solve(content, change.budget, change.field)
    board.remarks.say(note)
    if board.taken or board.fuse_taken:
        board.remarks.say("Solved with what another tab changed meanwhile; its pins are kept.")
    return replace(content, widths=widths, budget=change.budget)
