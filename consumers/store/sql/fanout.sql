-- name: add_fanouts(kinds, subjects)!
-- Have the shares of these looked at in chunks, unless that is waiting already and has not begun. One that is beginning at
-- this moment is locked, and does not count: it does not see what this transaction did.
WITH wanted AS (
    SELECT * FROM unnest(:kinds::text[], :subjects::text[]) AS n (kind, subject_id)
), waiting AS (
    SELECT kind, subject_id FROM offshoot.fanout
    WHERE position = '' AND (kind, subject_id) IN (SELECT kind, subject_id FROM wanted)
    FOR SHARE SKIP LOCKED
)
INSERT INTO offshoot.fanout (kind, subject_id)
SELECT kind, subject_id FROM wanted EXCEPT SELECT kind, subject_id FROM waiting;

-- name: is_anything_granted_to_all()$
-- Whether a new account has anybody to be shared with.
SELECT EXISTS (SELECT FROM offshoot.customer WHERE granted_all);

-- name: announce_fanout()!
-- Wake the fan-out lanes when this transaction commits.
SELECT pg_notify('offshoot_fanout', '');

-- name: hold_fanout()^
-- Take the oldest for one chunk, unless another process is at it.
SELECT id, kind, subject_id, position FROM offshoot.fanout ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: next_shares_of_customer(customer, after, most)
-- The customer's next shares, in the order of their accounts.
SELECT id, account_id AS position FROM offshoot.share
WHERE customer_id = :customer AND account_id > :after ORDER BY account_id LIMIT :most;

-- name: next_shares_of_account(account, after, most)
-- The account's next shares, in the order of their customers.
SELECT id, customer_id AS position FROM offshoot.share
WHERE account_id = :account AND customer_id > :after ORDER BY customer_id LIMIT :most;

-- name: next_accounts(customer, after, most)
-- The next accounts that the customer is shared with, or is to be.
SELECT id FROM (
    SELECT unnest(granted_accounts) AS id FROM offshoot.customer WHERE id = :customer
    UNION (
        SELECT account_id FROM offshoot.share
        WHERE customer_id = :customer AND account_id > :after ORDER BY account_id LIMIT :most
    )
    UNION (
        SELECT a.id FROM offshoot.account AS a
        WHERE a.joined AND a.id > :after
            AND EXISTS (SELECT FROM offshoot.customer WHERE id = :customer AND granted_all AND deleted_at IS NULL)
        ORDER BY a.id LIMIT :most
    )
) AS each
WHERE id > :after ORDER BY id LIMIT :most;

-- name: next_customers(after, most)
-- The next customers that are shared with every account.
SELECT id FROM offshoot.customer WHERE granted_all AND id > :after ORDER BY id LIMIT :most;

-- name: lock_pairs(customers, accounts)
-- As lock_shares: the shares of these pairs that are there.
SELECT s.id FROM offshoot.share AS s
JOIN unnest(:customers::text[], :accounts::text[]) AS p (customer_id, account_id) USING (customer_id, account_id)
ORDER BY s.id FOR NO KEY UPDATE OF s;

-- name: move_fanout(id, position)!
-- That chunk is done.
UPDATE offshoot.fanout SET position = :position WHERE id = :id;

-- name: end_fanout(id)!
-- Every chunk is done.
DELETE FROM offshoot.fanout WHERE id = :id;
