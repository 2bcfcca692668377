"""Ending a Kafka client, whatever the broker does."""

import asyncio
from typing import Any

from service.runtime.lifecycle import describe_error
from service.runtime.logging import get_logger


async def stop_client(client: Any, within_s: float) -> bool:
    """Stop a producer, consumer or admin client; say whether it ended in time. Never hangs, never raises.

    With its broker away, aiokafka's `stop()` may hang, or end in a `CancelledError` of its own, which means
    done. It runs in a task of its own, so that neither reaches the caller.
    """
    end = client.stop if hasattr(client, "stop") else client.close
    task = asyncio.ensure_future(end())
    await asyncio.wait({task}, timeout=within_s)
    if not task.done():
        task.cancel()
        get_logger().warning("kafka.client_abandoned", client=type(client).__name__, after_s=within_s)
        return False
    error = None if task.cancelled() else task.exception()
    if error is not None:
        get_logger().warning("kafka.stop_failed", client=type(client).__name__, **describe_error(error))
    return True
