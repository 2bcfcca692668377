-- name: receive_command(source, name, type, key, body, account, expires_at)$
-- Note a command; null where one of that name was noted before.
INSERT INTO offshoot.command (source, name, type, key, body, account_id, received_at, expires_at)
VALUES (:source, :name, :type, :key, :body, :account, now(), :expires_at)
ON CONFLICT (source, name) DO NOTHING
RETURNING id;

-- name: find_command(source, name)^
-- The command of that name: its result goes to whoever asks again.
SELECT source, name, key, state, result, finished_at FROM offshoot.command WHERE source = :source AND name = :name;

-- name: start_command(id)!
-- It needs Stripe: due at once.
UPDATE offshoot.command SET due_at = now() WHERE id = :id;

-- name: announce_commands()!
-- Wake the command lanes when this transaction commits.
SELECT pg_notify('offshoot_command', '');

-- name: finish_command(state, result, id)^
-- Its result is found. What it said, and was sent for it, is not needed any more and may be about a person.
WITH sent AS (
    UPDATE offshoot.command_intent SET parameters = '{}' WHERE command_id = :id
)
UPDATE offshoot.command
SET state = :state, result = :result, finished_at = now(), body = NULL,
    due_at = NULL, lease_end = NULL, attempts = 0, failing_since = NULL
WHERE id = :id AND state = 'waiting'
RETURNING source, name, key, state, result, finished_at;

-- name: lock_share_of_grant(customer, account)^
-- The share that a command is about, held; with what forbids that it takes up a connected customer.
SELECT s.id, s.connected_customer_id,
    EXISTS (
        SELECT FROM offshoot.intent AS i WHERE i.share_id = s.id AND i.step = 'create_customer' AND i.outcome IS NULL
    ) AS is_making_one
FROM offshoot.share AS s
WHERE s.customer_id = :customer AND s.account_id = :account
FOR NO KEY UPDATE;

-- name: find_adoptable(customer, account, connected_customer)^
-- Whether the platform's customer is gone, the connected one is gone, or is another platform customer's.
SELECT
    coalesce((SELECT deleted_at IS NOT NULL FROM offshoot.customer WHERE id = :customer), false) AS is_customer_gone,
    EXISTS (
        SELECT FROM offshoot.connected_customer
        WHERE account_id = :account AND id = :connected_customer AND deleted_at IS NOT NULL
    ) AS is_gone,
    EXISTS (
        SELECT FROM offshoot.share
        WHERE account_id = :account AND connected_customer_id = :connected_customer AND customer_id <> :customer
    ) OR EXISTS (
        -- Or was made for one, and that is not recorded yet: a clone of its is there.
        SELECT FROM offshoot.connected_payment_method AS m
        JOIN offshoot.clone AS k ON k.connected_payment_method_id = m.id
        JOIN offshoot.share AS s ON s.id = k.share_id
        WHERE m.account_id = :account AND m.customer_id = :connected_customer AND m.detached_at IS NULL
            AND k.ours AND s.customer_id <> :customer
    ) AS is_taken;

-- name: grant_by_command(customer, account, methods, connected_customer)^
-- A command grants the share: all of the customer's methods, or these beside those that it granted before. It takes up what
-- others ended on the account. With a customer to adopt, whoever works on the share begins anew: it knows of none.
WITH granted AS (
    INSERT INTO offshoot.share AS s (
        customer_id, account_id, granted_by_command, command_methods, connected_customer_id, connected_default_id,
        connected_as_of, mark, due_at, priority
    )
    SELECT :customer::text, :account::text, true, :methods::text[], :connected_customer::text,
        c.default_payment_method_id, c.as_of, 1, now(), 0
    FROM (VALUES (true)) AS one
    LEFT JOIN offshoot.connected_customer AS c
        ON c.account_id = :account::text AND c.id = :connected_customer::text AND isfinite(c.as_of)
    ON CONFLICT (customer_id, account_id) DO UPDATE
    SET granted_by_command = true,
        command_methods = CASE
            WHEN :methods::text[] IS NULL OR (s.granted_by_command AND s.command_methods IS NULL) THEN NULL
            ELSE (SELECT array_agg(DISTINCT each ORDER BY each) FROM unnest(s.command_methods || :methods::text[]) AS each)
        END,
        command_excluded_methods = CASE
            WHEN :methods::text[] IS NULL OR NOT s.granted_by_command THEN '{}'
            ELSE ARRAY(SELECT each FROM unnest(s.command_excluded_methods) AS each WHERE each <> ALL (:methods::text[]) ORDER BY 1)
        END,
        connected_customer_deleted_at = NULL,
        connected_customer_id = coalesce(s.connected_customer_id, excluded.connected_customer_id),
        connected_default_id = CASE WHEN s.connected_customer_id IS NULL THEN excluded.connected_default_id ELSE s.connected_default_id END,
        connected_as_of = CASE WHEN s.connected_customer_id IS NULL THEN excluded.connected_as_of ELSE s.connected_as_of END,
        lease_token = s.lease_token + CASE WHEN s.connected_customer_id IS NULL AND excluded.connected_customer_id IS NOT NULL THEN 1 ELSE 0 END,
        lease_end = CASE WHEN s.connected_customer_id IS NULL AND excluded.connected_customer_id IS NOT NULL THEN NULL ELSE s.lease_end END,
        mark = s.mark + 1, due_at = least(s.due_at, now()), priority = 0
    RETURNING s.id, s.wanted
), taken_up AS (
    UPDATE offshoot.clone AS k SET taken_up = true
    FROM granted AS g
    WHERE k.share_id = g.id
        -- Absent, or about to be said so.
        AND (k.state = 'absent' OR EXISTS (
            SELECT FROM offshoot.connected_payment_method AS m
            WHERE m.id = k.connected_payment_method_id AND m.detached_at IS NOT NULL AND NOT m.detached_by_us
        ))
        AND (:methods::text[] IS NULL OR k.platform_payment_method_id = ANY (:methods::text[]))
)
SELECT id, wanted FROM granted;

-- name: want_adopted(customer, account, connected_customer)!
-- Nothing was heard of the customer that the share took up: what its default is, only a reading tells.
INSERT INTO offshoot.connected_reading (account_id, kind, id, due_at, as_of)
SELECT account_id, 'customer', connected_customer_id, now(), '-infinity' FROM offshoot.share
WHERE customer_id = :customer AND account_id = :account AND connected_customer_id = :connected_customer::text
    AND connected_as_of IS NULL
ON CONFLICT DO NOTHING;

-- name: revoke_by_command(customer, account, methods)^
-- A command takes back what commands granted: all, or these methods only. The last of them ends the grant. What the customer
-- says is read again before anything is detached for it: its metadata may grant it.
WITH doubted AS (
    UPDATE offshoot.customer SET confirmed = false WHERE id = :customer AND confirmed
)
UPDATE offshoot.share AS s
SET granted_by_command = r.remains,
    command_methods = CASE WHEN r.remains THEN r.methods END,
    command_excluded_methods = CASE WHEN r.remains THEN r.excluded ELSE '{}' END,
    mark = s.mark + 1, due_at = least(s.due_at, now()), priority = 0
FROM (
    SELECT id, methods, excluded,
        granted_by_command AND :methods::text[] IS NOT NULL AND coalesce(cardinality(methods) > 0, true) AS remains
    FROM (
        SELECT id, granted_by_command,
            CASE WHEN command_methods IS NOT NULL THEN
                ARRAY(SELECT each FROM unnest(command_methods) AS each WHERE each <> ALL (:methods::text[]) ORDER BY 1)
            END AS methods,
            CASE WHEN command_methods IS NULL THEN
                ARRAY(SELECT DISTINCT each FROM unnest(command_excluded_methods || :methods::text[]) AS each ORDER BY 1)
            ELSE '{}' END AS excluded
        FROM offshoot.share WHERE customer_id = :customer AND account_id = :account
    ) AS had
) AS r
WHERE s.id = r.id
RETURNING s.id, s.wanted;

-- name: claim_commands(limit, per_account, lease)
-- Lease up to :limit due commands, the longest due first; accounts with :per_account in work are passed over, and those that
-- Stripe wants slower.
WITH held AS MATERIALIZED (
    SELECT account_id, count(*) AS in_flight FROM (
        SELECT account_id FROM offshoot.share WHERE leased AND lease_end > now()
        UNION ALL SELECT account_id FROM offshoot.command WHERE lease_end > now()
    ) AS each GROUP BY account_id
), closed AS MATERIALIZED (
    SELECT account_id FROM held WHERE in_flight >= :per_account::int
    UNION SELECT id FROM offshoot.account WHERE paused_until > now()
), found AS (
    SELECT id, account_id, due_at FROM offshoot.command
    WHERE due_at <= now() AND (lease_end IS NULL OR lease_end <= now())
        AND account_id NOT IN (SELECT account_id FROM closed)
    ORDER BY due_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
), counted AS (
    SELECT f.id,
        coalesce(h.in_flight, 0) + row_number() OVER (PARTITION BY f.account_id ORDER BY f.due_at, f.id) AS of_account
    FROM found AS f LEFT JOIN held AS h USING (account_id)
)
UPDATE offshoot.command AS c
SET lease_token = c.lease_token + 1, lease_end = now() + :lease::interval
FROM counted AS n WHERE c.id = n.id AND n.of_account <= :per_account::int
RETURNING c.id, c.lease_token, old.lease_end IS NOT NULL AS taken_over;

-- name: load_command(id, lease_token)^
-- What the decision needs of the command and its account.
SELECT c.id, c.source, c.name, c.key, c.type, c.body, c.expires_at, c.connected_payment_method_id, c.attempts, c.failing_since,
    c.account_id, coalesce(a.capabilities, '{}') AS capabilities, coalesce(a.known, false) AS account_known, a.refused_at,
    a.disconnected_at
FROM offshoot.command AS c LEFT JOIN offshoot.account AS a ON a.id = c.account_id
WHERE c.id = :id AND c.lease_token = :lease_token AND c.state = 'waiting';

-- name: load_command_intent(id)^
-- The write whose outcome is not known yet, if there is one.
SELECT step, epoch, idempotency_key, parameters, target, consumes, first_tried_at, stored_error
FROM offshoot.command_intent WHERE command_id = :id AND outcome IS NULL;

-- name: last_command_epoch(id, step)$
-- The highest epoch used for this step; null before the first.
SELECT max(epoch) FROM offshoot.command_intent WHERE command_id = :id AND step = :step;

-- name: hold_consumable(original)!
-- One command at a time asks whether an original was given to a write already.
SELECT pg_advisory_xact_lock(hashtextextended('offshoot.consumes.' || :original::text, 0));

-- name: is_given_away(original, id)$
-- Whether a write of another command has made the original unusable, or may have.
SELECT EXISTS (
    SELECT FROM offshoot.command_intent
    WHERE consumes = :original AND command_id <> :id AND outcome IS DISTINCT FROM 'refused'
);

-- name: find_original(id)^
-- What is known of a platform method without doubt; nothing where it has to be read.
SELECT customer_id, type, blocked, owner_supported FROM offshoot.payment_method
WHERE id = :id AND known AND detached_at IS NULL AND refresh_at IS NULL AND customer_id IS NOT NULL;

-- name: want_original(id)!
-- Stripe does not find it: what we know of it is read again.
UPDATE offshoot.payment_method SET refresh_at = least(refresh_at, now()) WHERE id = :id AND known;

-- name: hold_command(lease, id, lease_token)^
-- The fence, as hold_lease.
UPDATE offshoot.command SET lease_end = now() + :lease::interval
WHERE id = :id AND lease_token = :lease_token AND lease_end IS NOT NULL
RETURNING id;

-- name: record_command_intent(id, step, epoch, idempotency_key, parameters, target, consumes, now)!
-- Before a write is sent.
INSERT INTO offshoot.command_intent (
    command_id, step, epoch, idempotency_key, parameters, target, consumes, first_tried_at
) VALUES (:id, :step, :epoch, :idempotency_key, :parameters, :target, :consumes, :now);

-- name: conclude_command_intent(outcome, stripe_request_id, id)!
-- The outcome of the open write is known.
UPDATE offshoot.command_intent
SET outcome = :outcome, stripe_request_id = coalesce(:stripe_request_id, stripe_request_id)
WHERE command_id = :id AND outcome IS NULL;

-- name: note_stored_command_error(stripe_request_id, id)!
-- Stripe keeps a 500 under the open write's key.
UPDATE offshoot.command_intent
SET stored_error = true, stripe_request_id = coalesce(:stripe_request_id, stripe_request_id)
WHERE command_id = :id AND outcome IS NULL;

-- name: record_made(connected_payment_method_id, id)!
-- A method is made for the command, and not attached yet.
UPDATE offshoot.command SET connected_payment_method_id = :connected_payment_method_id, attempts = 0, failing_since = NULL
WHERE id = :id;

-- name: postpone_command(delay, counts, id, lease_token)!
-- Due again later; whether that was a failure, which is not repeated for ever.
UPDATE offshoot.command
SET lease_end = NULL, due_at = now() + :delay::interval,
    attempts = attempts + CASE WHEN :counts::boolean THEN 1 ELSE 0 END,
    failing_since = CASE WHEN :counts::boolean THEN coalesce(failing_since, now()) ELSE failing_since END
WHERE id = :id AND lease_token = :lease_token AND state = 'waiting';

-- name: release_command(id, lease_token)!
-- Given back untouched.
UPDATE offshoot.command SET lease_end = NULL WHERE id = :id AND lease_token = :lease_token;

-- name: next_command()$
-- Seconds until the next command that nobody holds is due; null when none is waiting.
SELECT extract(epoch FROM min(greatest(due_at, coalesce(lease_end, due_at))) - now())::float8
FROM offshoot.command WHERE due_at IS NOT NULL;

-- name: forget_commands(kept_for)!
-- Their names may be used again.
DELETE FROM offshoot.command WHERE received_at < now() - :kept_for::interval AND state <> 'waiting';
