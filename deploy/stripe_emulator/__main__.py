"""`python -m deploy.stripe_emulator --port N` starts an emulator."""

import argparse

from deploy.stripe_emulator.app import DEFAULT_API_KEY, DEFAULT_PLATFORM_ACCOUNT, Options
from deploy.stripe_emulator.server import run


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="stripe_emulator", description="A stateful, strict Stripe for tests."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--platform-account", default=DEFAULT_PLATFORM_ACCOUNT)
    parser.add_argument("--api-key", default=DEFAULT_API_KEY)
    said = parser.parse_args()
    run(Options(said.host, said.port, said.platform_account, said.api_key))


if __name__ == "__main__":
    main()
