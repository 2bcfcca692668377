"""Logs: structlog for everything, the standard library's loggers included, to standard error.

Events are dotted names with facts as fields. Two processors stand between any caller and the output: one
replaces the value of every field whose name is that of a secret or of raw data, the other whatever looks like
a secret inside a text.
"""

import logging
import re
import sys
from typing import Literal

import msgspec
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
_SECRET_MARKS = ("whsec_", "k_test_", "k_live_", "_secret_", "://")
"""One of these stands in every text that the pattern above can match."""

_TALKATIVE = ("uvicorn.error", "stripe", "httpx", "aiokafka.consumer.group_coordinator", "aiokafka.producer")
"""What these say at INFO is said in our own words, by the lifecycle, the lanes and the metrics."""


def redact_names(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the value of each field that must not be logged."""
    for name in _SECRET_NAMES.intersection(event):
        event[name] = REDACTED
    return event


def redact_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what looks like a Stripe secret, or like a password in an address, in every text."""
    everything = "\n".join([value for value in event.values() if isinstance(value, str)])
    if any(mark in everything for mark in _SECRET_MARKS):
        for name, value in event.items():
            if isinstance(value, str):
                event[name] = _SECRET_TEXT.sub(REDACTED, value)
    return event


_encoder = msgspec.json.Encoder(enc_hook=str)


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    return _encoder.encode(event)


def _as_json_text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    return _as_json(logger, method, event).decode()


def configure(log_format: Literal["console", "json"], level: str) -> None:
    """Route every logger of the process to standard error, one line an event.

    Our own go there directly, since a line is written for every webhook; the libraries' by way of the
    standard library.
    """
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_names,
        redact_text,
    ]
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    own: Processor = _as_json if log_format == "json" else console
    foreign: Processor = _as_json_text if log_format == "json" else console
    structlog.configure(
        processors=[*shared, own],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer)
        if log_format == "json"
        else structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, foreign],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """Give a logger whose events are dotted names with facts as fields."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
