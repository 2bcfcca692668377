"""A key's partition is the one that Java's default partitioner gives, and aiokafka's after it."""

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from service.runtime.kafka.partition import partition_of


@given(st.binary(max_size=2000), st.integers(1, 100))
def test_it_is_the_usual_partition(key: bytes, partitions: int) -> None:
    everything = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everything, everything)
