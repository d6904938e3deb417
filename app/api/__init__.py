"""REST: everything the pages show and do, under `/api/v1`, with OpenAPI at `/api/v1/openapi.json`.

Rooms: `application.py` (puts the routes together), `access.py` (services, ids and who may change
things), `bodies.py` (a spec sent as JSON or YAML), `refusals.py` (errors as sentences),
`replies.py` (what is answered), `runs.py` (list, read), `orders.py` (submit, cancel, ...),
`children.py` (searches and evaluations of ranks, and what they found), `map_evaluations.py` (many
layer maps, and their scores), `sensitivities.py` (what layers lose at widths), `solving.py` (a
budget into a layer map), `layer_maps.py` (a run's widths as a file), `bit_maps.py` (maps that
people edit) with `bit_map_replies.py`, `bit_map_views.py` and `bit_map_bodies.py`, `recordings.py`
(curves, log, scores, files of a run), `starts.py` (what a start left of the layers),
`leaderboard.py` (finished runs, CSV, Markdown), `published.py` (numbers of others), `catalogue.py`
(presets and schema), `process_metrics.py` (`/metrics`). No business is done here: routes call
`tasks` and `app.tables`. Start with `application.py`.
"""

from app.api.application import build_api
from app.api.process_metrics import build_metrics_router

__all__ = ["build_api", "build_metrics_router"]
