-- What Offshoot knows of Stripe (account, customer, payment_method), what it has to do (share), what it did
-- (clone, intent), what it has to say (outbox), and what it has heard (inbox). DESIGN.md section 7.

-- A connected account. A row may be a stub: named by a customer, not yet heard of or read.
CREATE TABLE offshoot.account (
    id              text PRIMARY KEY,
    -- Capability name -> status, as far as heard. Complete once known is true.
    capabilities    jsonb NOT NULL DEFAULT '{}',
    -- The whole object was seen, by event or by reading.
    known           boolean NOT NULL DEFAULT false,
    -- Set when a reading of an account never known was refused (account_invalid); null again once it is heard of.
    refused_at      timestamptz,
    -- Set by account.application.deauthorized, or by a reading that was refused; null again once access is shown.
    disconnected_at timestamptz,
    -- The deauthorised event was heard: no call is made, not even to look, until an authorised one.
    revoked         boolean NOT NULL DEFAULT false,
    -- Stripe's second of the newest event applied; null for a stub or one only read.
    as_of           timestamptz,
    -- Our clock just before the newest reading was sent; null when never read.
    read_at         timestamptz,
    -- When to read it at Stripe, since what was heard is in doubt; null otherwise.
    refresh_at      timestamptz,
    -- An event later than this settles the doubt; null where any does, or there is none.
    doubt_as_of     timestamptz,
    CHECK (NOT revoked OR disconnected_at IS NOT NULL)
);

-- A platform customer.
CREATE TABLE offshoot.customer (
    id                        text PRIMARY KEY,
    -- The accounts its metadata names.
    granted_accounts          text[] NOT NULL DEFAULT '{}',
    -- invoice_settings.default_payment_method; null where there is none.
    default_payment_method_id text,
    -- The fields that a new connected customer is given (CUSTOMER_FIELDS).
    profile                   jsonb NOT NULL DEFAULT '{}',
    -- Sticky.
    deleted_at                timestamptz,
    known                     boolean NOT NULL DEFAULT false,
    as_of                     timestamptz,
    read_at                   timestamptz,
    refresh_at                timestamptz,
    doubt_as_of               timestamptz
);

-- A platform payment method.
CREATE TABLE offshoot.payment_method (
    id           text PRIMARY KEY,
    -- Whose it is, or was when it was detached; null for a stub.
    customer_id  text,
    -- card, us_bank_account, link …; null for a stub.
    type         text,
    -- Over exactly what makes a clone out of date: see consumers/projection/payment_method.py. Null for a stub.
    content_hash bytea,
    -- Raised by each new content_hash.
    generation   integer NOT NULL DEFAULT 1 CHECK (generation >= 1),
    -- Its metadata says offshoot = never.
    opted_out    boolean NOT NULL DEFAULT false,
    -- Sticky: Stripe never lets a detached method be attached again.
    detached_at  timestamptz,
    known        boolean NOT NULL DEFAULT false,
    as_of        timestamptz,
    read_at      timestamptz,
    refresh_at   timestamptz,
    doubt_as_of  timestamptz,
    CHECK (NOT known OR (type IS NOT NULL AND content_hash IS NOT NULL))
);
-- Serves load_methods: the methods of a share's customer.
CREATE INDEX payment_method_of_customer ON offshoot.payment_method (customer_id);

-- These serve claim_refreshes, one each.
CREATE INDEX account_refresh ON offshoot.account (refresh_at) WHERE refresh_at IS NOT NULL;
CREATE INDEX customer_refresh ON offshoot.customer (refresh_at) WHERE refresh_at IS NOT NULL;
CREATE INDEX payment_method_refresh ON offshoot.payment_method (refresh_at) WHERE refresh_at IS NOT NULL;

-- One platform customer on one connected account: the unit of work and of mutual exclusion.
CREATE TABLE offshoot.share (
    id                     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id            text NOT NULL REFERENCES offshoot.customer,
    account_id             text NOT NULL REFERENCES offshoot.account,
    granted_by_metadata    boolean NOT NULL DEFAULT false,
    granted_by_command     boolean NOT NULL DEFAULT false,
    wanted                 boolean GENERATED ALWAYS AS (granted_by_metadata OR granted_by_command) STORED,
    -- The customer on the account; null until it is made or adopted.
    connected_customer_id  text,
    -- Its default, as far as we made it so; null until then.
    connected_default_id   text,
    -- Raised by whatever may matter to the share; finishing leaves due_at alone if it has risen meanwhile.
    mark                   bigint NOT NULL DEFAULT 0,
    -- When to look at it; null: nothing to do until it is marked.
    due_at                 timestamptz,
    -- 0 urgent, 1 bulk.
    priority               smallint NOT NULL DEFAULT 0 CHECK (priority IN (0, 1)),
    -- Transient failures in a row, and since when; zero and null when the last step went well.
    attempts               integer NOT NULL DEFAULT 0,
    failing_since          timestamptz,
    -- The fencing token: raised by each claim, so that who holds an old one records nothing.
    lease_token            bigint NOT NULL DEFAULT 0,
    -- Until when it is held; null when nobody holds it.
    lease_end              timestamptz,
    UNIQUE (customer_id, account_id),
    UNIQUE (account_id, connected_customer_id),
    CHECK (connected_default_id IS NULL OR connected_customer_id IS NOT NULL),
    CHECK ((attempts = 0) = (failing_since IS NULL))
) WITH (
    -- The table changes with every claim: vacuum by count, not by share of a large table.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, fillfactor = 80
);
-- Serves claim_due_shares. lease_end stays out, so that a renewal is a HOT update.
CREATE INDEX share_due ON offshoot.share (priority, due_at) WHERE due_at IS NOT NULL;
-- Serves mark_shares_of_accounts.
CREATE INDEX share_of_account ON offshoot.share (account_id);

-- One platform payment method in one share.
CREATE TABLE offshoot.clone (
    id                          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    share_id                    bigint NOT NULL REFERENCES offshoot.share,
    platform_payment_method_id  text NOT NULL,
    -- The generation of the platform method that the clone was, or is being, made from.
    generation                  integer NOT NULL CHECK (generation >= 1),
    -- planned: nothing at Stripe; cloned: made, not attached; attached: on the connected customer.
    recovery_point              text NOT NULL DEFAULT 'planned' CHECK (recovery_point IN ('planned', 'cloned', 'attached')),
    -- The clone's id on the account; null until it is made.
    connected_payment_method_id text UNIQUE,
    state                       text NOT NULL DEFAULT 'pending',
    reason                      text,
    -- Stripe's request id of the last call that changed the row; null before the first.
    stripe_request_id           text,
    -- Of the announced record: 0 until the first announcement, never repeats.
    version                     bigint NOT NULL DEFAULT 0,
    -- When the state was last changed.
    occurred_at                 timestamptz NOT NULL DEFAULT now(),
    UNIQUE (share_id, platform_payment_method_id),
    CHECK ((recovery_point = 'planned') = (connected_payment_method_id IS NULL)),
    CHECK (state <> 'ready' OR recovery_point = 'attached'),
    -- The same closed list as schemas/records.py.
    CONSTRAINT clone_state_reason CHECK (
        CASE state
            WHEN 'pending' THEN reason IS NULL
            WHEN 'ready' THEN reason IS NULL OR reason IN ('reused', 'updating', 'update_failed', 'mandate_unverified')
            WHEN 'blocked' THEN coalesce(reason IN ('capability_inactive', 'account_disconnected', 'account_unknown', 'bank_account_blocked'), false)
            WHEN 'failed' THEN coalesce(reason IN ('card_declined', 'customer_full', 'original_consumed', 'not_found', 'permission', 'refused', 'retries_exhausted'), false)
            WHEN 'absent' THEN coalesce(reason IN ('detached_on_platform', 'detached_on_account', 'share_revoked', 'customer_deleted', 'connected_customer_deleted', 'type_not_cloneable', 'opted_out', 'owner_not_supported'), false)
            ELSE false
        END
    )
);

-- A write to Stripe, recorded before it is sent: what a repeat sends, whoever sends it.
CREATE TABLE offshoot.intent (
    id                         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    share_id                   bigint NOT NULL REFERENCES offshoot.share,
    -- The method for whose sake the write is made.
    platform_payment_method_id text NOT NULL,
    step                       text NOT NULL CHECK (step IN ('clone', 'create_customer', 'attach')),
    -- What the key is about: the platform method and its generation, or the platform customer.
    object                     text NOT NULL,
    -- A new one only after the outcome of the one before is known.
    epoch                      integer NOT NULL CHECK (epoch >= 1),
    idempotency_key            text NOT NULL UNIQUE CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    -- Exactly what is sent; json, not jsonb, to keep it letter by letter.
    parameters                 json NOT NULL,
    -- Of the platform method, when the write was begun.
    generation                 integer NOT NULL CHECK (generation >= 1),
    first_tried_at             timestamptz NOT NULL,
    -- succeeded; refused: a definite no; void: read at Stripe that it did nothing. Null: not known yet.
    outcome                    text CHECK (outcome IN ('succeeded', 'refused', 'void')),
    -- Stripe answered 500 and keeps that answer under the key: repeating it is useless, reading tells.
    stored_error               boolean NOT NULL DEFAULT false,
    stripe_request_id          text,
    UNIQUE (share_id, step, object, epoch)
);
-- One write at a time in a share. Serves load_open_intent.
CREATE UNIQUE INDEX intent_open ON offshoot.intent (share_id) WHERE outcome IS NULL;

-- A record to publish; deleted once acknowledged. Read by id.
CREATE TABLE offshoot.outbox (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Without the deployment's prefix.
    topic   text NOT NULL,
    key     text NOT NULL,
    headers jsonb NOT NULL,
    value   bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- A relevant event that was ingested. It filters repeats; correctness never rests on it.
CREATE TABLE offshoot.inbox (
    id          text NOT NULL,
    -- Stripe's second, by which the table is partitioned and old partitions are dropped.
    created     timestamptz NOT NULL,
    type        text NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, created)
) PARTITION BY RANGE (created);
CREATE TABLE offshoot.inbox_default PARTITION OF offshoot.inbox DEFAULT;

-- A class of Stripe calls and the tokens it has left, shared by all workers.
CREATE TABLE offshoot.limiter (
    name        text PRIMARY KEY,
    tokens      double precision NOT NULL,
    refilled_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Positions that outlive a process, and the installation's id, which every idempotency key names.
CREATE TABLE offshoot.cursor (
    name     text PRIMARY KEY,
    position text NOT NULL
);
INSERT INTO offshoot.cursor (name, position)
VALUES ('installation', substr(replace(gen_random_uuid()::text, '-', ''), 1, 12));
