"""The emulator as a process: it ends at once, whatever it holds."""

import shlex
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conformance.conftest import API_KEY, COMMAND, DEADLINE_S, ROOT

WITHIN_S = 2.0


@pytest.mark.parametrize("action", [{"kind": "hold"}, {"kind": "latency", "seconds": 60}], ids=str)
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_held_call_does_not_keep_it_alive(action: dict[str, object], told: signal.Signals) -> None:
    """Told to stop while a call waits, it ends with 0 and says nothing."""
    command = [*COMMAND, "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            with (
                httpx.Client(base_url=url, auth=(API_KEY, ""), trust_env=False, timeout=DEADLINE_S) as web,
                ThreadPoolExecutor(1) as pool,
            ):
                rule = {"method": "POST", "action": action, "account": "platform"}
                assert web.post("/_emulator/faults", json=rule).status_code == 200
                waiting = pool.submit(web.post, "/v1/customers")
                while not web.get("/_emulator/faults").json()["faults"][0]["fired"]:
                    assert not waiting.done()
                process.send_signal(told)
                said = process.communicate(timeout=WITHIN_S)
                assert (process.returncode, said) == (0, ("", ""))
            assert waiting.done()
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
