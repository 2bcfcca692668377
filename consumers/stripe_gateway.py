"""The only module that speaks to Stripe: the official SDK's calls and errors, in Offshoot's words."""
