"""The Celery side of a worker: `python -m tasks.jobs OWNER PARENT MODULE`.

One job, which looks for work when a hint arrives. It runs in a prefork child, which supervises but
never computes. Started and restarted by `tasks.worker`. Start with `register`.
"""

from __future__ import annotations

import sys
import threading

from celery import Celery

from tasks.celery_app import LOOK, build_app, queue_name
from tasks.desk import open_desk
from tasks.processes import die_with_parent
from tasks.settings import Settings, load_settings
from tasks.slot import work


def register(app: Celery, settings: Settings, *, owner: str, module: str) -> None:
    """Give the application its job for this slot."""

    def look(run_id: int) -> int:
        del run_id  # a hint only: the store says which run is next
        desk = open_desk(settings)
        try:
            return work(desk, owner, module=module, leaving=threading.Event())
        finally:
            desk.database.dispose()

    app.task(name=LOOK)(look)


def main(arguments: list[str]) -> None:
    """Serve the queue of the settings until terminated."""
    owner, parent, module = arguments
    die_with_parent(int(parent))
    settings = load_settings()
    app = build_app(settings)
    register(app, settings, owner=owner, module=module)
    app.worker_main(
        [
            "worker",
            "--pool=prefork",
            "--concurrency=1",
            f"--queues={queue_name(settings.queue)}",
            f"--hostname=bitdial-{owner.rpartition('/')[2]}@%h",
            "--loglevel=INFO",
            "--without-gossip",
            "--without-mingle",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
