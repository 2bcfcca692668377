-- Access that was given and taken away within one second: Stripe does not say which came last, so that, unlike after a
-- deauthorised event alone (revoked), the account itself is asked.
ALTER TABLE offshoot.account
    -- Stripe's second of the newest account.application.authorized; null where none was heard.
    ADD COLUMN authorized_at timestamptz;
