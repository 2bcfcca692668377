-- Commands of other services, and what is saved on connected accounts without us.

-- A command by its name. Kept for 7 days after it came, so that a repeat gets the same result.
CREATE TABLE offshoot.command (
    id                          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- ce_source and ce_id.
    source                      text NOT NULL,
    name                        text NOT NULL,
    -- ce_type, also where it names no command.
    type                        text NOT NULL,
    -- Of its record, and of its result's.
    key                         text NOT NULL,
    -- Its value as it was understood; null where it was not. Letter by letter, hence json.
    body                        json,
    -- Null where it was not understood.
    account_id                  text,
    received_at                 timestamptz NOT NULL DEFAULT now(),
    -- Nothing is begun from then on; null: it does not expire.
    expires_at                  timestamptz,
    state                       text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'completed', 'rejected')),
    -- The value of the result, and when it was found; null while it waits.
    result                      json,
    finished_at                 timestamptz,
    -- A method that is made on the account for the command, and not attached yet; null until then.
    connected_payment_method_id text,
    -- As in share.
    due_at                      timestamptz,
    attempts                    integer NOT NULL DEFAULT 0,
    failing_since               timestamptz,
    lease_token                 bigint NOT NULL DEFAULT 0,
    lease_end                   timestamptz,
    UNIQUE (source, name),
    CHECK ((state = 'waiting') = (result IS NULL)),
    CHECK ((state = 'waiting') = (finished_at IS NULL)),
    CHECK (state = 'waiting' OR (due_at IS NULL AND lease_end IS NULL)),
    CHECK ((attempts = 0) = (failing_since IS NULL))
);
-- Serves claim_commands.
CREATE INDEX command_due ON offshoot.command (due_at) WHERE due_at IS NOT NULL;
-- Serves forget_commands.
CREATE INDEX command_received ON offshoot.command (received_at);

-- A write to Stripe for a command, recorded before it is sent. As intent, which is a share's.
CREATE TABLE offshoot.command_intent (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command_id        bigint NOT NULL REFERENCES offshoot.command ON DELETE CASCADE,
    step              text NOT NULL CHECK (step IN ('once', 'direct_create', 'direct_attach', 'direct_confirm')),
    epoch             integer NOT NULL CHECK (epoch >= 1),
    idempotency_key   text NOT NULL UNIQUE CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    parameters        json NOT NULL,
    -- The connected method that the call is about; null where it makes one.
    target            text,
    -- The platform's method that the call makes unusable; null for the others.
    consumes          text,
    first_tried_at    timestamptz NOT NULL,
    outcome           text CHECK (outcome IN ('succeeded', 'refused', 'void')),
    stored_error      boolean NOT NULL DEFAULT false,
    stripe_request_id text,
    UNIQUE (command_id, step, epoch)
);
-- One write at a time for a command. Serves load_command_intent.
CREATE UNIQUE INDEX command_intent_open ON offshoot.command_intent (command_id) WHERE outcome IS NULL;
-- Serves the rule that an original which a clone consumes is given to one write only.
CREATE INDEX command_intent_consumes ON offshoot.command_intent (consumes) WHERE consumes IS NOT NULL;

ALTER TABLE offshoot.share
    -- What commands grant of the customer's methods: null is all of them but the excluded.
    ADD COLUMN command_methods text[],
    ADD COLUMN command_excluded_methods text[] NOT NULL DEFAULT '{}',
    ADD CHECK (granted_by_command OR (command_methods IS NULL AND command_excluded_methods = '{}')),
    ADD CHECK (command_methods IS NULL OR command_excluded_methods = '{}');

ALTER TABLE offshoot.connected_payment_method
    -- A bank account that Stripe has blocked.
    ADD COLUMN blocked boolean NOT NULL DEFAULT false,
    -- An event of it bore the key of a clone's write: it is a clone of ours, whether or not a row names it.
    ADD COLUMN is_clone boolean NOT NULL DEFAULT false,
    -- Whether a mandate for it is in force on the account, and as of when that was seen; null: none was seen.
    ADD COLUMN mandate boolean,
    ADD COLUMN mandate_as_of timestamptz,
    -- The account went away since it was last seen: what is there now only Stripe knows.
    ADD COLUMN unverified boolean NOT NULL DEFAULT false,
    -- What its record, of origin `direct`, last said. Version 0: nothing was ever said of it.
    ADD COLUMN version bigint NOT NULL DEFAULT 0,
    ADD COLUMN state text,
    ADD COLUMN reason text,
    ADD COLUMN announced_default boolean NOT NULL DEFAULT false,
    ADD COLUMN occurred_at timestamptz,
    ADD CHECK ((mandate IS NULL) = (mandate_as_of IS NULL)),
    ADD CHECK ((version = 0) = (state IS NULL)),
    ADD CHECK ((version = 0) = (occurred_at IS NULL));
-- Serves what is said of an account: its announced direct methods, in chunks.
CREATE INDEX connected_payment_method_announced
    ON offshoot.connected_payment_method (account_id, id) WHERE version > 0;
-- What is saved on a connected customer, detached ones too: its deletion is said of all.
CREATE INDEX connected_payment_method_announced_of_customer
    ON offshoot.connected_payment_method (account_id, customer_id) WHERE version > 0;

-- A customer on a connected account, as its events showed it: which method is its default.
CREATE TABLE offshoot.connected_customer (
    account_id                text NOT NULL,
    id                        text NOT NULL,
    default_payment_method_id text,
    -- Sticky.
    deleted_at                timestamptz,
    as_of                     timestamptz NOT NULL,
    PRIMARY KEY (account_id, id)
);

-- An object on a connected account that only Stripe can tell of: a thin event named it, or its account came back.
CREATE TABLE offshoot.connected_reading (
    account_id text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('payment_method', 'customer', 'setup_intent', 'payment_intent', 'mandate')),
    id         text NOT NULL,
    due_at     timestamptz NOT NULL,
    -- Stripe's second of what was heard: something as late that tells more settles it. Infinity: only a reading does.
    as_of      timestamptz NOT NULL,
    -- Readings begun.
    attempts   integer NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, kind, id)
);
-- Serves claim_connected_readings.
CREATE INDEX connected_reading_due ON offshoot.connected_reading (due_at);

ALTER TABLE offshoot.fanout
    DROP CONSTRAINT fanout_kind_check,
    -- direct_account: the records of what is saved on the account without us follow it.
    ADD CONSTRAINT fanout_kind_check CHECK (
        kind IN ('mark_customer', 'mark_account', 'grant_customer', 'grant_account', 'direct_account')
    );

-- Serves the question whether a detach that an event or a reading shows was our own doing.
CREATE INDEX intent_detach_of ON offshoot.intent (object) WHERE step = 'detach';
