"""The produce request is, byte for byte, what aiokafka makes field by field."""

from aiokafka.protocol.produce import (
    ProduceRequest,
    ProduceRequest_v2,
    ProduceRequest_v3,
    ProduceRequest_v7,
)
from hypothesis import given
from hypothesis import strategies as st

from service.runtime.kafka.produce import OneTopicRequest


@given(
    st.text(min_size=1, max_size=249),
    st.lists(st.tuples(st.integers(0, 2**31 - 1), st.binary(max_size=300)), max_size=20),
    st.integers(1, 2**31 - 1),
    st.sampled_from([ProduceRequest_v2, ProduceRequest_v3, ProduceRequest_v7]),
)
def test_it_is_what_aiokafka_makes(
    topic: str, batches: list[tuple[int, bytes]], timeout_ms: int, version: type
) -> None:
    theirs = ProduceRequest(None, -1, timeout_ms, [(topic, batches)]).build(version)
    ours = OneTopicRequest(topic, batches, timeout_ms=timeout_ms).build(version)
    assert ours.encode() == theirs.encode()
    assert (ours.API_KEY, ours.API_VERSION) == (theirs.API_KEY, theirs.API_VERSION)
    assert ours.RESPONSE_TYPE is theirs.RESPONSE_TYPE
