"""How every Kafka client of Offshoot connects: addresses, TLS and SASL from the settings."""

import ssl
from typing import Any

from service.runtime.settings import PREFIX, KafkaSettings, SettingsError


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Give the keyword arguments that say where the brokers are and who we are, for any aiokafka client.

    Raises:
        SettingsError: a certificate or key cannot be used.

    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.kafka_bootstrap_servers),
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol in {"SSL", "SASL_SSL"}:
        options["ssl_context"] = _ssl_context(settings)
    if settings.kafka_security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}:
        password = settings.kafka_sasl_password
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = password.get_secret_value() if password else None
    return options


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca_file)
    except OSError:
        raise SettingsError(
            [f"{PREFIX}KAFKA_CA_FILE: holds no certificate in PEM form; give the CA's"]
        ) from None
    if settings.kafka_cert_file is not None:
        try:
            context.load_cert_chain(settings.kafka_cert_file, settings.kafka_key_file, password="")
        except OSError:
            fault = (
                f"{PREFIX}KAFKA_CERT_FILE: it and KAFKA_KEY_FILE are no pair of PEM files without a password"
            )
            raise SettingsError([fault]) from None
    return context
