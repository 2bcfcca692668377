-- name: unjoined_accounts(ids)
-- Those of these accounts that were never heard of before.
SELECT id FROM unnest(:ids::text[]) AS e (id)
WHERE NOT EXISTS (SELECT FROM offshoot.account AS a WHERE a.id = e.id AND a.joined);

-- name: join_accounts(ids)
-- They have been heard of: `*` and `all` mean them too. Locked before.
UPDATE offshoot.account SET joined = true WHERE id = ANY (:ids::text[]) AND NOT joined RETURNING id;

-- name: share_accounts(ids)
-- What is said of a method on an account rests on the account: it is not taken away meanwhile.
SELECT id FROM offshoot.account WHERE id = ANY (:ids::text[]) ORDER BY id FOR SHARE;

-- name: add_connected_customer_stubs(accounts, ids)!
-- A method and its customer come by different partitions: a row to lock must be there for both.
INSERT INTO offshoot.connected_customer (account_id, id, as_of)
SELECT account_id, id, '-infinity' FROM unnest(:accounts::text[], :ids::text[]) AS c (account_id, id)
ORDER BY 1, 2
ON CONFLICT DO NOTHING;

-- name: lock_connected_customers(accounts, ids)
-- As lock_customers, always after the accounts.
SELECT c.account_id, c.id FROM offshoot.connected_customer AS c
JOIN unnest(:accounts::text[], :ids::text[]) AS l (account_id, id) USING (account_id, id)
ORDER BY 1, 2 FOR NO KEY UPDATE OF c;

-- name: record_connected_customers(ids, as_of, accounts, defaults, deleted)
-- Write what was seen of customers on accounts, where it is not older than what is known; return those that changed.
-- Deleted is sticky. Locked before.
UPDATE offshoot.connected_customer AS c
SET default_payment_method_id = CASE WHEN s.as_of >= c.as_of THEN s.default_id ELSE c.default_payment_method_id END,
    deleted_at = coalesce(c.deleted_at, CASE WHEN s.deleted THEN s.as_of END),
    as_of = greatest(c.as_of, s.as_of)
FROM unnest(:ids::text[], :as_of::timestamptz[], :accounts::text[], :defaults::text[], :deleted::boolean[])
    AS s (id, as_of, account_id, default_id, deleted)
WHERE c.account_id = s.account_id AND c.id = s.id AND (s.as_of >= c.as_of OR s.deleted)
RETURNING c.account_id, c.id,
    (old.default_payment_method_id, old.deleted_at IS NULL) IS DISTINCT FROM (new.default_payment_method_id, new.deleted_at IS NULL)
    AS changed;

-- name: apply_connected_methods(ids, as_of, accounts, customers, types, contents, blocked, detached, mandates, mandates_as_of, keys, key_prefix)
-- Write what was seen of methods on connected accounts; return those that changed, and whether others did it. It was our own
-- doing where the key of the request begins with :key_prefix and this installation's id, or where we were to detach it.
WITH keyed AS (
    SELECT e.*, coalesce(starts_with(e.key, :key_prefix::text || c.position || ':'), false) AS has_our_key
    FROM unnest(
        :ids::text[], :as_of::timestamptz[], :accounts::text[], :customers::text[], :types::text[], :contents::text[],
        :blocked::boolean[], :detached::boolean[], :mandates::boolean[], :mandates_as_of::timestamptz[], :keys::text[]
    ) AS e (id, as_of, account_id, customer_id, type, content, blocked, detached, mandate, mandate_as_of, key)
    JOIN offshoot.cursor AS c ON c.name = 'installation'
), seen AS (
    SELECT *,
        has_our_key OR (detached AND EXISTS (
            SELECT FROM offshoot.intent AS i
            WHERE i.step = 'detach' AND i.object = keyed.id AND coalesce(i.outcome = 'succeeded', true)
        )) AS is_ours,
        -- The key says which of our doings it was: what `direct.save` saves is no clone.
        has_our_key AND NOT starts_with(split_part(key, ':', 5), 'direct_') AS is_clone
    FROM keyed
), written AS (
    INSERT INTO offshoot.connected_payment_method AS m (
        id, account_id, customer_id, type, content, blocked, detached_at, detached_by_us, is_clone, mandate, mandate_as_of, as_of
    )
    SELECT s.id, s.account_id, s.customer_id, s.type, coalesce(s.content::jsonb, '{}'), s.blocked,
        CASE WHEN s.detached THEN s.as_of END, s.detached AND s.is_ours, s.is_clone, s.mandate, s.mandate_as_of, s.as_of
    FROM seen AS s
    ORDER BY s.id
    ON CONFLICT (id) DO UPDATE
    SET customer_id = CASE WHEN excluded.as_of >= m.as_of THEN coalesce(excluded.customer_id, m.customer_id) ELSE coalesce(m.customer_id, excluded.customer_id) END,
        type = CASE WHEN excluded.type <> '' THEN excluded.type ELSE m.type END,
        content = CASE
            WHEN excluded.content <> '{}' AND (excluded.as_of >= m.as_of OR m.content = '{}') THEN excluded.content
            ELSE m.content
        END,
        blocked = CASE
            WHEN excluded.content <> '{}' AND (excluded.as_of >= m.as_of OR m.content = '{}') THEN excluded.blocked
            ELSE m.blocked
        END,
        detached_at = coalesce(m.detached_at, excluded.detached_at),
        detached_by_us = m.detached_by_us OR excluded.detached_by_us,
        is_clone = m.is_clone OR excluded.is_clone,
        mandate = CASE WHEN coalesce(excluded.mandate_as_of >= m.mandate_as_of, m.mandate IS NULL) THEN excluded.mandate ELSE m.mandate END,
        mandate_as_of = greatest(m.mandate_as_of, excluded.mandate_as_of),
        -- An intent or a mandate tells nothing of the content: an event before it may.
        as_of = CASE WHEN excluded.content <> '{}' OR excluded.detached_at IS NOT NULL THEN greatest(m.as_of, excluded.as_of) ELSE m.as_of END
    RETURNING m.id,
        (old.customer_id, old.type, old.content, old.blocked, old.detached_at IS NULL, old.is_clone, old.mandate)
            IS DISTINCT FROM (new.customer_id, new.type, new.content, new.blocked, new.detached_at IS NULL, new.is_clone, new.mandate)
        AS changed
)
SELECT w.id, NOT s.is_ours AS by_others FROM written AS w JOIN seen AS s USING (id) WHERE w.changed;

-- name: shares_of_connected_methods(ids)
-- The shares that have these methods as a clone, as the next one or as one that was replaced, and the shares of the
-- connected customers that they are saved on.
SELECT share_id AS id FROM offshoot.clone WHERE connected_payment_method_id = ANY (:ids::text[])
UNION SELECT share_id FROM offshoot.clone WHERE next_payment_method_id = ANY (:ids::text[])
UNION SELECT share_id FROM offshoot.superseded_clone WHERE connected_payment_method_id = ANY (:ids::text[])
UNION SELECT s.id FROM offshoot.connected_payment_method AS m
    JOIN offshoot.share AS s ON s.account_id = m.account_id AND s.connected_customer_id = m.customer_id
    WHERE m.id = ANY (:ids::text[]);

-- name: shares_of_connected_customers(accounts, customers)
-- The shares that have these connected customers.
SELECT s.id FROM offshoot.share AS s
JOIN unnest(:accounts::text[], :customers::text[]) AS c (account_id, customer_id)
    ON s.account_id = c.account_id AND s.connected_customer_id = c.customer_id;

-- name: apply_connected_customers(ids, as_of, accounts, defaults, deleted)
-- A connected customer was deleted, or has a default; what is older than what we know or did is passed over. Returns the shares,
-- and for which of them that is news, as what is heard first of one that was adopted is. Locked before.
UPDATE offshoot.share AS s
SET connected_customer_deleted_at = CASE WHEN c.deleted THEN c.as_of END,
    connected_customer_id = CASE WHEN NOT c.deleted THEN s.connected_customer_id END,
    connected_default_id = CASE WHEN NOT c.deleted THEN c.default_id END,
    connected_as_of = c.as_of
FROM unnest(:ids::text[], :as_of::timestamptz[], :accounts::text[], :defaults::text[], :deleted::boolean[])
    AS c (id, as_of, account_id, default_id, deleted)
WHERE s.account_id = c.account_id AND s.connected_customer_id = c.id
    AND (c.deleted OR c.as_of >= coalesce(s.connected_as_of, '-infinity'))
RETURNING s.id,
    c.deleted OR old.connected_as_of IS NULL OR old.connected_default_id IS DISTINCT FROM new.connected_default_id AS changed;

-- name: want_connected_readings(accounts, kinds, ids, as_of, keys, settle, key_prefix)$
-- Have objects on connected accounts read soon; say whether there are any. A clone that we made or changed ourselves is known,
-- and so is a method of which something as late was seen.
WITH wanted AS (
    INSERT INTO offshoot.connected_reading AS r (account_id, kind, id, due_at, as_of)
    SELECT h.account_id, h.kind, h.id, now() + :settle::interval, h.as_of
    FROM unnest(:accounts::text[], :kinds::text[], :ids::text[], :as_of::timestamptz[], :keys::text[])
        AS h (account_id, kind, id, as_of, key)
    JOIN offshoot.cursor AS c ON c.name = 'installation'
    LEFT JOIN offshoot.connected_payment_method AS m ON h.kind = 'payment_method' AND m.id = h.id
    WHERE NOT (
            coalesce(starts_with(h.key, :key_prefix::text || c.position || ':'), false)
            AND NOT starts_with(split_part(h.key, ':', 5), 'direct_')
        )
        AND NOT coalesce(m.type <> '' AND m.as_of >= h.as_of, false)
    ORDER BY 1, 2, 3
    -- A reading that has begun may have missed it: its claim ends by this.
    ON CONFLICT (account_id, kind, id) DO UPDATE
    SET due_at = least(r.due_at, excluded.due_at), as_of = greatest(r.as_of, excluded.as_of), attempts = 0
    RETURNING true
)
SELECT count(*) FROM wanted;

-- name: want_untold_methods(ids, settle)!
-- Of these methods that are saved we know no more than that: they are read, unless their own event comes.
INSERT INTO offshoot.connected_reading (account_id, kind, id, due_at, as_of)
SELECT account_id, 'payment_method', id, now() + :settle::interval, '-infinity'
FROM offshoot.connected_payment_method
WHERE id = ANY (:ids::text[]) AND type = '' AND customer_id IS NOT NULL AND detached_at IS NULL
ON CONFLICT DO NOTHING;

-- name: end_method_readings(ids)!
-- An event has told what these methods are: their reading is not needed.
DELETE FROM offshoot.connected_reading AS r
USING offshoot.connected_payment_method AS m
WHERE r.kind = 'payment_method' AND r.id = ANY (:ids::text[])
    AND m.id = r.id AND m.account_id = r.account_id AND m.type <> '' AND m.as_of >= r.as_of;

-- name: claim_connected_readings(limit, again, longest)
-- Take objects whose reading is due, on accounts that let us; due_at moves ahead, so that a reader that dies is followed by
-- another, and its new value is what the reading must find unchanged. What it shows counts from Stripe's second of what was
-- heard last, not from our clock: it is at least as new, and makes no later event look old.
WITH due AS (
    SELECT r.account_id, r.kind, r.id,
        coalesce(CASE WHEN isfinite(r.as_of) THEN r.as_of END, CASE WHEN isfinite(m.as_of) THEN m.as_of END) AS as_of
    FROM offshoot.connected_reading AS r
    JOIN offshoot.account AS a ON a.id = r.account_id
    LEFT JOIN offshoot.connected_payment_method AS m ON r.kind = 'payment_method' AND m.id = r.id
    WHERE r.due_at <= now() AND a.disconnected_at IS NULL
    ORDER BY r.due_at LIMIT :limit
    FOR NO KEY UPDATE OF r SKIP LOCKED
)
UPDATE offshoot.connected_reading AS r
SET due_at = now() + least(:again::interval * 2 ^ least(r.attempts, 10), :longest::interval), attempts = r.attempts + 1
FROM due AS d WHERE (r.account_id, r.kind, r.id) = (d.account_id, d.kind, d.id)
RETURNING r.account_id, r.kind, r.id, r.due_at AS claimed, d.as_of, r.attempts;

-- name: next_connected_reading()$
-- Seconds until the next such reading is due; null when none waits.
SELECT extract(epoch FROM min(r.due_at) - now())::float8 FROM offshoot.connected_reading AS r
JOIN offshoot.account AS a ON a.id = r.account_id WHERE a.disconnected_at IS NULL;

-- name: end_connected_reading(account, kind, id, claimed)$
-- It was read; say whether nothing was heard of it meanwhile that has it read again.
DELETE FROM offshoot.connected_reading
WHERE account_id = :account AND kind = :kind AND id = :id AND due_at = :claimed
RETURNING true;

-- name: verify_connected_methods(ids)!
-- Stripe has shown what is there since the account came back.
UPDATE offshoot.connected_payment_method SET unverified = false WHERE id = ANY (:ids::text[]) AND unverified;
