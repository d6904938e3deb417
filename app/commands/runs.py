"""`bitdial runs`: list, show, cancel, retry, delete; JSON is that of `/api/v1/runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.run_numbers import RunId
from app.commands.submit import AsJson

if TYPE_CHECKING:
    from tasks.store.records import RunRecord, RunState
    from tasks.submit import Desk

app = typer.Typer(help="List, show, cancel, retry and delete runs.", no_args_is_help=True)
State = Annotated[
    list[str] | None, typer.Option("--state", help="Only runs in this state; repeatable.")
]
Search = Annotated[str, typer.Option(help="Only runs whose name holds this.")]
Limit = Annotated[int, typer.Option(help="Most runs to list.", min=1, max=1000)]


@app.command("list")
def list_(
    *, state: State = None, search: Search = "", limit: Limit = 50, as_json: AsJson = False
) -> None:
    """List runs, newest first."""
    from app.commands.opening import open_desk_here
    from app.commands.showing import print_runs, write_json
    from tasks.store.runs import list_runs

    with open_desk_here() as desk:
        states = _accept_states(state or ())
        runs = list_runs(desk.database, states=states, search=search, limit=limit)
        if as_json:
            write_json([_summarize(run) for run in runs])
        else:
            print_runs(runs)


@app.command()
def show(run_id: RunId, *, as_json: AsJson = False) -> None:
    """Show one run: where it stands, its scores, its ranks, maps or layers, its spec."""
    from app.commands.opening import open_desk_here
    from app.commands.showing import print_run
    from app.commands.showing_maps import describe_maps
    from app.commands.showing_ranks import describe_ranks
    from app.commands.showing_sensitivity import describe_sensitivity
    from tasks.store.map_scores import list_map_scores
    from tasks.store.measurements import list_scores
    from tasks.store.runs import get_run

    with open_desk_here() as desk:
        run = get_run(desk.database, run_id)
        if as_json:
            write_detail(desk, run)
        else:
            maps = describe_maps(list_map_scores(desk.database, run_id))
            scored = describe_sensitivity(desk, run)
            lines = (*maps, *scored, *describe_ranks(desk.database, run))
            print_run(run, list_scores(desk.database, run_id), lines=lines)


@app.command()
def cancel(run_id: RunId, *, as_json: AsJson = False) -> None:
    """Cancel a queued run, or ask a running one to stop within a step."""
    from tasks.submit import cancel as ask

    _change(ask, run_id, "is asked to stop", as_json=as_json)


@app.command()
def retry(run_id: RunId, *, as_json: AsJson = False) -> None:
    """Queue a failed or cancelled run again; it goes on from its last checkpoint."""
    from tasks.submit import retry as ask

    _change(ask, run_id, "is queued again", as_json=as_json)


@app.command()
def delete(run_id: RunId, *, as_json: AsJson = False) -> None:
    """Delete a run that is not running, with its files."""
    from app.commands.opening import open_desk_here
    from app.commands.showing import say, write_json
    from tasks.submit import delete as remove

    with open_desk_here() as desk:
        remove(desk, run_id)
    if as_json:
        write_json({"id": run_id, "deleted": True})
    else:
        say(f"run {run_id} is deleted")


def write_detail(desk: Desk, run: RunRecord) -> None:
    """Print everything recorded about a run as JSON, with scores of any kind and children."""
    from app.api.runs import read_detail
    from app.commands.showing import write_json
    from app.services import Services
    from tasks.store.candidates import list_candidates
    from tasks.store.map_scores import list_map_scores
    from tasks.store.measurements import list_scores
    from tasks.store.runs import list_children
    from tasks.store.sensitivity_scores import list_scores as list_sensitivity

    reply = read_detail(run, Services(desk.settings, desk.database, desk))
    recorded = {
        "scores": list_scores(desk.database, run.id),
        "candidates": list_candidates(desk.database, run.id),
        "map_scores": list_map_scores(desk.database, run.id),
        "sensitivity_scores": list_sensitivity(desk.database, run.id),
        "children": [_summarize(child) for child in list_children(desk.database, run.id)],
    }
    write_json(reply.model_dump(mode="json") | recorded)


def _change(ask: Any, run_id: int, sentence: str, *, as_json: bool) -> None:
    from app.commands.opening import open_desk_here
    from app.commands.showing import say, write_json

    with open_desk_here() as desk:
        run = ask(desk, run_id)
    if as_json:
        write_json(_summarize(run))
    else:
        is_asked = run.state == "running"
        say(f"run {run_id} {sentence if is_asked else f'is {run.state}'}")


def _accept_states(words: list[str] | tuple[()]) -> tuple[RunState, ...] | None:
    from engine.errors import SpecError
    from tasks.states import STATES

    for word in words:
        if word not in STATES:
            raise SpecError.at("--state", f"{word!r} is not one of {', '.join(STATES)}")
    return tuple(state for state in STATES if state in words) or None


def _summarize(run: RunRecord) -> dict[str, Any]:
    from app.api.replies import RunReply, describe_run

    return RunReply.model_validate(describe_run(run)).model_dump(mode="json")
