-- name: unjoined_accounts(ids)
-- Those of these accounts that were never heard of before.
SELECT id FROM unnest(:ids::text[]) AS e (id)
WHERE NOT EXISTS (SELECT FROM offshoot.account AS a WHERE a.id = e.id AND a.joined);

-- name: join_accounts(ids)
-- They have been heard of: `*` and `all` mean them too. Locked before.
UPDATE offshoot.account SET joined = true WHERE id = ANY (:ids::text[]) AND NOT joined RETURNING id;

-- name: apply_connected_methods(ids, as_of, accounts, customers, types, contents, detached, keys, key_prefix)
-- Write what was seen of methods on connected accounts; return those that others changed. It was our own doing where the key
-- of the request begins with :key_prefix and this installation's id.
WITH seen AS (
    SELECT e.*, coalesce(starts_with(e.key, :key_prefix::text || c.position || ':'), false) AS is_ours
    FROM unnest(
        :ids::text[], :as_of::timestamptz[], :accounts::text[], :customers::text[], :types::text[], :contents::text[],
        :detached::boolean[], :keys::text[]
    ) AS e (id, as_of, account_id, customer_id, type, content, detached, key)
    JOIN offshoot.cursor AS c ON c.name = 'installation'
), written AS (
    INSERT INTO offshoot.connected_payment_method AS m (
        id, account_id, customer_id, type, content, detached_at, detached_by_us, as_of
    )
    SELECT s.id, s.account_id, s.customer_id, s.type, coalesce(s.content::jsonb, '{}'),
        CASE WHEN s.detached THEN s.as_of END, s.detached AND s.is_ours, s.as_of
    FROM seen AS s
    ORDER BY s.id
    ON CONFLICT (id) DO UPDATE
    SET customer_id = CASE WHEN excluded.as_of >= m.as_of THEN coalesce(excluded.customer_id, m.customer_id) ELSE coalesce(m.customer_id, excluded.customer_id) END,
        type = CASE WHEN excluded.type <> '' THEN excluded.type ELSE m.type END,
        content = CASE
            WHEN excluded.content <> '{}' AND (excluded.as_of >= m.as_of OR m.content = '{}') THEN excluded.content
            ELSE m.content
        END,
        detached_at = coalesce(m.detached_at, excluded.detached_at),
        detached_by_us = m.detached_by_us OR excluded.detached_by_us,
        as_of = greatest(m.as_of, excluded.as_of)
    RETURNING m.id,
        (old.customer_id, old.type, old.content, old.detached_at IS NULL)
            IS DISTINCT FROM (new.customer_id, new.type, new.content, new.detached_at IS NULL)
        AS changed
)
SELECT w.id FROM written AS w JOIN seen AS s USING (id) WHERE w.changed AND NOT s.is_ours;

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
-- A connected customer was deleted, or has another default; what is older than what we know or did is passed over. Returns
-- the shares for which that is news. Locked before.
UPDATE offshoot.share AS s
SET connected_customer_deleted_at = CASE WHEN c.deleted THEN c.as_of END,
    connected_customer_id = CASE WHEN NOT c.deleted THEN s.connected_customer_id END,
    connected_default_id = CASE WHEN NOT c.deleted THEN c.default_id END,
    connected_as_of = c.as_of
FROM unnest(:ids::text[], :as_of::timestamptz[], :accounts::text[], :defaults::text[], :deleted::boolean[])
    AS c (id, as_of, account_id, default_id, deleted)
WHERE s.account_id = c.account_id AND s.connected_customer_id = c.id
    AND (c.deleted OR (c.as_of >= coalesce(s.connected_as_of, '-infinity') AND c.default_id IS DISTINCT FROM s.connected_default_id))
RETURNING s.id;
