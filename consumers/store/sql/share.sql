-- name: claim_in_turn()!
-- Claims follow each other, so that each sees what the one before took of an account. Held to the transaction's end.
SELECT pg_advisory_xact_lock(hashtextextended('offshoot.claim', 0));

-- name: claim_due_shares(per_account, limit, most_bulk, oldest, lease)
-- Lease up to :limit due shares to this worker: :oldest to the longest due, then urgent, then bulk. A share that another
-- worker holds is passed over, unless its lease has run out; so are accounts with :per_account in work, and those that
-- Stripe wants slower.
WITH held AS MATERIALIZED (
    SELECT account_id, count(*) AS in_flight FROM (
        SELECT account_id FROM offshoot.share WHERE leased AND lease_end > now()
        UNION ALL SELECT account_id FROM offshoot.command WHERE lease_end > now()
    ) AS each GROUP BY account_id
), closed AS MATERIALIZED (
    SELECT account_id FROM held WHERE in_flight >= :per_account::int
    UNION SELECT id FROM offshoot.account WHERE paused_until > now()
), urgent AS (
    SELECT id, account_id, priority, due_at FROM offshoot.share
    WHERE priority = 0 AND due_at <= now() AND (NOT leased OR lease_end <= now())
        AND account_id NOT IN (SELECT account_id FROM closed)
    ORDER BY due_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
), bulk AS (
    SELECT id, account_id, priority, due_at FROM offshoot.share
    WHERE priority = 1 AND due_at <= now() AND (NOT leased OR lease_end <= now())
        AND account_id NOT IN (SELECT account_id FROM closed)
    ORDER BY due_at LIMIT :most_bulk FOR NO KEY UPDATE SKIP LOCKED
), ranked AS (
    SELECT *, CASE WHEN row_number() OVER (ORDER BY due_at, id) <= :oldest THEN -1 ELSE priority END AS rank
    FROM (SELECT * FROM urgent UNION ALL SELECT * FROM bulk) AS each
), counted AS (
    SELECT r.*, coalesce(h.in_flight, 0)
        + row_number() OVER (PARTITION BY r.account_id ORDER BY r.rank, r.due_at, r.id) AS of_account
    FROM ranked AS r LEFT JOIN held AS h USING (account_id)
), chosen AS (
    SELECT id FROM counted WHERE of_account <= :per_account::int ORDER BY rank, due_at, id LIMIT :limit
)
UPDATE offshoot.share AS s
SET lease_token = s.lease_token + 1, lease_end = now() + :lease::interval
FROM chosen AS c WHERE s.id = c.id
RETURNING s.id, s.lease_token, s.priority, old.lease_end IS NOT NULL AS taken_over;

-- name: load_share(share_id, lease_token)^
-- What the decision needs of the share, its account and its customer. Loaded before the methods and the
-- intent: what changes in between raises the mark, and the share is looked at again.
SELECT s.id, s.mark, s.customer_id, s.account_id, s.wanted, s.connected_customer_id, s.connected_default_id,
    s.connected_as_of IS NOT NULL AS connected_default_known, s.connected_customer_deleted_at, s.attempts, s.failing_since,
    a.capabilities, a.known AS account_known, a.refused_at, a.disconnected_at,
    c.known AS customer_known, c.deleted_at, c.default_payment_method_id, c.profile, c.confirmed,
    b.engaged_at
FROM offshoot.share AS s
JOIN offshoot.account AS a ON a.id = s.account_id
JOIN offshoot.customer AS c ON c.id = s.customer_id
CROSS JOIN offshoot.brake AS b
WHERE s.id = :share_id AND s.lease_token = :lease_token;

-- name: load_methods(share_id, customer_id, default_id, account_id, connected_customer_id)
-- The methods of the share's customer, each with its clone where there is one, what became known of that on the
-- account, and the same card saved there already where there is none; the customer's default first.
SELECT p.id, p.type, p.generation, p.opted_out, p.detached_at, p.content, p.blocked, p.owner_supported, p.confirmed,
    k.generation AS clone_generation, k.recovery_point, k.connected_payment_method_id, k.state, k.reason, k.version,
    k.ours, k.source_fingerprint, k.next_payment_method_id, k.next_generation, k.next_content,
    k.update_refused_generation, k.failed_generation, k.declines, k.retry_at, k.paced_until, k.taken_up,
    k.announced_default, k.detached_at AS clone_detached_at, k.missing_at,
    -- The later of what we made of it and what its events told.
    CASE WHEN m.as_of > k.content_at THEN m.content ELSE k.content END AS clone_content,
    coalesce(m.detached_at IS NOT NULL AND NOT m.detached_by_us, false) AS detached_by_others,
    coalesce(m.mandate, false) AS mandate,
    s.granted_by_metadata OR s.granted_by_all
        OR (s.granted_by_command AND coalesce(p.id = ANY (s.command_methods), p.id <> ALL (s.command_excluded_methods))) AS wanted,
    m.customer_id AS shown_on_customer_id,
    EXISTS (
        SELECT FROM offshoot.intent AS i
        WHERE i.share_id = :share_id AND i.step = 'set_default' AND i.object = k.connected_payment_method_id
            AND i.outcome = 'refused'
    ) AS default_refused,
    r.id AS reusable_id, r.content AS reusable_content
FROM offshoot.payment_method AS p
JOIN offshoot.share AS s ON s.id = :share_id
LEFT JOIN offshoot.clone AS k ON k.share_id = :share_id AND k.platform_payment_method_id = p.id
LEFT JOIN offshoot.connected_payment_method AS m ON m.id = k.connected_payment_method_id
LEFT JOIN LATERAL (
    SELECT o.id, o.content FROM offshoot.connected_payment_method AS o
    WHERE o.account_id = :account_id AND o.customer_id = :connected_customer_id AND o.detached_at IS NULL
        AND o.type = p.type AND o.content -> 'fingerprint' <> 'null'
        AND o.content -> 'fingerprint' = p.content -> 'fingerprint' AND o.content -> 'expiry' = p.content -> 'expiry'
        AND NOT EXISTS (
            SELECT FROM offshoot.clone AS taken
            WHERE o.id IN (taken.connected_payment_method_id, taken.next_payment_method_id)
        )
        AND NOT EXISTS (SELECT FROM offshoot.superseded_clone AS old WHERE old.connected_payment_method_id = o.id)
    ORDER BY o.as_of, o.id LIMIT 1
) AS r ON k.connected_payment_method_id IS NULL
WHERE p.customer_id = :customer_id AND p.known
ORDER BY p.id IS NOT DISTINCT FROM :default_id DESC, p.as_of, p.id;

-- name: load_superseded(share_id)
-- Replaced clones that are still attached, as far as known.
SELECT s.connected_payment_method_id, s.platform_payment_method_id, s.detach_at, s.ours
FROM offshoot.superseded_clone AS s
LEFT JOIN offshoot.connected_payment_method AS m ON m.id = s.connected_payment_method_id
WHERE s.share_id = :share_id AND s.detached_at IS NULL AND m.detached_at IS NULL
ORDER BY s.superseded_at, s.connected_payment_method_id;

-- name: load_open_intent(share_id)^
-- The write whose outcome is not known yet, if there is one.
SELECT platform_payment_method_id, step, object, epoch, idempotency_key, parameters, generation, first_tried_at,
    stored_error, target
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

-- name: record_intent(share_id, platform_payment_method_id, step, object, epoch, idempotency_key, parameters, generation, target, now)!
-- Before a write is sent.
INSERT INTO offshoot.intent (
    share_id, platform_payment_method_id, step, object, epoch, idempotency_key, parameters, generation, target,
    first_tried_at
) VALUES (
    :share_id, :platform_payment_method_id, :step, :object, :epoch, :idempotency_key, :parameters, :generation, :target,
    :now
);

-- name: conclude_intent(outcome, stripe_request_id, share_id)!
-- The outcome of the open write is known.
UPDATE offshoot.intent SET outcome = :outcome, stripe_request_id = coalesce(:stripe_request_id, stripe_request_id)
WHERE share_id = :share_id AND outcome IS NULL;

-- name: note_stored_error(stripe_request_id, share_id)!
-- Stripe keeps a 500 under the open write's key.
UPDATE offshoot.intent SET stored_error = true, stripe_request_id = coalesce(:stripe_request_id, stripe_request_id)
WHERE share_id = :share_id AND outcome IS NULL;

-- name: record_cloned(connected_payment_method_id, generation, content, now, stripe_request_id, share_id, platform_payment_method_id)!
-- Recovery point: the clone exists on the account, not attached. Beside one that is attached it is the next.
UPDATE offshoot.clone
SET recovery_point = CASE WHEN recovery_point = 'attached' THEN recovery_point ELSE 'cloned' END,
    connected_payment_method_id = CASE WHEN recovery_point = 'attached' THEN connected_payment_method_id ELSE :connected_payment_method_id END,
    generation = CASE WHEN recovery_point = 'attached' THEN generation ELSE :generation END,
    content = CASE WHEN recovery_point = 'attached' THEN content ELSE :content::jsonb END,
    content_at = CASE WHEN recovery_point = 'attached' THEN content_at ELSE :now END,
    next_payment_method_id = CASE WHEN recovery_point = 'attached' THEN :connected_payment_method_id END,
    next_generation = CASE WHEN recovery_point = 'attached' THEN :generation::int END,
    next_content = CASE WHEN recovery_point = 'attached' THEN :content::jsonb END,
    ours = CASE WHEN recovery_point = 'attached' THEN ours ELSE true END,
    paced_until = NULL, declines = 0, retry_at = NULL, missing_at = NULL, stripe_request_id = :stripe_request_id
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: record_connected_customer(connected_customer_id, default_id, share_id)!
-- The customer on the account, and its default where it was made with one; unless we heard meanwhile that it was deleted.
UPDATE offshoot.share
SET connected_customer_id = :connected_customer_id, connected_default_id = coalesce(:default_id, connected_default_id),
    connected_as_of = date_trunc('second', now())
WHERE id = :share_id AND connected_customer_deleted_at IS NULL;

-- name: record_default(default_id, connected_customer_id, now, share_id)!
-- The connected customer's default, as we made it, or as it was shown; unless it was deleted meanwhile.
UPDATE offshoot.share SET connected_default_id = :default_id, connected_as_of = date_trunc('second', :now::timestamptz)
WHERE id = :share_id AND connected_customer_id = :connected_customer_id;

-- name: forget_connected_customer(now, share_id)!
-- It was deleted on its account.
UPDATE offshoot.share
SET connected_customer_id = NULL, connected_default_id = NULL, connected_customer_deleted_at = :now
WHERE id = :share_id;

-- name: supersede(now, detach_at, connected_payment_method_id, share_id, platform_payment_method_id)!
-- The attached clone gives its place to the next one; only then is it replaced.
INSERT INTO offshoot.superseded_clone (
    connected_payment_method_id, share_id, platform_payment_method_id, generation, ours, superseded_at, detach_at
)
SELECT connected_payment_method_id, share_id, platform_payment_method_id, generation, ours, :now, :detach_at
FROM offshoot.clone
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id
    AND recovery_point = 'attached' AND next_payment_method_id = :connected_payment_method_id;

-- name: record_attached(connected_payment_method_id, source_fingerprint, content, now, stripe_request_id, share_id, platform_payment_method_id)!
-- Recovery point: the clone, or the one that replaces it, is attached to the connected customer.
UPDATE offshoot.clone
SET recovery_point = 'attached',
    generation = CASE WHEN next_payment_method_id = :connected_payment_method_id THEN next_generation ELSE generation END,
    content = coalesce(:content::jsonb, CASE WHEN next_payment_method_id = :connected_payment_method_id THEN next_content ELSE content END),
    content_at = :now,
    connected_payment_method_id = :connected_payment_method_id,
    next_payment_method_id = NULL, next_generation = NULL, next_content = NULL,
    source_fingerprint = :source_fingerprint, ours = true, detached_at = NULL, failed_generation = NULL,
    declines = 0, retry_at = NULL, missing_at = NULL, taken_up = false, stripe_request_id = :stripe_request_id
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: record_content(generation, content, source_fingerprint, now, stripe_request_id, share_id, platform_payment_method_id)!
-- The attached clone was brought to this generation, by us or by Stripe's updater.
UPDATE offshoot.clone
SET generation = :generation, content = coalesce(:content::jsonb, content), content_at = :now,
    source_fingerprint = coalesce(:source_fingerprint, source_fingerprint),
    next_payment_method_id = NULL, next_generation = NULL, next_content = NULL,
    failed_generation = NULL, taken_up = false, missing_at = NULL,
    stripe_request_id = coalesce(:stripe_request_id, stripe_request_id)
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: record_reused(connected_payment_method_id, generation, content, source_fingerprint, now, share_id, platform_payment_method_id)!
-- A method that is on the connected customer already serves as the clone; it is not ours.
UPDATE offshoot.clone
SET recovery_point = 'attached', connected_payment_method_id = :connected_payment_method_id, ours = false,
    generation = :generation, content = :content::jsonb, content_at = :now, source_fingerprint = :source_fingerprint,
    detached_at = NULL, failed_generation = NULL, declines = 0, retry_at = NULL, missing_at = NULL,
    paced_until = NULL, taken_up = false
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: restart_clone(keep, generation, share_id, platform_payment_method_id)!
-- Begin anew; where :keep, with the clone that is made and not attached. What was announced stands until more is. One that
-- was attached stays known as ours.
WITH gone AS (
    INSERT INTO offshoot.superseded_clone (
        connected_payment_method_id, share_id, platform_payment_method_id, generation, superseded_at, detached_at
    )
    SELECT connected_payment_method_id, share_id, platform_payment_method_id, generation, now(), coalesce(detached_at, now())
    FROM offshoot.clone
    WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id
        AND recovery_point = 'attached' AND ours
    ON CONFLICT DO NOTHING
)
UPDATE offshoot.clone
SET recovery_point = CASE WHEN :keep AND recovery_point = 'cloned' THEN 'cloned' ELSE 'planned' END,
    connected_payment_method_id = CASE WHEN :keep AND recovery_point = 'cloned' THEN connected_payment_method_id END,
    generation = CASE WHEN :keep AND recovery_point = 'cloned' THEN generation ELSE :generation END,
    state = 'pending', reason = NULL, ours = true, detached_at = NULL, failed_generation = NULL,
    next_payment_method_id = NULL, next_generation = NULL, next_content = NULL,
    update_refused_generation = NULL, declines = 0, retry_at = NULL, missing_at = NULL, taken_up = false
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: record_declined(declines, retry_at, share_id, platform_payment_method_id)!
-- The issuer may say yes another time.
UPDATE offshoot.clone SET declines = :declines, retry_at = :retry_at
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: record_failed(generation, share_id, platform_payment_method_id)!
-- This generation has failed: only a retry or a later one is tried.
UPDATE offshoot.clone
SET failed_generation = :generation, taken_up = false, declines = 0, retry_at = NULL, missing_at = NULL
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: record_update_refused(generation, share_id, platform_payment_method_id)!
-- Stripe does not update the clone to this generation in place.
UPDATE offshoot.clone SET update_refused_generation = :generation
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: record_detached(connected_payment_method_id, now, share_id)!
-- We detached it, whichever of the two kinds it was.
WITH superseded AS (
    UPDATE offshoot.superseded_clone SET detached_at = :now
    WHERE share_id = :share_id AND connected_payment_method_id = :connected_payment_method_id
)
UPDATE offshoot.clone SET detached_at = :now
WHERE share_id = :share_id AND connected_payment_method_id = :connected_payment_method_id;

-- name: hasten_superseded(now, share_id)$
-- The connected customer holds no more methods: what was to be detached later is due; return how many.
WITH hastened AS (
    UPDATE offshoot.superseded_clone SET detach_at = :now
    WHERE share_id = :share_id AND detach_at > :now AND detached_at IS NULL AND ours
    RETURNING connected_payment_method_id
)
SELECT count(*) FROM hastened;

-- name: keep_superseded(connected_payment_method_id, share_id)!
-- Stripe will not let it be detached: it stays.
UPDATE offshoot.superseded_clone SET detach_at = NULL
WHERE share_id = :share_id AND connected_payment_method_id = :connected_payment_method_id;

-- name: note_missing(now, share_id, platform_payment_method_id)$
-- Stripe did not find something; say whether that is the first time. What the platform owns of it is read again.
WITH noted AS (
    UPDATE offshoot.clone SET missing_at = coalesce(missing_at, :now)
    WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id
    RETURNING old.missing_at IS NULL AS first
), methods AS (
    UPDATE offshoot.payment_method SET refresh_at = least(refresh_at, now()) WHERE id = :platform_payment_method_id
), customers AS (
    UPDATE offshoot.customer SET refresh_at = least(refresh_at, now())
    WHERE id = (SELECT customer_id FROM offshoot.share WHERE id = :share_id)
)
SELECT first FROM noted;

-- name: take_turn(platform_payment_method_id, now, most)$
-- Give the next turn of a card's clones: at once, or an hour after the turn that is :most before it.
INSERT INTO offshoot.pace AS p (platform_payment_method_id, turns) VALUES (:platform_payment_method_id, ARRAY[:now::timestamptz])
ON CONFLICT (platform_payment_method_id) DO UPDATE
SET turns = p.turns[greatest(1, cardinality(p.turns) - :most::int + 2):] || greatest(
    :now::timestamptz, p.turns[cardinality(p.turns) - :most::int + 1] + interval '1 hour'
)
RETURNING turns[cardinality(turns)];

-- name: record_turn(paced_until, share_id, platform_payment_method_id)!
-- The turn that a clone was given, and waits for.
UPDATE offshoot.clone SET paced_until = :paced_until
WHERE share_id = :share_id AND platform_payment_method_id = :platform_payment_method_id;

-- name: lock_brake()^
-- One detach at a time is weighed against the brake.
SELECT engaged_at, released_at FROM offshoot.brake FOR NO KEY UPDATE;

-- name: engage_brake(most, released_at)$
-- Engage it where as many detaches were begun within the hour, or since its release; say whether it is now.
UPDATE offshoot.brake SET engaged_at = now()
WHERE engaged_at IS NULL AND :most <= (
    SELECT count(*) FROM offshoot.intent
    WHERE step = 'detach' AND first_tried_at > greatest(now() - interval '1 hour', :released_at::timestamptz)
)
RETURNING true;

-- name: record_state(state, reason, now, platform_payment_method_id, share_id)^
-- Set what is to be announced and return the whole of it; the version rises with each. One that is as it should be was taken
-- up: what ends it later is another matter.
UPDATE offshoot.clone AS k
SET state = :state, reason = :reason, version = k.version + 1, occurred_at = :now,
    taken_up = k.taken_up AND NOT (
        :state::text = 'ready' AND coalesce(:reason::text, '') NOT IN ('updating', 'update_failed')
    ),
    announced_default = coalesce(
        k.recovery_point = 'attached' AND k.detached_at IS NULL AND k.connected_payment_method_id = s.connected_default_id,
        false
    )
FROM offshoot.share AS s
LEFT JOIN offshoot.payment_method AS p ON p.id = :platform_payment_method_id
WHERE k.share_id = :share_id AND k.platform_payment_method_id = :platform_payment_method_id AND s.id = k.share_id
RETURNING s.account_id, s.customer_id, s.connected_customer_id, k.announced_default, p.type, k.state, k.reason,
    k.platform_payment_method_id, k.connected_payment_method_id, k.generation, k.version, k.occurred_at;

-- name: step_succeeded(share_id)!
-- Transient failures before this are over.
UPDATE offshoot.share SET attempts = 0, failing_since = NULL WHERE id = :share_id AND attempts > 0;

-- name: finish_share(mark, until, braked, share_id, lease_token)!
-- Nothing left to do for what was loaded before that time, unless it was marked meanwhile, or the brake that held it
-- back released: that is not passed while this is being decided.
WITH brake AS (
    SELECT engaged_at FROM offshoot.brake WHERE :braked FOR SHARE
)
UPDATE offshoot.share
SET lease_end = NULL, attempts = 0, failing_since = NULL, braked = :braked,
    due_at = CASE
        WHEN mark <> :mark THEN least(due_at, now())
        WHEN EXISTS (SELECT FROM brake WHERE engaged_at IS NULL) THEN now()
        ELSE :until::timestamptz
    END
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
-- Seconds until the next share can be claimed: 0 where one that nobody holds is due; null when none waits.
SELECT extract(epoch FROM min(at) - now())::float8 FROM (
    SELECT waiting.at FROM (VALUES (0::smallint), (1::smallint)) AS p (priority)
    CROSS JOIN LATERAL (
        SELECT greatest(due_at, now()) AS at FROM offshoot.share
        WHERE priority = p.priority AND due_at IS NOT NULL AND NOT leased ORDER BY due_at LIMIT 1
    ) AS waiting
    UNION ALL SELECT min(greatest(due_at, lease_end)) FROM offshoot.share WHERE leased AND due_at IS NOT NULL
) AS each;

-- name: installation()$
-- The id that every idempotency key names.
SELECT position FROM offshoot.cursor WHERE name = 'installation';

-- name: count_backlog()^
-- For the metrics: how many shares are due, and for how long the longest.
SELECT count(*) AS due, coalesce(extract(epoch FROM now() - min(due_at)), 0)::float8 AS oldest_s
FROM offshoot.share WHERE due_at <= now();
