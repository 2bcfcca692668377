"""A payment intent has the fields that were recorded."""

from deploy.stripe_emulator import payment_shapes

RECORDED = """
id object allowed_payment_method_types amount amount_capturable amount_details amount_received application
application_fee_amount automatic_payment_methods canceled_at cancellation_reason capture_method client_secret
confirmation_method created currency customer customer_account description excluded_payment_method_types
last_payment_error latest_charge livemode managed_payments metadata next_action on_behalf_of payment_method
payment_method_configuration_details payment_method_options payment_method_types processing receipt_email
review setup_future_usage shared_payment_granted_token shipping source statement_descriptor
statement_descriptor_suffix status transfer_data transfer_group
"""
"""Version 2026-06-24.dahlia: openfoodfoundation/openfoodnetwork, the cassettes of Spree_Gateway_StripeSCA."""


def test_payment_intent_has_the_recorded_fields() -> None:
    made = payment_shapes.payment_intent(
        "pi_1", created=1, amount=1000, currency="aud", client_secret="pi_1_secret_2", application=None
    )
    assert RECORDED.split() == list(made)


def test_options_are_those_of_the_types() -> None:
    """Recorded for a card; what an intent does not take has no options."""
    options = payment_shapes.payment_method_options(["card", "link"], installments=True)
    assert options == {
        "card": {
            "installments": None,
            "mandate_options": None,
            "network": None,
            "request_three_d_secure": "automatic",
        }
    }
