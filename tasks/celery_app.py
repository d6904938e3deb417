"""The settings of broker and queues. Messages are hints; nothing here decides about a run.

Each setting answers something that was measured to break without it; the comments say what.
Start with `build_app`.
"""

from __future__ import annotations

from celery import Celery

from tasks.broker import get_broker_url
from tasks.settings import Settings

LOOK = "bitdial.look"
CONNECT_TIMEOUT_SECONDS = 1.0
VISIBILITY_TIMEOUT_SECONDS = 7 * 24 * 3600
PRIORITY_STEPS = (0, 3, 6, 9)


def queue_name(queue: str) -> str:
    """Return the broker's name of a queue ("cpu" is "bitdial.cpu")."""
    return f"bitdial.{queue}"


def build_app(settings: Settings) -> Celery:
    """Build the Celery application of these settings; connects to nothing yet."""
    app = Celery("bitdial", broker=get_broker_url(settings), set_as_current=False)
    app.conf.update(
        task_default_queue=queue_name(settings.queue),
        task_create_missing_queues=True,
        task_ignore_result=True,  # results are in our store; there is no result backend
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,  # a hint taken by a worker that dies comes back
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,  # a busy slot hoards no hints
        worker_cancel_long_running_tasks_on_connection_loss=False,  # a blip kills no run
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=CONNECT_TIMEOUT_SECONDS,
        broker_transport_options={
            # longer than any run, or the hint of a running run is delivered again and again
            "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
            "priority_steps": list(PRIORITY_STEPS),
            "queue_order_strategy": "priority",
            "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "socket_keepalive": True,
        },
    )
    return app
