"""What a member of a group tells of its progress: how far it is behind, and whether it stalls."""

from service.runtime.kafka.progress import Look, Progress

NOW = 1_000_000.0


def look(at: int, end: int, *, waited_s: float, done_at: float | None = None, joined: bool = True) -> Look:
    done = {0: done_at} if done_at is not None else {}
    return Look(joined=joined, at={0: at}, ends={0: end}, done_at=done, waited_s=waited_s)


def test_no_progress_while_there_is_a_lag_is_a_stall_by_the_time_spent_waiting() -> None:
    progress = Progress().after(look(5, 9, waited_s=100), NOW)
    assert progress.stalled_s(100) == 0
    later = progress.after(look(5, 12, waited_s=131), NOW + 40)
    assert later.stalled_s(131) == 31
    assert later.after(look(6, 12, waited_s=140), NOW + 50).stalled_s(140) == 0


def test_while_a_batch_is_stored_nothing_stalls_but_it_is_behind() -> None:
    progress = Progress().after(look(5, 9, waited_s=1), NOW)
    later = progress.after(look(5, 9, waited_s=1), NOW + 500)
    assert (later.stalled_s(1), later.behind_s(NOW + 500)) == (0, 500)


def test_without_a_lag_nothing_is_behind_however_long_nothing_came() -> None:
    progress = Progress().after(look(9, 9, waited_s=1, done_at=NOW - 9000), NOW)
    later = progress.after(look(9, 9, waited_s=5000, done_at=NOW - 9000), NOW + 5000)
    assert (later.stalled_s(5000), later.behind_s(NOW + 5000)) == (0, 0)
    fresh = later.after(look(9, 10, waited_s=5005, done_at=NOW - 9000), NOW + 5005)
    assert fresh.behind_s(NOW + 5005) == 0, "the new record was not there a moment ago"


def test_in_a_backlog_it_is_as_old_as_what_is_being_done() -> None:
    progress = Progress().after(look(100, 900, waited_s=1, done_at=NOW - 3600), NOW)
    assert progress.behind_s(NOW) == 3600
    later = progress.after(look(200, 900, waited_s=1, done_at=NOW - 3000), NOW + 5)
    assert later.behind_s(NOW + 5) == 3005


def test_a_member_that_is_given_no_partitions() -> None:
    away = Look(joined=False, at={}, ends={}, done_at={}, waited_s=0)
    progress = Progress().after(away, NOW).after(away, NOW + 60)
    assert progress.unjoined_s(NOW + 60) == 60
    assert progress.after(look(1, 1, waited_s=9), NOW + 61).unjoined_s(NOW + 61) == 0
