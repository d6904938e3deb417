"""What edits make of a content: layers that share a width, pins, limits, and what is left."""

from __future__ import annotations

from engine.allocation.budgets import Budget
from tasks.bit_map.content import Content, list_changed, read_content, write_content
from tasks.bit_map.editing import Board, apply
from tasks.bit_map.edits import Change, Fuse, Import, Limit, Pin, Restore, SetWidth, Solve
from tasks.bit_map.ground import Ground


def start(ground: Ground, **values: object) -> Content:
    return Content((4,) * ground.num_layers, **values)  # type: ignore[arg-type]


def never(content: Content, budget: Budget, field: str) -> tuple[tuple[int, ...], str]:
    raise AssertionError("nothing is solved here")


def edit(
    ground: Ground, content: Content, *changes: Change, taken: frozenset[int] = frozenset()
) -> tuple[Content, str]:
    """Apply changes and return what they made and what is said."""
    board = Board(ground, never, taken)
    for change in changes:
        content = apply(content, change, board)
    return content, board.remarks.write(ground.names)


def place(ground: Ground, kind: str, block: int = 0) -> int:
    found = [at for at, cell in enumerate(ground.cells) if cell.kind == kind]
    return found[block]


def test_the_grid_has_a_cell_for_each_layer(ground: Ground) -> None:
    """Kinds stand as data flows, and no two layers share a cell."""
    assert ground.kinds == (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    )  # fmt: skip
    assert ground.blocks == ("0", "1")
    cells = {(cell.row, cell.column) for cell in ground.cells}
    assert cells == {(row, column) for row in range(2) for column in range(7)}
    assert [len(group) for group in ground.groups] == [2, 3, 2, 3]


def test_a_content_comes_back_from_json(ground: Ground) -> None:
    """Pins, limits, groups and budget too."""
    content = start(
        ground, pins=frozenset({3}), least={1: 3}, most={2: 8}, fused=True, budget=Budget(3, "bits")
    )
    assert read_content(write_content(content)) == content
    assert list_changed(content, start(ground)) == {1, 2, 3}


def test_layers_that_share_a_width_change_together(ground: Ground) -> None:
    """One of a fused group takes the others along; without fusing it changes alone."""
    query = place(ground, "q_proj")
    alone, note = edit(ground, start(ground), SetWidth((query,), 2))
    assert (alone.widths.count(2), note) == (1, "")
    fused, _ = edit(ground, start(ground, fused=True), SetWidth((query,), 2))
    kinds = {ground.cells[at].kind for at, bits in enumerate(fused.widths) if bits == 2}
    assert kinds == {"q_proj", "k_proj", "v_proj"}


def test_fusing_keeps_the_pinned_or_the_highest_width(ground: Ground) -> None:
    """What had to change is told; two pins that differ forbid it."""
    query, key = place(ground, "q_proj"), place(ground, "k_proj")
    apart, _ = edit(ground, start(ground), SetWidth((query,), 8))
    highest, note = edit(ground, apart, Fuse(fused=True))
    assert {highest.widths[at] for at in ground.units[query]} == {8}
    assert note.startswith("3 layers given one width, since they share it")
    pinned, _ = edit(ground, apart, Pin((key,), pinned=True), Fuse(fused=True))
    assert {pinned.widths[at] for at in ground.units[query]} == {4}
    both, why = edit(ground, apart, Pin((key, query), pinned=True), Fuse(fused=True))
    assert (both.fused, both.widths) == (False, apart.widths)
    assert "their pins leave them no width in common" in why


def test_limits_stand_against_a_set_and_a_pin_against_limits(ground: Ground) -> None:
    """A refused layer keeps its width and is named; an unpinned one moves to its new limit."""
    bounded, _ = edit(ground, start(ground), Limit((0,), {"least": 4, "most": 6}))
    kept, note = edit(ground, bounded, SetWidth((0, 1), 2))
    assert (kept.widths[:2], ground.names[0] in note) == ((4, 2), True)
    moved, said = edit(ground, kept, Limit((0, 1), {"least": 6}))
    assert (moved.widths[:2], "moved to their new limits" in said) == ((6, 6), True)
    held, why = edit(ground, start(ground, pins=frozenset({0})), Limit((0,), {"most": 3}))
    assert (held.widths[0], held.most, "pinned" in why) == (4, {}, True)
    crossed, why = edit(ground, bounded, Limit((0,), {"least": 8}))
    assert (crossed, "least would be above most" in why) == (bounded, True)
    freed, _ = edit(ground, bounded, Limit((0,), {"least": None, "most": None}))
    assert freed == start(ground)


def test_a_set_moves_the_pin_along(ground: Ground) -> None:
    """A pinned layer that is set stays pinned, at its new width."""
    pinned, _ = edit(ground, start(ground), Pin((5,), pinned=True), SetWidth((5,), 8))
    assert (pinned.widths[5], pinned.pins) == (8, {5})
    assert edit(ground, pinned, Pin((5,), pinned=False))[0].pins == frozenset()


def test_what_another_tab_changed_is_left(ground: Ground) -> None:
    """Of a fused group all layers are left; the others get their width."""
    query, down = place(ground, "q_proj"), place(ground, "down_proj")
    taken = frozenset({place(ground, "k_proj")})
    content, note = edit(ground, start(ground, fused=True), SetWidth((query, down), 2), taken=taken)
    assert [at for at, bits in enumerate(content.widths) if bits == 2] == [down]
    assert note.startswith("3 layers left as another tab changed them meanwhile")
    version = Restore(1, Content((8,) * ground.num_layers))
    restored, _ = edit(ground, start(ground), version, taken=taken)
    assert [at for at, bits in enumerate(restored.widths) if bits == 4] == list(taken)


def test_a_file_gives_a_group_its_highest_width(ground: Ground) -> None:
    """Widths of a file that differ within a fused group are leveled, and that is said."""
    widths = {place(ground, "q_proj"): 2, place(ground, "v_proj"): 6}
    content, note = edit(ground, start(ground, fused=True), Import(widths, "Read."))
    assert sorted(content.widths) == [4] * 11 + [6] * 3
    assert ("given one width" in note, note.endswith("Read.")) == (True, True)


def test_a_solve_is_of_the_content_as_it_is(ground: Ground) -> None:
    """The widths are the solver's, the budget is remembered, and changes elsewhere are named."""

    def halve(content: Content, budget: Budget, field: str) -> tuple[tuple[int, ...], str]:
        return tuple(bits // 2 for bits in content.widths), f"{budget} at {field}."

    board = Board(ground, halve, frozenset({0}))
    solved = apply(start(ground), Solve(Budget(3, "bits"), "edits.0.budget"), board)
    assert (set(solved.widths), solved.budget) == ({2}, Budget(3, "bits"))
    note = board.remarks.write(ground.names)
    assert note.startswith("3 bits at edits.0.budget.")
    assert "another tab changed" in note


def test_a_budget_is_forgotten_with_its_widths(ground: Ground) -> None:
    """It stays while only pins or limits change; a version brings its own back, if it is whole."""
    budget = Budget(3, "bits")
    solved = start(ground, budget=budget)
    kept, _ = edit(ground, solved, Pin((0,), pinned=True), Limit((1,), {"least": 2}))
    assert kept.budget == budget
    for change in (SetWidth((0,), 8), Import({0: 8}, ""), Limit((0,), {"least": 6})):
        made, _ = edit(ground, solved, change)
        assert (made.widths == solved.widths, made.budget) == (False, None)
        back, _ = edit(ground, made, Restore(1, solved))
        assert back.budget == budget
    apart, _ = edit(ground, made, Restore(1, solved), taken=frozenset({0}))
    assert apart.budget is None
