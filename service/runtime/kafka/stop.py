"""Ending a Kafka client, whatever the broker does."""

import asyncio
from typing import Any

from service.runtime.lifecycle import describe_error
from service.runtime.logging import get_logger

_TURN_S = 0.2


async def stop_client(client: Any, within_s: float) -> bool:
    """Stop a producer, consumer or admin client; say whether it ended in time. Never hangs, never raises.

    With its broker away, aiokafka's `stop()` may hang, or end in a `CancelledError` of its own, which means
    done. It runs in a task of its own, so that neither reaches the caller. What does not end is cut off.
    """
    end = client.stop if hasattr(client, "stop") else client.close
    task = asyncio.ensure_future(end())
    await asyncio.wait({task}, timeout=within_s)
    if not task.done():
        task.cancel()
        get_logger().warning("kafka.client_abandoned", client=type(client).__name__, after_s=within_s)
        try:
            await _cut_off(client)
        except Exception as fault:  # noqa: BLE001 - another aiokafka may look otherwise inside
            get_logger().warning("kafka.not_cut_off", client=type(client).__name__, **describe_error(fault))
        return False
    error = None if task.cancelled() else task.exception()
    if error is not None:
        get_logger().warning("kafka.stop_failed", client=type(client).__name__, **describe_error(error))
    return True


async def _cut_off(client: Any) -> None:
    """Drop the connections, what waits to be written included, and end the tasks that would make new ones."""
    network = getattr(client, "client", None) or getattr(client, "_client", client)
    sender = getattr(client, "_sender", None)
    tasks = {network._sync_task, sender and sender.sender_task} - {None}  # noqa: SLF001 - as above
    for task in tasks:
        task.cancel()
    for connection in list(network._conns.values()):  # noqa: SLF001 - as above
        if connection._writer is not None:  # noqa: SLF001 - as above
            connection._writer.transport.abort()  # noqa: SLF001 - as above
        connection.close()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=_TURN_S)
        for task in late:  # the sender waits for its requests, once; cancelled again it cancels them
            task.cancel()
