-- name: add_to_outbox(topic, key, headers, value)!
-- Say it in the transaction that makes it true.
INSERT INTO offshoot.outbox (topic, key, headers, value) VALUES (:topic, :key, :headers::jsonb, :value);

-- name: announce_outbox()!
-- Wake the relay when this transaction commits.
SELECT pg_notify('offshoot_outbox', '');

-- name: read_outbox(limit)
-- The oldest records to publish. Those of one key are in order, since one lease at a time writes them.
SELECT id, topic, key, headers, value FROM offshoot.outbox ORDER BY id LIMIT :limit;

-- name: oldest_in_outbox()$
-- How many seconds the oldest record has waited; no row where none does.
SELECT extract(epoch FROM now() - added_at)::float8 FROM offshoot.outbox ORDER BY id LIMIT 1;

-- name: delete_from_outbox(ids)!
-- They are acknowledged.
DELETE FROM offshoot.outbox WHERE id = ANY (:ids::bigint[]);

-- name: give_up_when_silent(after)!
-- Have Postgres end this session, and with it its locks, once nothing was asked on it for :after: a process that is frozen
-- or cut off cannot do so itself, and its connection may look alive for hours.
SELECT set_config('idle_session_timeout', :after, false);

-- name: lead_relay()$
-- Become the one relay, for as long as the session lives; false where another is.
SELECT pg_try_advisory_lock(hashtextextended('offshoot.relay', 0));

-- name: still_here()!
-- A sign of life, so that the session is not ended.
SELECT;
