"""Telling workers that there is something to do; best effort, because they look by themselves too.

Imported on the first hint only, for it loads Celery, which reading pages never needs.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from tasks.celery_app import LOOK, build_app, queue_name
from tasks.settings import Settings

logger = logging.getLogger(__name__)


def send_hints(settings: Settings, run_ids: Sequence[int]) -> bool:
    """Send one hint per run to the queue of these settings.

    Returns:
        False where the broker could not be reached; the workers' patrol makes up for it.
    """
    app = build_app(settings)
    once = {**app.conf.broker_transport_options, "max_retries": 0}
    app.conf.broker_transport_options = once
    try:
        with app.connection_for_write() as connection:
            for run_id in run_ids:
                app.send_task(
                    LOOK,
                    args=[run_id],
                    queue=queue_name(settings.queue),
                    connection=connection,
                    retry=False,
                    ignore_result=True,
                )
    except (KombuError, RedisError, OSError) as error:
        logger.info("no broker took the hint for runs %s: %s", list(run_ids), error)
        return False
    finally:
        app.close()
    return True
