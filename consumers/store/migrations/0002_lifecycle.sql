-- What a clone needs after it was made: its updates and replacements, its end, its place among many.

-- What is shared with every account, and whether a destructive wish was seen by a reading.
ALTER TABLE offshoot.customer
    -- Its metadata names `*`, or SHARE_WITH is `all`: every connected account that Offshoot knows.
    ADD COLUMN granted_all boolean NOT NULL DEFAULT false,
    -- A reading showed what the row says of grants and deletion, and no event has changed that since.
    ADD COLUMN confirmed boolean NOT NULL DEFAULT false,
    -- Readings begun since the last that went well: each is followed by a longer pause.
    ADD COLUMN refresh_attempts integer NOT NULL DEFAULT 0;
-- Serves next_customers: whom a new account is shared with.
CREATE INDEX customer_granted_all ON offshoot.customer (id) WHERE granted_all;

ALTER TABLE offshoot.payment_method
    -- What content_hash is over: {"fingerprint", "expiry", "billing_details", "bank"}. Null for a stub, and for
    -- what was written before this column was there.
    ADD COLUMN content jsonb,
    -- A bank account that Stripe has blocked (us_bank_account.status_details.blocked).
    ADD COLUMN blocked boolean NOT NULL DEFAULT false,
    -- False: owned by a v2 account (customer_account), whose id then stands in customer_id.
    ADD COLUMN owner_supported boolean NOT NULL DEFAULT true,
    -- A reading showed what the row says of detached and opted_out, and no event has changed that since.
    ADD COLUMN confirmed boolean NOT NULL DEFAULT false,
    -- As customer.refresh_attempts.
    ADD COLUMN refresh_attempts integer NOT NULL DEFAULT 0;

ALTER TABLE offshoot.account
    -- It was heard of, listed or read, not only named: `*` and `all` mean it too.
    ADD COLUMN joined boolean NOT NULL DEFAULT false,
    -- Stripe asked for slower calls on this account alone: none of its shares is claimed before. Null: no such wish.
    ADD COLUMN paused_until timestamptz,
    -- As customer.refresh_attempts.
    ADD COLUMN refresh_attempts integer NOT NULL DEFAULT 0;
UPDATE offshoot.account SET joined = known OR as_of IS NOT NULL;
-- Serves the accounts that `*` and `all` mean.
CREATE INDEX account_joined ON offshoot.account (id) WHERE joined;

ALTER TABLE offshoot.share
    -- SHARE_WITH is `all`, or the customer's metadata names `*`.
    ADD COLUMN granted_by_all boolean NOT NULL DEFAULT false,
    -- The connected customer was deleted on its account: nothing is made there until a retry or a new grant.
    ADD COLUMN connected_customer_deleted_at timestamptz,
    -- Stripe's second of what is known of the connected customer, or ours of what we made of it. Null: never.
    ADD COLUMN connected_as_of timestamptz,
    -- It has something to detach and the brake holds it back; releasing the brake makes it due.
    ADD COLUMN braked boolean NOT NULL DEFAULT false,
    DROP COLUMN wanted;
ALTER TABLE offshoot.share
    ADD COLUMN wanted boolean GENERATED ALWAYS AS (granted_by_metadata OR granted_by_command OR granted_by_all) STORED,
    ADD CHECK (connected_customer_deleted_at IS NULL OR connected_customer_id IS NULL);
-- Serves what is said of an account: its shares in a lasting order, so that they can be marked in chunks.
DROP INDEX offshoot.share_of_account;
CREATE INDEX share_of_account ON offshoot.share (account_id, customer_id);
-- Serves the one claim in ten that goes to the longest due.
CREATE INDEX share_longest_due ON offshoot.share (due_at) WHERE due_at IS NOT NULL;
-- Serves what is in flight on an account.
CREATE INDEX share_leased ON offshoot.share (account_id) WHERE lease_end IS NOT NULL;
-- Serves the release of the brake.
CREATE INDEX share_braked ON offshoot.share (id) WHERE braked;

ALTER TABLE offshoot.clone
    -- False: a method that was on the account already serves as the clone; it is not ours to detach.
    ADD COLUMN ours boolean NOT NULL DEFAULT true,
    -- As payment_method.content, of the connected method as we last saw or made it, and when that was.
    ADD COLUMN content jsonb,
    ADD COLUMN content_at timestamptz,
    -- The platform method's fingerprint when the connected one was made of it: another one means another card.
    ADD COLUMN source_fingerprint text,
    -- A replacement that is made and not attached yet; null otherwise.
    ADD COLUMN next_payment_method_id text UNIQUE,
    ADD COLUMN next_generation integer CHECK (next_generation >= 1),
    ADD COLUMN next_content jsonb,
    -- Stripe refused to update this generation in place: it is replaced.
    ADD COLUMN update_refused_generation integer,
    -- The generation that failed: a later one is tried by itself.
    ADD COLUMN failed_generation integer,
    -- Declines in a row that may be tried again, and when; zero and null otherwise.
    ADD COLUMN declines smallint NOT NULL DEFAULT 0,
    ADD COLUMN retry_at timestamptz,
    -- The turn it was given among the clones of its card; null where it did not have to wait.
    ADD COLUMN paced_until timestamptz,
    -- Somebody wants it tried again: a retry, or a new grant.
    ADD COLUMN taken_up boolean NOT NULL DEFAULT false,
    -- What the last record said of `default`.
    ADD COLUMN announced_default boolean NOT NULL DEFAULT false,
    -- Our own detach of it is done.
    ADD COLUMN detached_at timestamptz,
    -- Stripe did not find an object that the clone needs; those are read before it counts as failed.
    ADD COLUMN missing_at timestamptz,
    ADD CHECK ((next_payment_method_id IS NULL) = (next_generation IS NULL)),
    ADD CHECK (next_payment_method_id IS NULL OR recovery_point = 'attached'),
    ADD CHECK (detached_at IS NULL OR recovery_point = 'attached');
-- Serves `clones list` and `clones retry`.
CREATE INDEX clone_state ON offshoot.clone (state, id) WHERE state <> 'ready';

-- A clone that another has replaced. Kept, since a subscription may name it, or detached later.
CREATE TABLE offshoot.superseded_clone (
    connected_payment_method_id text PRIMARY KEY,
    share_id                    bigint NOT NULL REFERENCES offshoot.share,
    platform_payment_method_id  text NOT NULL,
    generation                  integer NOT NULL CHECK (generation >= 1),
    -- As clone.ours.
    ours                        boolean NOT NULL DEFAULT true,
    superseded_at               timestamptz NOT NULL,
    -- When to detach it; null: never.
    detach_at                   timestamptz,
    -- Gone from the connected customer, by us or by others.
    detached_at                 timestamptz
);
-- Serves load_superseded.
CREATE INDEX superseded_clone_of_share ON offshoot.superseded_clone (share_id) WHERE detached_at IS NULL;

ALTER TABLE offshoot.intent
    -- What the call is addressed to, where it names a connected object in its path; null for the others, and for
    -- an attach recorded before this column was there.
    ADD COLUMN target text,
    DROP CONSTRAINT intent_step_check,
    ADD CONSTRAINT intent_step_check
        CHECK (step IN ('clone', 'create_customer', 'attach', 'update', 'set_default', 'detach'));
-- Serves the brake: detaches of the last hour.
CREATE INDEX intent_detach ON offshoot.intent (first_tried_at) WHERE step = 'detach';

-- A method on a connected account, as its events and our readings showed it: our clones too.
CREATE TABLE offshoot.connected_payment_method (
    id             text PRIMARY KEY,
    account_id     text NOT NULL,
    -- Whose it is, or was when it was detached; null where it was never attached.
    customer_id    text,
    type           text NOT NULL,
    -- As payment_method.content.
    content        jsonb NOT NULL,
    -- Sticky.
    detached_at    timestamptz,
    -- The event's request carried one of our keys: what it tells is our own doing.
    detached_by_us boolean NOT NULL DEFAULT false,
    as_of          timestamptz NOT NULL,
    CHECK (detached_at IS NOT NULL OR NOT detached_by_us)
);
-- Serves REUSE_EXISTING: what is saved on a connected customer.
CREATE INDEX connected_payment_method_of_customer
    ON offshoot.connected_payment_method (account_id, customer_id) WHERE detached_at IS NULL;

-- "Everything of this customer" or "of this account", expanded in chunks: no transaction grows with the number
-- of accounts.
CREATE TABLE offshoot.fanout (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- mark_customer: make due every share of the customer; mark_account: of the account;
    -- grant_customer: the customer's shares follow what is granted to it, and are due;
    -- grant_account: every customer that shares with all gets a share with this account.
    kind        text NOT NULL CHECK (kind IN ('mark_customer', 'mark_account', 'grant_customer', 'grant_account')),
    -- The customer or the account.
    subject_id  text NOT NULL,
    -- How far it is: the last account (of a customer) or customer (of an account) done, by id; empty at first.
    position    text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- The number of connected methods detached in an hour is bounded: past it nothing is detached until released.
CREATE TABLE offshoot.brake (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Null: not engaged.
    engaged_at  timestamptz,
    -- What was detached before does not count any more.
    released_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO offshoot.brake DEFAULT VALUES;

-- The latest turns that were given to clones of a card, oldest first, at most CLONES_PER_CARD_PER_HOUR of them.
CREATE TABLE offshoot.pace (
    platform_payment_method_id text PRIMARY KEY,
    turns                      timestamptz[] NOT NULL
) WITH (fillfactor = 50);

-- Stripe asked for slower calls: half the rate until then. Null: no such wish.
ALTER TABLE offshoot.limiter ADD COLUMN slowed_until timestamptz;
