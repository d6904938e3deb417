"""Finished runs by setting, sorted and filtered by the server. Start with `LeaderboardTable`.

What it shows and does in the browser stands in `leaderboard_table.js`; what a column holds,
how rows are sorted and filtered in `app.tables`.
"""

from __future__ import annotations

import gradio as gr

from app.components.assembling import read_scripts, read_styles
from app.tables.published import SOURCE
from app.text import leaderboard as text

_SOURCE = text.PUBLISHED_SOURCE.format(source=SOURCE, caution=text.PUBLISHED_CAUTION)


class LeaderboardTable(gr.HTML):
    """One table per model and evaluation setting, baseline first.

    Sort, filter and chosen columns are kept in the page's address, columns also in the browser.
    Listen with `table.view_changed(fn, ...)`: what is shown has changed, and the handler finds the
    filter in `request.query_params`.

    Args:
        elem_id: Id of the element.
    """

    def __init__(self, *, elem_id: str | None = None) -> None:
        super().__init__(
            html_template='<div class="leaderboard"></div>',
            css_template=read_styles("pieces.css", "leaderboard_table.css"),
            js_on_load=read_scripts("dom.js", "leaderboard_table.js"),
            apply_default_css=False,
            elem_id=elem_id,
            words={**text.TABLE, "published_source": _SOURCE},
        )
