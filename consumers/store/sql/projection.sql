-- name: remember_events(ids, created, types)
-- Note the events of a batch; return those not noted before. It filters repeats, correctness never rests on it.
-- In one order, so that two members that note the same events wait for each other instead of deadlocking.
INSERT INTO offshoot.inbox (id, created, type)
SELECT DISTINCT ON (id, created) id, created, type
FROM unnest(:ids::text[], :created::timestamptz[], :types::text[]) AS e (id, created, type)
ORDER BY id, created
ON CONFLICT DO NOTHING
RETURNING id, created;

-- name: add_customer_stubs(ids)!
-- A card may arrive before its customer: a row to lock must be there for both.
INSERT INTO offshoot.customer (id)
SELECT unnest(:ids::text[]) ORDER BY 1
ON CONFLICT DO NOTHING;

-- name: lock_customers(ids)
-- Everything read after this sees what any other transaction did to these customers before.
SELECT id FROM offshoot.customer WHERE id = ANY (:ids::text[]) ORDER BY id FOR NO KEY UPDATE;

-- name: add_account_stubs(ids)!
-- An account named by a customer may never have been heard of.
INSERT INTO offshoot.account (id)
SELECT unnest(:ids::text[]) ORDER BY 1
ON CONFLICT DO NOTHING;

-- name: lock_accounts(ids)
-- As lock_customers, always after it.
SELECT id FROM offshoot.account WHERE id = ANY (:ids::text[]) ORDER BY id FOR NO KEY UPDATE;

-- name: add_payment_method_stubs(ids)!
-- So that applying is one UPDATE whether or not the row was there.
INSERT INTO offshoot.payment_method (id)
SELECT unnest(:ids::text[]) ORDER BY 1
ON CONFLICT DO NOTHING;

-- name: apply_customers(ids, as_of, granted_accounts, granted_all, defaults, profiles, deleted, settle)
-- Write what was seen of customers, where it is not older than what is known; return those that changed.
-- In doubt it is read again: another content in the same second, or by an event older than the last reading,
-- which then is not written either. Deleted is sticky. `turned`: it is shared with all from now on, or no more.
WITH seen AS (
    SELECT id, as_of, deleted, granted_all, default_payment_method_id, profile::jsonb AS profile,
        string_to_array(granted_accounts, ',') AS granted_accounts
    FROM unnest(
        :ids::text[], :as_of::timestamptz[], :granted_accounts::text[], :granted_all::boolean[], :defaults::text[],
        :profiles::text[], :deleted::boolean[]
    ) AS s (id, as_of, granted_accounts, granted_all, default_payment_method_id, profile, deleted)
), compared AS (
    SELECT s.*,
        (c.as_of IS NULL OR s.as_of >= c.as_of) AS newer,
        coalesce(s.as_of < date_trunc('second', c.read_at), false) AS before_reading,
        NOT s.deleted AND (c.granted_accounts, c.granted_all, c.default_payment_method_id, c.profile)
            IS DISTINCT FROM (s.granted_accounts, s.granted_all, s.default_payment_method_id, s.profile) AS differs,
        (c.granted_accounts, c.granted_all) <> (s.granted_accounts, s.granted_all) AS grants_turn,
        s.deleted AND c.deleted_at IS NULL AS ends
    FROM seen AS s JOIN offshoot.customer AS c USING (id)
), judged AS (
    SELECT *, newer AND NOT before_reading AS applies,
        ends OR (grants_turn AND newer AND NOT before_reading) AS turns
    FROM compared
)
UPDATE offshoot.customer AS c
SET granted_accounts = CASE WHEN s.applies THEN s.granted_accounts ELSE c.granted_accounts END,
    granted_all = CASE WHEN s.applies THEN s.granted_all ELSE c.granted_all END,
    default_payment_method_id = CASE WHEN s.applies THEN s.default_payment_method_id ELSE c.default_payment_method_id END,
    profile = CASE WHEN s.applies AND NOT s.deleted THEN s.profile ELSE c.profile END,
    deleted_at = coalesce(c.deleted_at, CASE WHEN s.deleted THEN s.as_of END),
    known = true,
    confirmed = c.confirmed AND NOT s.turns,
    as_of = greatest(c.as_of, s.as_of),
    refresh_at = CASE
        -- A detach waits for the reading: let it show this too.
        WHEN s.turns AND c.doubt_as_of = 'infinity' THEN now() + :settle::interval
        WHEN s.newer AND s.differs AND (s.before_reading OR s.as_of = c.as_of OR s.as_of = date_trunc('second', c.read_at)) THEN now() + :settle::interval
        WHEN s.applies AND s.as_of > coalesce(c.doubt_as_of, '-infinity') THEN NULL
        ELSE c.refresh_at
    END,
    doubt_as_of = CASE
        WHEN c.doubt_as_of = 'infinity' THEN c.doubt_as_of
        WHEN s.newer AND s.differs AND (s.before_reading OR s.as_of = c.as_of OR s.as_of = date_trunc('second', c.read_at)) THEN s.as_of
        WHEN s.applies AND s.as_of > coalesce(c.doubt_as_of, '-infinity') THEN NULL
        ELSE c.doubt_as_of
    END
FROM judged AS s
WHERE c.id = s.id AND (s.newer OR (s.deleted AND c.deleted_at IS NULL))
RETURNING c.id,
    (old.granted_accounts, old.granted_all, old.default_payment_method_id, old.deleted_at IS NULL, old.known)
        IS DISTINCT FROM (new.granted_accounts, new.granted_all, new.default_payment_method_id, new.deleted_at IS NULL, new.known)
    AS changed,
    (old.granted_all AND old.deleted_at IS NULL) <> (new.granted_all AND new.deleted_at IS NULL) AS turned;

-- name: apply_payment_methods(ids, as_of, customers, types, hashes, contents, opted_out, blocked, supported, detached, settle)
-- As apply_customers; detached is sticky whatever the age of the event.
WITH seen AS (
    SELECT * FROM unnest(
        :ids::text[], :as_of::timestamptz[], :customers::text[], :types::text[],
        :hashes::bytea[], :contents::text[], :opted_out::boolean[], :blocked::boolean[], :supported::boolean[],
        :detached::boolean[]
    ) AS s (id, as_of, customer_id, type, content_hash, content, opted_out, blocked, owner_supported, detached)
), compared AS (
    SELECT s.*,
        (p.as_of IS NULL OR s.as_of >= p.as_of) AS newer,
        coalesce(s.as_of < date_trunc('second', p.read_at), false) AS before_reading,
        p.known AND (p.customer_id, p.type, p.content_hash, p.opted_out, p.blocked)
            IS DISTINCT FROM (coalesce(s.customer_id, p.customer_id), s.type, s.content_hash, s.opted_out, s.blocked) AS differs,
        s.detached AND p.detached_at IS NULL AS ends
    FROM seen AS s JOIN offshoot.payment_method AS p USING (id)
), judged AS (
    SELECT *, newer AND NOT before_reading AS applies,
        ends OR (differs AND newer AND NOT before_reading) AS turns
    FROM compared
)
UPDATE offshoot.payment_method AS p
SET customer_id = CASE WHEN s.applies THEN coalesce(s.customer_id, p.customer_id) ELSE coalesce(p.customer_id, s.customer_id) END,
    type = CASE WHEN s.applies OR NOT p.known THEN s.type ELSE p.type END,
    content_hash = CASE WHEN s.applies OR NOT p.known THEN s.content_hash ELSE p.content_hash END,
    content = CASE WHEN s.applies OR NOT p.known THEN s.content::jsonb ELSE p.content END,
    blocked = CASE WHEN s.applies OR NOT p.known THEN s.blocked ELSE p.blocked END,
    owner_supported = CASE WHEN s.applies OR NOT p.known THEN s.owner_supported ELSE p.owner_supported END,
    confirmed = p.confirmed AND NOT s.turns,
    generation = p.generation + CASE WHEN s.applies AND p.content_hash <> s.content_hash THEN 1 ELSE 0 END,
    opted_out = CASE WHEN s.applies OR NOT p.known THEN s.opted_out ELSE p.opted_out END,
    detached_at = coalesce(p.detached_at, CASE WHEN s.detached THEN s.as_of END),
    known = true,
    as_of = greatest(p.as_of, s.as_of),
    refresh_at = CASE
        WHEN s.turns AND p.doubt_as_of = 'infinity' THEN now() + :settle::interval
        WHEN s.newer AND s.differs AND (s.before_reading OR s.as_of = p.as_of OR s.as_of = date_trunc('second', p.read_at)) THEN now() + :settle::interval
        WHEN s.applies AND s.as_of > coalesce(p.doubt_as_of, '-infinity') THEN NULL
        ELSE p.refresh_at
    END,
    doubt_as_of = CASE
        WHEN p.doubt_as_of = 'infinity' THEN p.doubt_as_of
        WHEN s.newer AND s.differs AND (s.before_reading OR s.as_of = p.as_of OR s.as_of = date_trunc('second', p.read_at)) THEN s.as_of
        WHEN s.applies AND s.as_of > coalesce(p.doubt_as_of, '-infinity') THEN NULL
        ELSE p.doubt_as_of
    END
FROM judged AS s
WHERE p.id = s.id AND (s.newer OR (s.detached AND p.detached_at IS NULL))
RETURNING p.id, p.customer_id,
    (old.customer_id, old.content_hash, old.opted_out, old.detached_at IS NULL, old.blocked)
        IS DISTINCT FROM (new.customer_id, new.content_hash, new.opted_out, new.detached_at IS NULL, new.blocked)
    AS changed;

-- name: apply_accounts(ids, as_of, capabilities, whole, connected, access_in_doubt, settle)
-- Write what was seen of accounts: a whole one replaces, a part is laid over, an older one fills in what was never
-- heard. Capabilities come by different partitions, so one that is heard late and differs puts the account in doubt;
-- only a whole account settles that. A part that comes during a reading has the account read once more. One whose access
-- was given and taken away within one second is disconnected, not revoked: it is asked which came last.
WITH seen AS (
    SELECT id, as_of, capabilities::jsonb AS capabilities, whole, connected, access_in_doubt FROM unnest(
        :ids::text[], :as_of::timestamptz[], :capabilities::text[], :whole::boolean[], :connected::boolean[],
        :access_in_doubt::boolean[]
    ) AS s (id, as_of, capabilities, whole, connected, access_in_doubt)
), compared AS (
    SELECT s.*,
        (a.as_of IS NULL OR s.as_of >= a.as_of) AS newer,
        -- A reading that was refused is no later word than the event that tells why.
        coalesce(s.as_of < date_trunc('second', a.read_at), false)
            AND NOT (s.connected IS false AND coalesce(a.refused_at, a.invalid_at, a.disconnected_at) IS NOT NULL) AS before_reading,
        coalesce(s.connected AND a.disconnected_at IS NOT NULL, false) AS regains,
        CASE
            WHEN a.known AND s.whole THEN a.capabilities <> s.capabilities
            WHEN a.known THEN NOT a.capabilities @> s.capabilities
            ELSE NOT (s.capabilities || a.capabilities) @> s.capabilities
        END OR coalesce(s.connected <> (a.disconnected_at IS NULL), false) AS differs
    FROM seen AS s JOIN offshoot.account AS a USING (id)
), judged AS (
    SELECT *, newer AND NOT before_reading AS applies,
        differs AND (NOT newer OR before_reading) AS late
    FROM compared
)
UPDATE offshoot.account AS a
SET capabilities = CASE
        WHEN s.applies AND (s.whole OR s.regains) THEN s.capabilities
        WHEN s.applies THEN a.capabilities || s.capabilities
        WHEN a.known THEN a.capabilities
        ELSE s.capabilities || a.capabilities
    END,
    -- Access regained: everything is looked at afresh.
    known = CASE WHEN s.applies AND s.regains THEN s.whole ELSE a.known OR s.whole END,
    -- It was heard of; that it was taken away is no reason to share with it.
    joined = a.joined OR s.connected IS DISTINCT FROM false,
    refused_at = NULL,
    invalid_at = NULL,
    disconnected_at = CASE
        WHEN NOT s.applies OR s.connected IS NULL THEN a.disconnected_at
        WHEN NOT s.connected THEN coalesce(a.disconnected_at, s.as_of)
    END,
    revoked = CASE
        WHEN NOT s.applies OR s.connected IS NULL THEN a.revoked
        ELSE NOT (s.connected OR s.access_in_doubt OR coalesce(a.authorized_at = s.as_of, false))
    END,
    authorized_at = CASE WHEN s.connected THEN greatest(a.authorized_at, s.as_of) ELSE a.authorized_at END,
    as_of = greatest(a.as_of, s.as_of),
    refresh_at = CASE
        -- It speaks, though a reading of it was refused: look again.
        WHEN s.newer AND a.disconnected_at IS NOT NULL AND NOT a.revoked AND s.connected IS NULL THEN now() + :settle::interval
        WHEN (s.late AND (a.known OR s.whole)) OR (s.differs AND s.as_of = a.as_of) THEN now() + :settle::interval
        WHEN s.applies AND s.whole AND s.as_of > coalesce(a.doubt_as_of, '-infinity') THEN NULL
        WHEN a.refresh_at IS NOT NULL AND NOT s.whole THEN now() + :settle::interval
        ELSE a.refresh_at
    END,
    doubt_as_of = CASE
        WHEN (s.late AND (a.known OR s.whole)) OR (s.differs AND s.as_of = a.as_of) THEN greatest(a.doubt_as_of, s.as_of)
        WHEN s.applies AND s.whole AND s.as_of > coalesce(a.doubt_as_of, '-infinity') THEN NULL
        ELSE a.doubt_as_of
    END
FROM judged AS s
WHERE a.id = s.id AND (s.newer OR NOT a.known OR s.late OR NOT a.joined)
RETURNING a.id,
    (old.capabilities, old.known, old.refused_at IS NULL, old.disconnected_at IS NULL)
        IS DISTINCT FROM (new.capabilities, new.known, new.refused_at IS NULL, new.disconnected_at IS NULL)
    AS changed,
    new.joined AND NOT old.joined AS joins;
