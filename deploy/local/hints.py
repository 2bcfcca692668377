"""What to try next, with everything filled in: each line can be copied as it stands."""

import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.local.deployment import Deployment
from deploy.local.outsider import METADATA_KEY
from deploy.stripe_emulator.app import DEFAULT_API_KEY

Hint = tuple[str, str]

_OFFSHOOT = Path(sys.executable).with_name("offshoot")


def hints(deployment: Deployment, *, accounts: Sequence[str], customer: str, logs: Path) -> list[Hint]:
    """Say what can be tried, and the command for it."""
    stripe = deployment.stripe_url
    post = f"curl -s -u {DEFAULT_API_KEY}: {stripe}/v1"
    card = "pm_card_amex"
    settings = f"OFFSHOOT_LIVEMODE=false OFFSHOOT_DATABASE_URL={deployment.database_url}"
    options = f"--api-key {DEFAULT_API_KEY} --api-base {stripe}"
    return [
        (
            "Save another card, as the platform would; three records appear here:",
            f"{post}/payment_methods/{card}/attach -d customer={customer}",
        ),
        (
            "The same with Stripe's own command line, if you have it:",
            f"stripe payment_methods attach {card} --customer {customer} {options}",
        ),
        (
            "Another customer, who is shared with one account (then save a card on it, as above):",
            f"{post}/customers -d name='Ada Lovelace' -d 'metadata[{METADATA_KEY}]={accounts[0]}'",
        ),
        ("What Stripe holds for an account:", f"curl -s {stripe}/_emulator/accounts/{accounts[0]}/state"),
        (
            "Every clone, and why it is as it is:",
            f"{settings} {_OFFSHOOT} clones list",
        ),
        (
            "Whether both processes are ready, and why:",
            f"curl -s {deployment.serve_ops_url}/readyz {deployment.work_ops_url}/readyz",
        ),
        (
            "What they measure:",
            f"curl -s {deployment.serve_ops_url}/metrics {deployment.work_ops_url}/metrics | grep ^offshoot_",
        ),
        ("What they log:", f"tail -f {logs}/serve.log {logs}/work.log"),
        ("Where webhooks go in:", f"{deployment.webhook_url}"),
        ("What is remembered:", f"psql {deployment.database_url}"),
    ]
