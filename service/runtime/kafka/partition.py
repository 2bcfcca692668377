"""Which partition a key goes to: the same one as with Java's default partitioner.

So that a record of the same key from any other client, Kafka Streams or a repair by hand among them, joins
the others (KIP-480 leaves keyed records as they were: murmur2 of the key, modulo the partitions).
"""

import struct
from typing import Final

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF
_WORDS: Final = [struct.Struct(f"<{count}I") for count in range(256)]


def partition_of(key: bytes, partitions: int) -> int:
    """Give the partition of a key, from 0 to `partitions` - 1."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Hash as `org.apache.kafka.common.utils.Utils.murmur2` does, to 32 bits without a sign."""
    count, rest = divmod(len(data), 4)
    h = _SEED ^ len(data)
    words = _WORDS[count] if count < len(_WORDS) else struct.Struct(f"<{count}I")
    for word in words.unpack_from(data):
        k = word * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    if rest:
        h = (h ^ int.from_bytes(data[-rest:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15
