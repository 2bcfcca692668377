-- name: claim_due_shares(limit, lease)
-- Lease up to :limit due shares to this worker, urgent and longest due first. A share that another worker
-- holds is passed over, unless its lease has run out.
WITH due AS (
    SELECT id FROM offshoot.share
    WHERE due_at <= now() AND (lease_end IS NULL OR lease_end <= now())
    ORDER BY priority, due_at
    LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE offshoot.share AS s
SET lease_token = s.lease_token + 1, lease_end = now() + :lease::interval
FROM due WHERE s.id = due.id
RETURNING s.id, s.lease_token, old.lease_end IS NOT NULL AS taken_over;

-- name: load_share(share_id, lease_token)^
-- What the decision needs of the share, its account and its customer. Loaded before the methods and the
-- intent: what changes in between raises the mark, and the share is looked at again.
SELECT s.id, s.mark, s.customer_id, s.account_id, s.wanted, s.connected_customer_id, s.connected_default_id,
    s.attempts, s.failing_since,
    a.capabilities, a.known AS account_known, a.refused_at, a.disconnected_at,
    c.known AS customer_known, c.deleted_at, c.default_payment_method_id, c.profile
FROM offshoot.share AS s
JOIN offshoot.account AS a ON a.id = s.account_id
JOIN offshoot.customer AS c ON c.id = s.customer_id
WHERE s.id = :share_id AND s.lease_token = :lease_token;

-- name: load_methods(share_id, customer_id, default_id)
-- The methods of the share's customer, each with its clone where there is one; the customer's default first.
SELECT p.id, p.type, p.generation, p.opted_out, p.detached_at,
    k.generation AS clone_generation, k.recovery_point, k.connected_payment_method_id, k.state, k.reason, k.version
FROM offshoot.payment_method AS p
LEFT JOIN offshoot.clone AS k ON k.share_id = :share_id AND k.platform_payment_method_id = p.id
WHERE p.customer_id = :customer_id AND p.known
ORDER BY p.id IS NOT DISTINCT FROM :default_id DESC, p.as_of, p.id;

-- name: load_open_intent(share_id)^
-- The write whose outcome is not known yet, if there is one.
SELECT platform_payment_method_id, step, object, epoch, idempotency_key, parameters, generation, first_tried_at,
    stored_error
FROM offshoot.intent
WHERE share_id = :share_id AND outcome IS NULL;

-- name: last_epoch(share_id, step, object)$
-- The highest epoch used for this step on this object; null before the first.
SELECT max(epoch) FROM offshoot.intent WHERE share_id = :share_id AND step = :step AND object = :object;

-- name: hold_lease(lease, share_id, lease_token)^
-- The fence: nothing is recorded by a worker whose lease was taken over. Renews the lease.
UPDATE offshoot.share SET lease_end = now() + :lease::interval
WHERE id = :share_id AND lease_token = :lease_token AND lease_end IS NOT NULL
RETURNING id;

-- name: plan_clone(share_id, platform_payment_method_id, generation, now)!
-- A row for the method, from which its steps go on.
INSERT INTO offshoot.clone (share_id, platform_payment_method_id, generation, occurred_at)
VALUES (:share_id, :platform_payment_method_id, :generation, :now)
ON CONFLICT (share_id, platform_payment_method_id) DO NOTHING;

-- name: record_intent(share_id, platform_payment_method_id, step, object, epoch, idempotency_key, parameters, generation, now)!
-- Before a write is sent.
INSERT INTO offshoot.intent (
    share_id, platform_payment_method_id, step, object, epoch, idempotency_key, parameters, generation, first_tried_at
) VALUES (
    :share_id, :platform_payment_method_id, :step, :object, :epoch, :idempotency_key, :parameters, :generation, :now
);

-- name: conclude_intent(outcome, stripe_request_id, share_id)!
-- The outcome of the open write is known.
UPDATE offshoot.intent SET outcome = :outcome, stripe_request_id = coalesce(:stripe_request_id, stripe_request_id)
WHERE share_id = :share_id AND outcome IS NULL;

-- name: note_stored_error(stripe_request_id, share_id)!
-- Stripe keeps a 500 under the open write's key.
UPDATE offshoot.intent SET stored_error = true, stripe_request_id = coalesce(:stripe_request_id, stripe_request_id)
WHERE share_id = :share_id AND outcome IS NULL;

-- name: record_cloned(connected_payment_method_id, generation, stripe_request_id, share_id, platform_payment_method_id)!
-- Recovery point: the clone exists on the account, not attached.
UPDATE offshoot.clone
SET recovery_point = 'cloned', connected_payment_method_id = :connected_payment_method_id, generation = :generation,
    stripe_request_id = :stripe_request_id
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: record_connected_customer(connected_customer_id, default_id, share_id)!
-- The customer on the account, and its default where it was made with one.
UPDATE offshoot.share
SET connected_customer_id = :connected_customer_id, connected_default_id = coalesce(:default_id, connected_default_id)
WHERE id = :share_id;

-- name: record_attached(stripe_request_id, share_id, platform_payment_method_id)!
-- Recovery point: the clone is attached to the connected customer.
UPDATE offshoot.clone SET recovery_point = 'attached', stripe_request_id = :stripe_request_id
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: record_state(state, reason, now, platform_payment_method_id, share_id)^
-- Set what is to be announced and return the whole of it; the version rises with each.
UPDATE offshoot.clone AS k
SET state = :state, reason = :reason, version = k.version + 1, occurred_at = :now
FROM offshoot.share AS s
LEFT JOIN offshoot.payment_method AS p ON p.id = :platform_payment_method_id
WHERE k.share_id = :share_id AND k.platform_payment_method_id = :platform_payment_method_id AND s.id = k.share_id
RETURNING s.account_id, s.customer_id, s.connected_customer_id, s.connected_default_id, p.type,
    k.recovery_point, k.connected_payment_method_id, k.generation, k.version, k.occurred_at;

-- name: step_succeeded(share_id)!
-- Transient failures before this are over.
UPDATE offshoot.share SET attempts = 0, failing_since = NULL WHERE id = :share_id AND attempts > 0;

-- name: finish_share(mark, share_id, lease_token)!
-- Nothing left to do for what was loaded: not due any more, unless it was marked meanwhile.
UPDATE offshoot.share
SET lease_end = NULL, attempts = 0, failing_since = NULL,
    due_at = CASE WHEN mark = :mark THEN NULL ELSE least(due_at, now()) END
WHERE id = :share_id AND lease_token = :lease_token;

-- name: postpone_share(mark, delay, share_id, lease_token)!
-- A transient failure: due again later, or at once if it was marked meanwhile.
UPDATE offshoot.share
SET lease_end = NULL, attempts = attempts + 1, failing_since = coalesce(failing_since, now()),
    due_at = CASE WHEN mark = :mark THEN now() + :delay::interval ELSE least(due_at, now()) END
WHERE id = :share_id AND lease_token = :lease_token;

-- name: release_share(share_id, lease_token)!
-- Given back untouched: whoever comes next goes on.
UPDATE offshoot.share SET lease_end = NULL WHERE id = :share_id AND lease_token = :lease_token;

-- name: next_due()$
-- Seconds until the next share that nobody holds is due; null when none is waiting.
SELECT extract(epoch FROM min(greatest(due_at, coalesce(lease_end, due_at))) - now())::float8
FROM offshoot.share WHERE due_at IS NOT NULL;

-- name: installation()$
-- The id that every idempotency key names.
SELECT position FROM offshoot.cursor WHERE name = 'installation';

-- name: count_backlog()^
-- For the metrics: how many shares are due, and for how long the longest.
SELECT count(*) AS due, coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 AS oldest_s
FROM offshoot.share WHERE due_at <= now();
