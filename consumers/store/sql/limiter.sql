-- name: add_limiter(name, rate)!
-- A full bucket where there is none yet.
INSERT INTO offshoot.limiter (name, tokens, refilled_at)
VALUES (:name, greatest(:rate::float8, 1), clock_timestamp())
ON CONFLICT DO NOTHING;

-- name: take_tokens(wanted, rate, name)$
-- Take what is there of the tokens wanted. They grow at :rate a second, up to one second's worth.
UPDATE offshoot.limiter AS l
SET tokens = b.available - least(:wanted::int, floor(b.available)), refilled_at = b.now
FROM (
    SELECT name, clock_timestamp() AS now,
        least(
            greatest(:rate::float8, 1),
            tokens + :rate::float8 * greatest(extract(epoch FROM clock_timestamp() - refilled_at), 0)::float8
        ) AS available
    FROM offshoot.limiter WHERE name = :name FOR NO KEY UPDATE
) AS b
WHERE l.name = b.name
RETURNING least(:wanted::int, floor(b.available))::int;
