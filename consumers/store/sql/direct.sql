-- name: direct_of_connected_customers(accounts, ids)
-- What is saved on these connected customers, or was and was announced.
SELECT m.id FROM offshoot.connected_payment_method AS m
JOIN unnest(:accounts::text[], :ids::text[]) AS c (account_id, id) ON m.account_id = c.account_id AND m.customer_id = c.id
WHERE m.detached_at IS NULL OR m.version > 0;

-- name: lock_direct(ids)
-- In id order: their records are compared with what is known, and two that do so wait for each other.
SELECT id FROM offshoot.connected_payment_method WHERE id = ANY (:ids::text[]) ORDER BY id FOR NO KEY UPDATE;

-- name: load_direct(ids)
-- What the record of each rests on, and what it last said. Locked before.
SELECT m.id, m.account_id, m.customer_id, m.type, m.detached_at, m.blocked, m.unverified, m.mandate,
    m.version, m.state, m.reason, m.announced_default,
    a.disconnected_at, coalesce(a.known, false) AS account_known, coalesce(a.capabilities, '{}') AS capabilities,
    coalesce(c.default_payment_method_id = m.id, false) AS is_default, c.deleted_at AS customer_deleted_at,
    EXISTS (
        SELECT FROM offshoot.share AS s WHERE s.account_id = m.account_id AND s.connected_customer_id = m.customer_id
    ) AS is_mapped,
    m.is_clone
        OR EXISTS (SELECT FROM offshoot.clone AS k WHERE k.connected_payment_method_id = m.id AND k.ours)
        OR EXISTS (SELECT FROM offshoot.clone AS k WHERE k.next_payment_method_id = m.id)
        OR EXISTS (SELECT FROM offshoot.superseded_clone AS k WHERE k.connected_payment_method_id = m.id AND k.ours)
    AS is_clone
FROM offshoot.connected_payment_method AS m
LEFT JOIN offshoot.account AS a ON a.id = m.account_id
LEFT JOIN offshoot.connected_customer AS c ON c.account_id = m.account_id AND c.id = m.customer_id
WHERE m.id = ANY (:ids::text[])
ORDER BY m.id;

-- name: announce_direct(ids, states, reasons, defaults)
-- Set what is to be announced and return the whole of it; the version rises with each.
UPDATE offshoot.connected_payment_method AS m
SET state = s.state, reason = s.reason, announced_default = s.is_default, version = m.version + 1, occurred_at = now()
FROM unnest(:ids::text[], :states::text[], :reasons::text[], :defaults::boolean[]) AS s (id, state, reason, is_default)
WHERE m.id = s.id
RETURNING m.id, m.account_id, m.customer_id, m.type, m.state, m.reason, m.announced_default, m.version, m.occurred_at;

-- name: accounts_with_direct(ids)
-- Those of these accounts of whose direct methods something was announced.
SELECT a.id FROM unnest(:ids::text[]) AS a (id)
WHERE EXISTS (SELECT FROM offshoot.connected_payment_method AS m WHERE m.account_id = a.id AND m.version > 0);

-- name: next_direct(account, after, most)
-- The account's next announced methods.
SELECT id FROM offshoot.connected_payment_method
WHERE account_id = :account AND version > 0 AND id > :after ORDER BY id LIMIT :most;

-- name: leave_unverified(ids)!
-- Their account is gone: once it is back, Stripe has to show what is there.
UPDATE offshoot.connected_payment_method AS m SET unverified = true
FROM offshoot.account AS a
WHERE m.id = ANY (:ids::text[]) AND a.id = m.account_id AND a.disconnected_at IS NOT NULL AND m.detached_at IS NULL;

-- name: want_unverified(ids)$
-- Their account is back: have them read; return how many.
WITH wanted AS (
    INSERT INTO offshoot.connected_reading AS r (account_id, kind, id, due_at, as_of)
    SELECT m.account_id, 'payment_method', m.id, now(), 'infinity'
    FROM offshoot.connected_payment_method AS m JOIN offshoot.account AS a ON a.id = m.account_id
    WHERE m.id = ANY (:ids::text[]) AND m.unverified AND a.disconnected_at IS NULL
    ON CONFLICT (account_id, kind, id) DO UPDATE SET due_at = least(r.due_at, excluded.due_at), as_of = 'infinity'
    RETURNING true
)
SELECT count(*) FROM wanted;
