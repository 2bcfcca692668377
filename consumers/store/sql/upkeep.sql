-- name: lead_upkeep()$
-- Take it on for this transaction, unless another process is at it.
SELECT pg_try_advisory_xact_lock(hashtextextended('offshoot.upkeep', 0));

-- name: wait_briefly()!
-- Ingest goes first: what cannot be had soon is done another time.
SET LOCAL lock_timeout = '2s';

-- name: keep_inbox(keep)!
-- Make the partitions that events will need, and drop those of events that nobody sends again.
SELECT offshoot.keep_inbox((now() AT TIME ZONE 'UTC')::date, :keep::interval);

-- name: forget_intents(older, most)$
-- Delete writes whose outcome is long known; return how many. Their keys, which may then be used again, mean nothing to
-- Stripe any more.
WITH old AS (
    SELECT id FROM offshoot.intent WHERE first_tried_at < now() - :older::interval AND outcome IS NOT NULL LIMIT :most
), gone AS (
    DELETE FROM offshoot.intent WHERE id IN (SELECT id FROM old) RETURNING id
)
SELECT count(*) FROM gone;

-- name: forget_turns(older)!
-- Delete the turns of cards whose last is long past.
DELETE FROM offshoot.pace WHERE turns[cardinality(turns)] < now() - :older::interval;
