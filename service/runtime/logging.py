"""Logs: structlog for everything, the standard library's loggers included, to standard error.

Events are dotted names with facts as fields. Two processors stand between any caller and the output: one
replaces the value of every field whose name is that of a secret or of raw data, the other whatever looks like
a secret inside a text.
"""

import logging
import re
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"

_SECRET_NAMES = frozenset(
    {
        "api_key",
        "authorization",
        "billing_details",
        "body",
        "client_secret",
        "database_url",
        "kafka_sasl_password",
        "password",
        "payload",
        "sasl_plain_password",
        "secret",
        "secrets",
        "signature",
        "stripe_api_key",
        "stripe_signature",
        "webhook_secrets",
    }
)
_SECRET_TEXT = re.compile(
    r"\bwhsec_[^\s'\",]+"
    r"|\b[sr]k_(?:test|live)_[^\s'\",]+"
    r"|\b\w+_secret_\w+"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
)


def redact_names(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the value of each field that must not be logged."""
    for name in _SECRET_NAMES.intersection(event):
        event[name] = REDACTED
    return event


def redact_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what looks like a Stripe secret, or like a password in an address, in every text."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _SECRET_TEXT.sub(REDACTED, value)
    return event


def configure(log_format: Literal["console", "json"], level: str) -> None:
    """Route every logger of the process to standard error, one line an event."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_names,
        redact_text,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    # What it says at INFO (its start, its stop) is said by the lifecycle in our own words.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """Give a logger whose events are dotted names with facts as fields."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger("offshoot")
    return logger
