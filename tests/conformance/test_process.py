"""The emulator as a process: it ends at once, whatever it holds."""

import shlex
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conformance.conftest import API_KEY, COMMAND, DEADLINE_S, ROOT

WITHIN_S = 2.0
WAITS = {"/v1/customers": {"kind": "hold"}, "/v1/accounts": {"kind": "latency", "seconds": 60}}


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_calls_that_wait_do_not_keep_it_alive(told: signal.Signals) -> None:
    """Told to stop while one call is held and one delayed, it ends with 0 and says nothing."""
    command = [*COMMAND, "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            with (
                httpx.Client(base_url=url, auth=(API_KEY, ""), trust_env=False, timeout=DEADLINE_S) as web,
                ThreadPoolExecutor(2) as pool,
            ):
                for route, action in WAITS.items():
                    rule = {"method": "POST", "route": route, "action": action}
                    assert web.post("/_emulator/faults", json=rule).status_code == 200
                waiting = [pool.submit(web.post, route) for route in WAITS]
                while not all(each["fired"] for each in web.get("/_emulator/faults").json()["faults"]):
                    assert not any(each.done() for each in waiting)
                process.send_signal(told)
                said = process.communicate(timeout=WITHIN_S)
                assert (process.returncode, said) == (0, ("", ""))
            assert all(each.done() for each in waiting)
        finally:
            process.kill()


def test_the_example_of_its_help_starts_it(free_port: int) -> None:
    """Whoever types what `--help` shows, but for the port, has a Stripe that answers."""
    shown = subprocess.run([*COMMAND, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    (example,) = (line for line in shown.stdout.splitlines() if line.strip().startswith("Example: "))
    program, *command, port = shlex.split(example.partition(":")[2])
    assert (program, command[:2], port.isdecimal()) == ("offshoot", ["local", "stripe"], True)
    arguments = [*COMMAND, *command[2:], str(free_port)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"listening http://127.0.0.1:{free_port}\n"
            url = f"http://127.0.0.1:{free_port}/v1/account"
            assert httpx.get(url, auth=(API_KEY, ""), trust_env=False).status_code == 200
        finally:
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
