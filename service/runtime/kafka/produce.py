"""A produce request that is put together in one go.

aiokafka joins a request field by field, each part to the next larger one, and so copies every batch about ten
times on its way to the socket. The layout is that of the protocol's versions 3 to 7
(kafka.apache.org/protocol, ProduceRequest).
"""

import functools
import struct
from typing import Any, Final

from aiokafka.protocol.produce import ProduceRequest, ProduceRequestStruct

_FIRST: Final = 3
_ACKS_ALL: Final = -1
_NO_TRANSACTION: Final = b"\xff\xff"
_HEAD: Final = struct.Struct(">hii")
_PARTITION: Final = struct.Struct(">ii")


class OneTopicRequest(ProduceRequest):  # type: ignore[misc] # aiokafka says nothing of its types
    """Batches for one topic, to be acknowledged by all in-sync replicas."""

    def __init__(self, topic: str, batches: list[tuple[int, bytes]], *, timeout_ms: int) -> None:
        """Take each partition's batch as it goes on the wire."""
        super().__init__(
            transactional_id=None, required_acks=_ACKS_ALL, timeout=timeout_ms, topics=[(topic, batches)]
        )

    def build(self, request_struct_class: type[ProduceRequestStruct]) -> Any:
        """Give the request in the version that the broker knows."""
        version: Any = request_struct_class
        return super().build(_in_one_go(version) if version.API_VERSION >= _FIRST else version)


@functools.cache
def _in_one_go(version: Any) -> Any:
    return type(version.__name__, (version,), {"encode": _encode})


def _encode(request: Any) -> bytes:
    [(topic, batches)] = request.topics
    name = topic.encode()
    parts = [
        _NO_TRANSACTION,
        _HEAD.pack(request.required_acks, request.timeout, 1),
        struct.pack(">h", len(name)),
        name,
        struct.pack(">i", len(batches)),
    ]
    for partition, batch in batches:
        parts += (_PARTITION.pack(partition, len(batch)), batch)
    return b"".join(parts)
