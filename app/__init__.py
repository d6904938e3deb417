"""What people touch: pages, figures, REST and the command line. No torch is loaded here.

Rooms: `server.py` (the web process), `build.py` (which pages there are), `services.py` (what every
page is handed), `health.py` (is it well?), `security.py` (response headers, who may listen where),
`reports.py` (what a run wrote about its start and layers), `solved.py` (a solved map as plain
values), `theme.py` and `theme.css` (colors, dark mode), `quantities.py` (numbers as a person reads
them), `pages/` (one page per file), `forms/` (specs as
forms), `components/` (interactive pieces with their own JavaScript), `plots/` (figures as plain
dictionaries), `tables/` (rows of the large tables), `text/` (every sentence a user sees), `api/`
(REST), `cli.py` and `commands/` (the command line), `supervisor.py` and `processes.py` (broker,
worker and web process under one roof). Start with `server.py`.
"""

import os

# Gradio reads this once, when it is imported: with it, nothing is ever sent elsewhere.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
