-- name: hold_joining()!
-- A new account: alone, so that whoever grants everything meanwhile sees it, or is seen by what it starts.
SELECT pg_advisory_xact_lock(hashtextextended('offshoot.joining', 0));

-- name: hold_joined()!
-- A grant of everything: several at once, none while an account joins.
SELECT pg_advisory_xact_lock_shared(hashtextextended('offshoot.joining', 0));

-- name: weigh(customers, turned, accounts, most)
-- Count the shares that these customers and accounts have, or are to have; not beyond :most, by more than one.
SELECT 'customer' AS kind, c.id,
    greatest(
        (SELECT count(*) FROM (SELECT FROM offshoot.share AS s WHERE s.customer_id = c.id LIMIT :most::int + 1) AS few),
        cardinality(c.granted_accounts),
        CASE WHEN c.granted_all AND c.id = ANY (:turned::text[]) THEN (
            SELECT count(*) FROM (SELECT FROM offshoot.account WHERE joined LIMIT :most::int + 1) AS few
        ) END
    ) AS shares
FROM offshoot.customer AS c WHERE c.id = ANY (:customers::text[])
UNION ALL
SELECT 'account', a.id,
    (SELECT count(*) FROM (SELECT FROM offshoot.share AS s WHERE s.account_id = a.id LIMIT :most::int + 1) AS few)
FROM unnest(:accounts::text[]) AS a (id);

-- name: lock_shares(customers, accounts, ids, others)
-- In id order, so that two that touch the same shares wait for each other instead of deadlocking. Due are those of these
-- customers and accounts and the ids; :others are only locked.
SELECT id, customer_id, account_id, (customer_id = ANY (:customers::text[]) OR account_id = ANY (:accounts::text[]) OR id = ANY (:ids::bigint[])) AS due
FROM offshoot.share
WHERE customer_id = ANY (:customers::text[]) OR account_id = ANY (:accounts::text[])
    OR id = ANY (:ids::bigint[] || :others::bigint[])
ORDER BY id FOR NO KEY UPDATE;

-- name: ungranted_pairs(customers, turned)
-- The shares of these customers that are not granted as the customers say, those that are missing too.
SELECT c.id AS customer_id, p.account_id
FROM offshoot.customer AS c
CROSS JOIN LATERAL (
    SELECT unnest(c.granted_accounts) AS account_id
    UNION SELECT s.account_id FROM offshoot.share AS s WHERE s.customer_id = c.id
    UNION SELECT a.id FROM offshoot.account AS a WHERE a.joined AND c.granted_all AND c.id = ANY (:turned::text[])
) AS p
JOIN offshoot.account AS a ON a.id = p.account_id
LEFT JOIN offshoot.share AS s ON s.customer_id = c.id AND s.account_id = p.account_id
WHERE c.id = ANY (:customers::text[])
    AND (coalesce(s.granted_by_metadata, false), coalesce(s.granted_by_all, false)) <> (
        c.deleted_at IS NULL AND p.account_id = ANY (c.granted_accounts),
        c.deleted_at IS NULL AND c.granted_all AND a.joined
    );

-- name: grant_pairs(customers, accounts, priority)
-- Make or change the shares of these pairs so that they are granted as the customers say; return those. One that is granted
-- again is a new grant, whether or not a command grants it too. Shares that are there are locked in id order before.
WITH said AS (
    SELECT c.id AS customer_id, a.id AS account_id,
        c.deleted_at IS NULL AND a.id = ANY (c.granted_accounts) AS named,
        c.deleted_at IS NULL AND c.granted_all AND a.joined AS by_all
    FROM unnest(:customers::text[], :accounts::text[]) AS p (customer_id, account_id)
    JOIN offshoot.customer AS c ON c.id = p.customer_id
    JOIN offshoot.account AS a ON a.id = p.account_id
), granted AS (
    INSERT INTO offshoot.share AS s (customer_id, account_id, granted_by_metadata, granted_by_all, mark, due_at, priority)
    SELECT n.customer_id, n.account_id, n.named, n.by_all, 1, now(), :priority
    FROM said AS n
    LEFT JOIN offshoot.share AS had USING (customer_id, account_id)
    WHERE (n.named, n.by_all) <> (coalesce(had.granted_by_metadata, false), coalesce(had.granted_by_all, false))
    ORDER BY 1, 2
    ON CONFLICT (customer_id, account_id) DO UPDATE
    SET granted_by_metadata = excluded.granted_by_metadata, granted_by_all = excluded.granted_by_all,
        mark = s.mark + 1, due_at = least(s.due_at, now()),
        priority = CASE WHEN s.due_at IS NULL THEN excluded.priority ELSE least(s.priority, excluded.priority) END,
        connected_customer_deleted_at = CASE
            WHEN s.granted_by_metadata OR s.granted_by_all OR NOT (excluded.granted_by_metadata OR excluded.granted_by_all)
            THEN s.connected_customer_deleted_at
        END
    RETURNING s.id, coalesce(
        NOT (old.granted_by_metadata OR old.granted_by_all) AND (new.granted_by_metadata OR new.granted_by_all), false
    ) AS granted_again
), taken_up AS (
    UPDATE offshoot.clone AS k SET taken_up = true
    FROM granted AS g
    WHERE g.granted_again AND k.share_id = g.id
        -- Absent, or about to be said so.
        AND (k.state = 'absent' OR EXISTS (
            SELECT FROM offshoot.connected_payment_method AS m
            WHERE m.id = k.connected_payment_method_id AND m.detached_at IS NOT NULL AND NOT m.detached_by_us
        ))
)
SELECT id FROM granted;

-- name: mark_shares(ids, priority)!
-- Something changed for these shares: they are due. One that is due and urgent stays so. Locked before.
UPDATE offshoot.share AS s
SET mark = s.mark + 1, due_at = least(s.due_at, now()),
    priority = CASE WHEN s.due_at IS NULL THEN :priority::smallint ELSE least(s.priority, :priority::smallint) END
WHERE s.id = ANY (:ids::bigint[]);

-- name: announce_due()!
-- Wake the clone lanes when this transaction commits.
SELECT pg_notify('offshoot_due', '');
