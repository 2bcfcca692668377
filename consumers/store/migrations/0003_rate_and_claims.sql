-- What a claim looks at beside the due shares: what is held on an account, and which account is to be left alone.

-- Held by somebody. It changes when a lease begins and ends, and not when it is renewed: with lease_end itself in an
-- index's predicate no renewal would be a HOT update.
ALTER TABLE offshoot.share
    ADD COLUMN leased boolean NOT NULL GENERATED ALWAYS AS (lease_end IS NOT NULL) STORED;
DROP INDEX offshoot.share_leased;
-- Serves claim_due_shares: what is in flight on each account.
CREATE INDEX share_leased ON offshoot.share (account_id) WHERE leased;

-- Serves claim_due_shares: the accounts that Stripe wants slower. One whose time has passed may stay in it.
CREATE INDEX account_paused ON offshoot.account (paused_until) WHERE paused_until IS NOT NULL;
