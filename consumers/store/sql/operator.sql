-- name: list_shares(customer, account, wanted, failing, after, most)
-- A page of shares in the order of their ids; each of the four, where it is not null, narrows it.
SELECT id, customer_id, account_id, wanted, due_at, attempts, granted_by_metadata, granted_by_all, granted_by_command
FROM offshoot.share
WHERE id > :after
    AND (:customer::text IS NULL OR customer_id = :customer)
    AND (:account::text IS NULL OR account_id = :account)
    AND (:wanted::boolean IS NULL OR wanted = :wanted)
    AND (:failing::boolean IS NULL OR (attempts > 0) = :failing)
ORDER BY id LIMIT :most;

-- name: list_clones(states, reason, customer, account, payment_method, after, most)
-- A page of what can be said of clones, in the order of their ids; each of the five, where it is not null, narrows it.
SELECT k.id, k.state, k.reason, k.platform_payment_method_id, k.connected_payment_method_id, k.announced_default,
    k.generation, k.version, k.occurred_at, s.account_id, s.customer_id, s.connected_customer_id, p.type
FROM offshoot.clone AS k
JOIN offshoot.share AS s ON s.id = k.share_id
LEFT JOIN offshoot.payment_method AS p ON p.id = k.platform_payment_method_id
WHERE k.id > :after
    AND (:states::text[] IS NULL OR k.state = ANY (:states))
    AND (:reason::text IS NULL OR k.reason = :reason)
    AND (:customer::text IS NULL OR s.customer_id = :customer)
    AND (:account::text IS NULL OR s.account_id = :account)
    AND (:payment_method::text IS NULL OR k.platform_payment_method_id = :payment_method)
ORDER BY k.id LIMIT :most;

-- name: next_retryable(account, payment_method, after, most)
-- The next clones that wait for somebody, in the order of their ids: failed, or ended by somebody on the account.
SELECT k.id, k.share_id
FROM offshoot.clone AS k
JOIN offshoot.share AS s ON s.id = k.share_id
WHERE k.id > :after
    AND (
        k.state = 'failed'
        OR (k.state = 'ready' AND k.reason = 'update_failed')
        OR (k.state = 'absent' AND k.reason IN ('detached_on_account', 'connected_customer_deleted'))
    )
    AND (:account::text IS NULL OR s.account_id = :account)
    AND (:payment_method::text IS NULL OR k.platform_payment_method_id = :payment_method)
ORDER BY k.id LIMIT :most;

-- name: take_up(ids)
-- Have these clones tried again, those that still wait for somebody; return them with their shares. Locked before.
UPDATE offshoot.clone SET taken_up = true
WHERE id = ANY (:ids::bigint[])
    AND (
        state = 'failed'
        OR (state = 'ready' AND reason = 'update_failed')
        OR (state = 'absent' AND reason IN ('detached_on_account', 'connected_customer_deleted'))
    )
RETURNING id, share_id;

-- name: forgive_deleted_customers(ids)!
-- The connected customers of these shares may be made anew. Locked before.
UPDATE offshoot.share SET connected_customer_deleted_at = NULL
WHERE id = ANY (:ids::bigint[]) AND connected_customer_deleted_at IS NOT NULL;

-- name: release_brake()^
-- Let detaching go on, and count from now; say since when it was engaged. Null: it was not.
UPDATE offshoot.brake SET engaged_at = NULL, released_at = now() RETURNING old.engaged_at AS engaged_at;

-- name: next_braked(after, most)
-- The next shares that have something to detach and were held back, in the order of their ids.
SELECT id FROM offshoot.share WHERE braked AND id > :after ORDER BY id LIMIT :most;
