"""How many unreadable records may go to the dead letters before reading a partition stops."""

from consumers.topic.limit import RUN_AT_MOST, SHARE_AT_MOST, SHARE_OF, Allowance


def count(allowance: Allowance, partition: int, pattern: str, first: int = 0) -> tuple[Allowance, int | None]:
    """Count a batch of one partition, "." for a record that was read and "x" for one that could not be."""
    unreadable = {(partition, first + number) for number, sign in enumerate(pattern) if sign == "x"}
    after, ends = allowance.after({partition: range(first, first + len(pattern))}, unreadable)
    return after, ends.get(partition)


def test_a_run_ends_at_its_limit_wherever_the_batches_do() -> None:
    allowance, end = count(Allowance(), 3, "." + "x" * (RUN_AT_MOST - 1))
    assert end is None
    assert count(allowance, 3, "xx", first=100)[1] == 101
    assert count(allowance, 3, ".x" + "x" * RUN_AT_MOST, first=100)[1] == 101 + RUN_AT_MOST


def test_one_that_was_refused_is_refused_when_it_is_read_again() -> None:
    allowance, end = count(Allowance(), 0, "x" * 2 * RUN_AT_MOST)
    assert end == RUN_AT_MOST
    assert count(allowance, 0, "x", first=end)[1] == end


def test_a_share_ends_at_its_limit_though_no_run_does() -> None:
    spaced = "x........" * (SHARE_AT_MOST + 5)  # one in nine: more than one in ten
    assert len(spaced) < SHARE_OF
    assert count(Allowance(), 0, spaced)[1] == 9 * SHARE_AT_MOST


def test_a_small_share_goes_on_for_ever() -> None:
    allowance, end = Allowance(), None
    for batch in range(50):
        allowance, end = count(allowance, 0, "x.........." * 30, first=330 * batch)
        assert end is None


def test_each_partition_has_its_own() -> None:
    allowance, _ = count(Allowance(), 0, "x" * RUN_AT_MOST)
    assert count(allowance, 1, "x")[1] is None
    assert count(allowance, 0, "x")[1] == 0
