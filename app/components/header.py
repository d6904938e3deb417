"""The bar on top of every page: product name, navigation, dark mode. Start with `build_header`."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from app.components.script import read_script
from app.text import shell

_TEMPLATE = f"""
<header class="bd-header">
  <a class="bd-skip" href="#content">{shell.SKIP}</a>
  <a class="bd-brand" href="/" aria-label="{shell.PRODUCT}">
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.2"
      stroke-linecap="round" aria-hidden="true">
      <path d="M5.6 18.4a9 9 0 1 1 12.8 0"/><path d="M12 12l4-4.6"/>
      <circle cx="12" cy="12" r="1.6" fill="currentColor" stroke="none"/>
    </svg>
    <span>{shell.PRODUCT}</span>
  </a>
  <nav class="bd-nav" aria-label="{shell.NAVIGATION}"></nav>
  <button class="bd-mode" type="button" aria-label="{shell.TOGGLE_DARK}"
    title="{shell.TOGGLE_DARK}">
    <svg class="sun" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"
      stroke-linecap="round" aria-hidden="true"><path d="M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0
      10.5 10.5z"/></svg>
    <svg class="moon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"
      stroke-linecap="round" aria-hidden="true"><circle cx="12" cy="12" r="4"/><path d="M12 2v2M12
      20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4"/>
    </svg>
  </button>
</header>
"""


def build_header(links: Sequence[tuple[str, str]], *, title: str) -> gr.HTML:
    """Build the header of one page.

    Args:
        links: Name and address of every page in the navigation.
        title: What this page is called in the browser's tab.
    """
    return gr.HTML(
        html_template=_TEMPLATE,
        js_on_load=read_script("header.js"),
        apply_default_css=False,
        elem_id="header",
        links=[{"name": name, "address": address} for name, address in links],
        page_title=f"{title} · {shell.PRODUCT}",
    )
