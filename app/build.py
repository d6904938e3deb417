"""Puts the pages together: which there are, where, and what surrounds each.

What stands on a page is the page's own. Start with `build_pages`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr

from app.components.header import build_header
from app.pages.layer import build as build_layer
from app.pages.layers import build as build_layers
from app.pages.leaderboard import build as build_leaderboard
from app.pages.new_experiment import build as build_new_experiment
from app.pages.new_sensitivity import build as build_new_sensitivity
from app.pages.run import build as build_run
from app.pages.runs import build as build_runs
from app.services import Services
from app.text import shell


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        title: Name in the navigation and the browser's tab.
        path: Address; the first page has "/".
        build: Builds components and wiring inside an open `gr.Blocks`.
        listed: Whether the navigation shows it.
    """

    title: str
    path: str
    build: Callable[[Services], None]
    listed: bool = True


PAGES: tuple[Page, ...] = (
    Page("Leaderboard", "/", build_leaderboard),
    Page("New experiment", "/new", build_new_experiment),
    Page("Runs", "/runs", build_runs),
    Page("Layers", "/layers", build_layers),
    Page("Run", "/run", build_run, listed=False),
    Page("Layer", "/layer", build_layer, listed=False),
    Page("Measure sensitivity", "/sensitivity", build_new_sensitivity, listed=False),
)


def build_pages(services: Services, pages: tuple[Page, ...] = PAGES) -> gr.Blocks:
    """Build every page; the first becomes the main page."""
    links = [(page.title, page.path) for page in pages if page.listed]
    with gr.Blocks(title=shell.PRODUCT, analytics_enabled=False) as demo:
        _build_page(pages[0], services, links)
    for page in pages[1:]:
        with demo.route(page.title, page.path, show_in_navbar=False):
            _build_page(page, services, links)
    return demo


def _build_page(page: Page, services: Services, links: list[tuple[str, str]]) -> None:
    gr.Navbar(visible=False)
    build_header(links, title=page.title)
    with gr.Column(elem_id="content"):
        page.build(services)
