-- name: add_listing()!
-- Where it is noted when the connected accounts were listed.
INSERT INTO offshoot.cursor (name, position) VALUES ('account_list', 'listed -infinity') ON CONFLICT DO NOTHING;

-- name: begin_listing(lease, every)$
-- Take it up where the last one ended so long ago, or was never ended; return what holds it.
UPDATE offshoot.cursor SET position = 'listing ' || (clock_timestamp() + :lease::interval)::text
WHERE name = 'account_list' AND CASE
    WHEN starts_with(position, 'listing ') THEN substr(position, 9)::timestamptz <= now()
    ELSE substr(position, 8)::timestamptz <= now() - :every::interval
END
RETURNING position;

-- name: renew_listing(lease, held)$
-- Go on, unless it was taken up by another meanwhile.
UPDATE offshoot.cursor SET position = 'listing ' || (clock_timestamp() + :lease::interval)::text
WHERE name = 'account_list' AND position = :held
RETURNING position;

-- name: end_listing(held)!
-- Every account was listed.
UPDATE offshoot.cursor SET position = 'listed ' || now()::text WHERE name = 'account_list' AND position = :held;

-- name: apply_listed_accounts(ids, capabilities, read_at, settle)
-- The list shows these accounts whole. One never heard of is known by it; where it says something else than what is known
-- the account is read, unless that is younger. One that was taken away by an event stays so.
WITH listed AS (
    SELECT id, capabilities::jsonb AS capabilities
    FROM unnest(:ids::text[], :capabilities::text[]) AS l (id, capabilities)
), judged AS (
    SELECT l.*,
        NOT a.known AND a.as_of IS NULL AND a.refresh_at IS NULL AND a.refused_at IS NULL AS is_news,
        NOT a.revoked AND a.refresh_at IS NULL
            AND coalesce(a.as_of < date_trunc('second', :read_at::timestamptz), true)
            AND (a.refused_at IS NOT NULL OR a.disconnected_at IS NOT NULL OR (a.known AND a.capabilities <> l.capabilities))
        AS is_doubtful
    FROM listed AS l JOIN offshoot.account AS a USING (id)
)
UPDATE offshoot.account AS a
SET joined = true,
    known = a.known OR j.is_news,
    capabilities = CASE WHEN j.is_news THEN j.capabilities ELSE a.capabilities END,
    read_at = CASE WHEN j.is_news THEN :read_at::timestamptz ELSE a.read_at END,
    refresh_at = CASE WHEN j.is_doubtful THEN now() + :settle::interval ELSE a.refresh_at END
FROM judged AS j
WHERE a.id = j.id AND (j.is_news OR j.is_doubtful OR NOT a.joined)
RETURNING a.id, new.known AND NOT old.known AS changed, NOT old.joined AS joins;
