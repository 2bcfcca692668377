-- name: add_limiters(names, bursts)!
-- Full buckets where there are none yet.
INSERT INTO offshoot.limiter (name, tokens, refilled_at)
SELECT name, burst, clock_timestamp() FROM unnest(:names::text[], :bursts::float8[]) AS b (name, burst)
ORDER BY name
ON CONFLICT DO NOTHING;

-- name: take_tokens(names, rates, bursts, wanted)
-- Take what is there of the tokens wanted of each bucket. They grow at the rate, and at half of it while Stripe wants it
-- slower, up to the burst. A clock that was set back takes nothing away.
UPDATE offshoot.limiter AS l
SET tokens = b.available - least(b.wanted, floor(b.available)), refilled_at = b.now
FROM (
    SELECT l.name, w.wanted, t.now, least(
        w.burst,
        l.tokens + w.rate * (
            greatest(extract(epoch FROM t.now - l.refilled_at), 0)
            - greatest(extract(epoch FROM least(t.now, coalesce(l.slowed_until, l.refilled_at)) - l.refilled_at), 0) / 2
        )::float8
    ) AS available
    FROM offshoot.limiter AS l
    JOIN unnest(:names::text[], :rates::float8[], :bursts::float8[], :wanted::int[]) AS w (name, rate, burst, wanted)
        USING (name)
    CROSS JOIN LATERAL (SELECT clock_timestamp() AS now WHERE l.name IS NOT NULL) AS t
    ORDER BY l.name FOR NO KEY UPDATE OF l
) AS b
WHERE l.name = b.name
RETURNING l.name, least(b.wanted, floor(b.available))::int AS taken;

-- name: slow_down(names, lasting)!
-- Stripe asked for slower calls: half the rate for so long, and what was saved up is gone.
UPDATE offshoot.limiter
SET tokens = 0, refilled_at = clock_timestamp(), slowed_until = clock_timestamp() + :lasting::interval
WHERE name IN (SELECT name FROM offshoot.limiter WHERE name = ANY (:names::text[]) ORDER BY name FOR NO KEY UPDATE);

-- name: pause_account(lasting, id)!
-- Stripe asked for slower calls on this account alone: none of its shares is claimed for so long.
UPDATE offshoot.account SET paused_until = greatest(paused_until, now() + :lasting::interval) WHERE id = :id;
