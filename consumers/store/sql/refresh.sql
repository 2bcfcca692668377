-- name: doubt_accounts(ids, as_of, settle)!
-- Something changed, but not what: read them soon, unless something later than as_of arrives meanwhile.
UPDATE offshoot.account AS o
SET refresh_at = least(o.refresh_at, now() + :settle::interval), doubt_as_of = greatest(o.doubt_as_of, d.as_of)
FROM unnest(:ids::text[], :as_of::timestamptz[]) AS d (id, as_of)
WHERE o.id = d.id;

-- name: doubt_customers(ids, as_of, settle)!
-- As doubt_accounts.
UPDATE offshoot.customer AS o
SET refresh_at = least(o.refresh_at, now() + :settle::interval), doubt_as_of = greatest(o.doubt_as_of, d.as_of)
FROM unnest(:ids::text[], :as_of::timestamptz[]) AS d (id, as_of)
WHERE o.id = d.id;

-- name: doubt_payment_methods(ids, as_of, settle)!
-- As doubt_accounts.
UPDATE offshoot.payment_method AS o
SET refresh_at = least(o.refresh_at, now() + :settle::interval), doubt_as_of = greatest(o.doubt_as_of, d.as_of)
FROM unnest(:ids::text[], :as_of::timestamptz[]) AS d (id, as_of)
WHERE o.id = d.id;

-- name: want_account(called_invalid, id)!
-- A share waits for an account never seen whole, or was told that it is invalid: read it at once, unless somebody is
-- reading it already.
UPDATE offshoot.account
SET refresh_at = coalesce(refresh_at, now()),
    invalid_at = CASE WHEN :called_invalid::boolean THEN coalesce(invalid_at, now()) ELSE invalid_at END
WHERE id = :id;

-- name: want_reading(kind, id)!
-- Have a platform object read at once, unless somebody is reading it already.
-- No event settles this doubt: a detach waits for the reading.
WITH customers AS (
    UPDATE offshoot.customer SET refresh_at = coalesce(refresh_at, now()), doubt_as_of = 'infinity'
    WHERE :kind::text = 'customer' AND id = :id
)
UPDATE offshoot.payment_method SET refresh_at = coalesce(refresh_at, now()), doubt_as_of = 'infinity'
WHERE :kind::text = 'payment_method' AND id = :id;

-- name: doubt_unknown_customers(settle, ids)!
-- A method whose customer was never seen: perhaps its event comes, else it is read.
UPDATE offshoot.customer SET refresh_at = coalesce(refresh_at, now() + :settle::interval)
WHERE id = ANY (:ids::text[]) AND NOT known;

-- name: claim_refreshes(limit, again, longest)
-- Take objects whose reading is due; refresh_at moves ahead, so that a reader that dies is followed by another,
-- and its new value is what the reading must find unchanged. It moves further with each that did not go well.
WITH accounts_due AS (
    SELECT id FROM offshoot.account WHERE refresh_at <= now() AND NOT revoked ORDER BY refresh_at LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
), accounts AS (
    UPDATE offshoot.account AS o SET refresh_at = now() + least(:again::interval * 2 ^ least(o.refresh_attempts, 10), :longest::interval),
        refresh_attempts = o.refresh_attempts + 1
    FROM accounts_due AS d WHERE o.id = d.id
    RETURNING 'account' AS kind, o.id, o.refresh_at AS claimed, o.refresh_attempts AS attempts
), customers_due AS (
    SELECT id FROM offshoot.customer WHERE refresh_at <= now() ORDER BY refresh_at LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
), customers AS (
    UPDATE offshoot.customer AS o SET refresh_at = now() + least(:again::interval * 2 ^ least(o.refresh_attempts, 10), :longest::interval),
        refresh_attempts = o.refresh_attempts + 1
    FROM customers_due AS d WHERE o.id = d.id
    RETURNING 'customer' AS kind, o.id, o.refresh_at AS claimed, o.refresh_attempts AS attempts
), payment_methods_due AS (
    SELECT id FROM offshoot.payment_method WHERE refresh_at <= now() ORDER BY refresh_at LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
), payment_methods AS (
    UPDATE offshoot.payment_method AS o SET refresh_at = now() + least(:again::interval * 2 ^ least(o.refresh_attempts, 10), :longest::interval),
        refresh_attempts = o.refresh_attempts + 1
    FROM payment_methods_due AS d WHERE o.id = d.id
    RETURNING 'payment_method' AS kind, o.id, o.refresh_at AS claimed, o.refresh_attempts AS attempts
)
SELECT * FROM accounts UNION ALL SELECT * FROM customers UNION ALL SELECT * FROM payment_methods;

-- name: end_doubt_of_customer(not_found, id, claimed)
-- It cannot be read: to read it again is useless, and what was heard of it stands. Where Stripe does not know it, that is
-- what a detach waited for. Returns whose shares are to be looked at.
UPDATE offshoot.customer SET refresh_at = NULL, doubt_as_of = NULL, refresh_attempts = 0, confirmed = confirmed OR :not_found
WHERE id = :id AND refresh_at = :claimed
RETURNING id AS customer_id, coalesce(:not_found AND old.doubt_as_of = 'infinity', false) AS changed;

-- name: end_doubt_of_payment_method(not_found, id, claimed)
-- As end_doubt_of_customer.
UPDATE offshoot.payment_method SET refresh_at = NULL, doubt_as_of = NULL, refresh_attempts = 0, confirmed = confirmed OR :not_found
WHERE id = :id AND refresh_at = :claimed
RETURNING customer_id, coalesce(:not_found AND old.doubt_as_of = 'infinity', false) AS changed;

-- name: next_refresh()$
-- Seconds until the next reading is due; null when none waits.
SELECT extract(epoch FROM min(at) - now())::float8 FROM (
    SELECT min(refresh_at) AS at FROM offshoot.account WHERE refresh_at IS NOT NULL AND NOT revoked
    UNION ALL SELECT min(refresh_at) FROM offshoot.customer WHERE refresh_at IS NOT NULL
    UNION ALL SELECT min(refresh_at) FROM offshoot.payment_method WHERE refresh_at IS NOT NULL
) AS waiting;

-- name: read_customers(ids, as_of, granted_accounts, granted_all, defaults, profiles, deleted, claimed)
-- Write what a reading showed, unless something arrived since it was claimed: that settled the doubt, or began
-- another. A reading never makes a later event look old, so as_of stays.
WITH seen AS (
    SELECT * FROM unnest(
        :ids::text[], :as_of::timestamptz[], :granted_accounts::text[], :granted_all::boolean[], :defaults::text[],
        :profiles::text[], :deleted::boolean[]
    ) AS s (id, read_at, granted_accounts, granted_all, default_payment_method_id, profile, deleted)
)
UPDATE offshoot.customer AS c
SET granted_accounts = string_to_array(s.granted_accounts, ','),
    granted_all = s.granted_all,
    default_payment_method_id = s.default_payment_method_id,
    profile = CASE WHEN s.deleted THEN c.profile ELSE s.profile::jsonb END,
    deleted_at = coalesce(c.deleted_at, CASE WHEN s.deleted THEN s.read_at END),
    known = true,
    confirmed = true,
    read_at = s.read_at,
    refresh_at = NULL,
    refresh_attempts = 0,
    doubt_as_of = NULL
FROM seen AS s
WHERE c.id = s.id AND c.refresh_at = :claimed
RETURNING c.id,
    (old.granted_accounts, old.granted_all, old.default_payment_method_id, old.deleted_at IS NULL, old.known)
        IS DISTINCT FROM (new.granted_accounts, new.granted_all, new.default_payment_method_id, new.deleted_at IS NULL, new.known)
        -- A detach waited for it.
        OR coalesce(old.doubt_as_of = 'infinity', false)
    AS changed,
    (old.granted_all AND old.deleted_at IS NULL) <> (new.granted_all AND new.deleted_at IS NULL) AS turned;

-- name: read_payment_methods(ids, as_of, customers, types, hashes, contents, opted_out, blocked, supported, claimed)
-- As read_customers. One without a customer was detached: only attached ones are ever heard of. One with a
-- customer is attached, whatever was said before: Stripe never attaches a detached one again.
WITH seen AS (
    SELECT * FROM unnest(
        :ids::text[], :as_of::timestamptz[], :customers::text[], :types::text[],
        :hashes::bytea[], :contents::text[], :opted_out::boolean[], :blocked::boolean[], :supported::boolean[]
    ) AS s (id, read_at, customer_id, type, content_hash, content, opted_out, blocked, owner_supported)
)
UPDATE offshoot.payment_method AS p
SET customer_id = coalesce(s.customer_id, p.customer_id),
    type = s.type,
    content_hash = s.content_hash,
    generation = p.generation + CASE WHEN p.content_hash <> s.content_hash THEN 1 ELSE 0 END,
    content = s.content::jsonb,
    opted_out = s.opted_out,
    blocked = s.blocked,
    owner_supported = s.owner_supported,
    detached_at = CASE WHEN s.customer_id IS NULL THEN coalesce(p.detached_at, s.read_at) END,
    known = true,
    confirmed = true,
    read_at = s.read_at,
    refresh_at = NULL,
    refresh_attempts = 0,
    doubt_as_of = NULL
FROM seen AS s
WHERE p.id = s.id AND p.refresh_at = :claimed
RETURNING p.id, p.customer_id,
    (old.customer_id, old.content_hash, old.opted_out, old.detached_at IS NULL, old.blocked)
        IS DISTINCT FROM (new.customer_id, new.content_hash, new.opted_out, new.detached_at IS NULL, new.blocked)
        OR coalesce(old.doubt_as_of = 'infinity', false)
    AS changed;

-- name: read_account(capabilities, invalid, read_at, settle, id, claimed)
-- As read_customers. A null for the capabilities says that the account was not shown: one never known is refused to us; one
-- that was known is disconnected if Stripe called it :invalid for the second time, and read once more after the first.
UPDATE offshoot.account AS a
SET capabilities = coalesce(:capabilities::jsonb, a.capabilities),
    known = a.known OR :capabilities::jsonb IS NOT NULL,
    refused_at = CASE WHEN :capabilities::jsonb IS NULL AND NOT (a.known OR a.joined) THEN :read_at::timestamptz END,
    disconnected_at = CASE
        WHEN :capabilities::jsonb IS NULL AND (NOT :invalid::boolean OR a.invalid_at IS NULL) THEN a.disconnected_at
        WHEN :capabilities::jsonb IS NULL AND (a.known OR a.joined) THEN coalesce(a.disconnected_at, :read_at::timestamptz)
    END,
    invalid_at = CASE
        WHEN :capabilities::jsonb IS NULL AND :invalid::boolean THEN coalesce(a.invalid_at, :read_at::timestamptz)
    END,
    read_at = :read_at::timestamptz,
    joined = a.joined OR :capabilities::jsonb IS NOT NULL,
    refresh_at = CASE
        WHEN :capabilities::jsonb IS NULL AND :invalid::boolean AND (a.known OR a.joined) AND a.invalid_at IS NULL
        THEN now() + :settle::interval
    END,
    refresh_attempts = 0,
    doubt_as_of = NULL
WHERE a.id = :id AND a.refresh_at = :claimed
RETURNING a.id,
    (old.capabilities, old.known, old.refused_at IS NULL, old.disconnected_at IS NULL)
        IS DISTINCT FROM (new.capabilities, new.known, new.refused_at IS NULL, new.disconnected_at IS NULL)
    AS changed,
    new.joined AND NOT old.joined AS joins;

-- name: announce_refresh()!
-- Wake the reader when this transaction commits.
SELECT pg_notify('offshoot_refresh', '');
