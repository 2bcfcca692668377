"""What the receiver takes in at once, and who is told while only an older secret signs."""

import structlog

from service.receiver.room import MAX_BODY_BYTES, Room
from service.receiver.rotation import WARN_EVERY_S, RotationWatch
from service.runtime.metrics import Metrics


def test_there_is_room_for_so_many_requests_and_so_many_bytes() -> None:
    room = Room(Metrics(), max_requests=2)
    found = []
    for requests, size in ((2, MAX_BODY_BYTES), (0, 1), (0, -1), (1, 0)):
        room.count(requests, size)
        found.append(room.overfull)
    assert found == [False, True, False, True]
    assert MAX_BODY_BYTES == 64 * 1024 * 1024


def test_it_is_not_ready_while_one_more_would_be_refused() -> None:
    room = Room(Metrics(), max_requests=2, max_bytes=10)
    found = [room.probe().ok]
    for requests, size in ((1, 9), (1, 0), (-1, 0), (0, 1), (0, -10)):
        room.count(requests, size)
        found.append(room.probe().ok)
    assert found == [True, True, False, True, False, True]


def test_an_older_secret_is_warned_of_once_a_minute_and_endpoint() -> None:
    now = [0.0]
    watch = RotationWatch(clock=lambda: now[0])
    with structlog.testing.capture_logs() as logged:
        for at, endpoint in (
            (0.0, "main"),
            (0.0, "connect"),
            (WARN_EVERY_S - 1, "main"),
            (WARN_EVERY_S, "main"),
        ):
            now[0] = at
            watch(endpoint)
    warned = [(each["event"], each["log_level"], each["endpoint"]) for each in logged]
    assert warned == [("webhook.older_secret", "warning", each) for each in ("main", "connect", "main")]
