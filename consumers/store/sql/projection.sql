-- name: remember_events(ids, created, types)
-- Note the events of a batch; return those not noted before. It filters repeats, correctness never rests on it.
-- In one order, so that two members that note the same events wait for each other instead of deadlocking.
INSERT INTO offshoot.inbox (id, created, type)
SELECT DISTINCT ON (id, created) id, created, type
FROM unnest(:ids::text[], :created::timestamptz[], :types::text[]) AS e (id, created, type)
ORDER BY id, created
ON CONFLICT DO NOTHING
RETURNING id, created;

-- name: add_customer_stubs(ids)!
-- A card may arrive before its customer: a row to lock must be there for both.
INSERT INTO offshoot.customer (id)
SELECT unnest(:ids::text[]) ORDER BY 1
ON CONFLICT DO NOTHING;

-- name: lock_customers(ids)
-- Everything read after this sees what any other transaction did to these customers before.
SELECT id FROM offshoot.customer WHERE id = ANY (:ids::text[]) ORDER BY id FOR NO KEY UPDATE;

-- name: add_account_stubs(ids)!
-- An account named by a customer may never have been heard of.
INSERT INTO offshoot.account (id)
SELECT unnest(:ids::text[]) ORDER BY 1
ON CONFLICT DO NOTHING;

-- name: lock_accounts(ids)
-- As lock_customers, always after it.
SELECT id FROM offshoot.account WHERE id = ANY (:ids::text[]) ORDER BY id FOR NO KEY UPDATE;

-- name: add_payment_method_stubs(ids)!
-- So that applying is one UPDATE whether or not the row was there.
INSERT INTO offshoot.payment_method (id)
SELECT unnest(:ids::text[]) ORDER BY 1
ON CONFLICT DO NOTHING;

-- name: apply_customers(ids, as_of, granted_accounts, defaults, profiles, deleted, settle)
-- Write what was seen of customers, where it is not older than what is known; return those that changed.
-- In doubt it is read again: another content in the same second, or by an event older than the last reading,
-- which then is not written either. Deleted is sticky.
WITH seen AS (
    SELECT id, as_of, deleted, default_payment_method_id, profile::jsonb AS profile,
        string_to_array(granted_accounts, ',') AS granted_accounts
    FROM unnest(
        :ids::text[], :as_of::timestamptz[], :granted_accounts::text[], :defaults::text[],
        :profiles::text[], :deleted::boolean[]
    ) AS s (id, as_of, granted_accounts, default_payment_method_id, profile, deleted)
), compared AS (
    SELECT s.*,
        (c.as_of IS NULL OR s.as_of >= c.as_of) AS newer,
        coalesce(s.as_of < date_trunc('second', c.read_at), false) AS before_reading,
        NOT s.deleted AND (c.granted_accounts, c.default_payment_method_id, c.profile)
            IS DISTINCT FROM (s.granted_accounts, s.default_payment_method_id, s.profile) AS differs,
        c.granted_accounts <> s.granted_accounts AS grants_turn,
        s.deleted AND c.deleted_at IS NULL AS ends
    FROM seen AS s JOIN offshoot.customer AS c USING (id)
), judged AS (
    SELECT *, newer AND NOT before_reading AS applies,
        ends OR (grants_turn AND newer AND NOT before_reading) AS turns
    FROM compared
)
UPDATE offshoot.customer AS c
SET granted_accounts = CASE WHEN s.applies THEN s.granted_accounts ELSE c.granted_accounts END,
    default_payment_method_id = CASE WHEN s.applies THEN s.default_payment_method_id ELSE c.default_payment_method_id END,
    profile = CASE WHEN s.applies AND NOT s.deleted THEN s.profile ELSE c.profile END,
    deleted_at = coalesce(c.deleted_at, CASE WHEN s.deleted THEN s.as_of END),
    known = true,
    confirmed = c.confirmed AND NOT s.turns,
    as_of = greatest(c.as_of, s.as_of),
    refresh_at = CASE
        -- A detach waits for the reading: let it show this too.
        WHEN s.turns AND c.doubt_as_of = 'infinity' THEN now() + :settle::interval
        WHEN s.newer AND s.differs AND (s.before_reading OR s.as_of = c.as_of OR s.as_of = date_trunc('second', c.read_at)) THEN now() + :settle::interval
        WHEN s.applies AND s.as_of > coalesce(c.doubt_as_of, '-infinity') THEN NULL
        ELSE c.refresh_at
    END,
    doubt_as_of = CASE
        WHEN c.doubt_as_of = 'infinity' THEN c.doubt_as_of
        WHEN s.newer AND s.differs AND (s.before_reading OR s.as_of = c.as_of OR s.as_of = date_trunc('second', c.read_at)) THEN s.as_of
        WHEN s.applies AND s.as_of > coalesce(c.doubt_as_of, '-infinity') THEN NULL
        ELSE c.doubt_as_of
    END
FROM judged AS s
WHERE c.id = s.id AND (s.newer OR (s.deleted AND c.deleted_at IS NULL))
RETURNING c.id,
    (old.granted_accounts, old.default_payment_method_id, old.deleted_at IS NULL, old.known)
        IS DISTINCT FROM (new.granted_accounts, new.default_payment_method_id, new.deleted_at IS NULL, new.known)
    AS changed;

-- name: read_customers(ids, as_of, granted_accounts, defaults, profiles, deleted, claimed)
-- Write what a reading showed, unless something arrived since it was claimed: that settled the doubt, or began
-- another. A reading never makes a later event look old, so as_of stays.
WITH seen AS (
    SELECT * FROM unnest(
        :ids::text[], :as_of::timestamptz[], :granted_accounts::text[], :defaults::text[],
        :profiles::text[], :deleted::boolean[]
    ) AS s (id, read_at, granted_accounts, default_payment_method_id, profile, deleted)
)
UPDATE offshoot.customer AS c
SET granted_accounts = string_to_array(s.granted_accounts, ','),
    default_payment_method_id = s.default_payment_method_id,
    profile = CASE WHEN s.deleted THEN c.profile ELSE s.profile::jsonb END,
    deleted_at = coalesce(c.deleted_at, CASE WHEN s.deleted THEN s.read_at END),
    known = true,
    confirmed = true,
    read_at = s.read_at,
    refresh_at = NULL,
    doubt_as_of = NULL
FROM seen AS s
WHERE c.id = s.id AND c.refresh_at = :claimed
RETURNING c.id,
    (old.granted_accounts, old.default_payment_method_id, old.deleted_at IS NULL, old.known)
        IS DISTINCT FROM (new.granted_accounts, new.default_payment_method_id, new.deleted_at IS NULL, new.known)
        -- A detach waited for it.
        OR coalesce(old.doubt_as_of = 'infinity', false)
    AS changed;

-- name: apply_payment_methods(ids, as_of, customers, types, hashes, contents, opted_out, blocked, supported, detached, settle)
-- As apply_customers; detached is sticky whatever the age of the event.
WITH seen AS (
    SELECT * FROM unnest(
        :ids::text[], :as_of::timestamptz[], :customers::text[], :types::text[],
        :hashes::bytea[], :contents::text[], :opted_out::boolean[], :blocked::boolean[], :supported::boolean[],
        :detached::boolean[]
    ) AS s (id, as_of, customer_id, type, content_hash, content, opted_out, blocked, owner_supported, detached)
), compared AS (
    SELECT s.*,
        (p.as_of IS NULL OR s.as_of >= p.as_of) AS newer,
        coalesce(s.as_of < date_trunc('second', p.read_at), false) AS before_reading,
        p.known AND (p.customer_id, p.type, p.content_hash, p.opted_out, p.blocked)
            IS DISTINCT FROM (coalesce(s.customer_id, p.customer_id), s.type, s.content_hash, s.opted_out, s.blocked) AS differs,
        s.detached AND p.detached_at IS NULL AS ends
    FROM seen AS s JOIN offshoot.payment_method AS p USING (id)
), judged AS (
    SELECT *, newer AND NOT before_reading AS applies,
        ends OR (differs AND newer AND NOT before_reading) AS turns
    FROM compared
)
UPDATE offshoot.payment_method AS p
SET customer_id = CASE WHEN s.applies THEN coalesce(s.customer_id, p.customer_id) ELSE coalesce(p.customer_id, s.customer_id) END,
    type = CASE WHEN s.applies OR NOT p.known THEN s.type ELSE p.type END,
    content_hash = CASE WHEN s.applies OR NOT p.known THEN s.content_hash ELSE p.content_hash END,
    content = CASE WHEN s.applies OR NOT p.known THEN s.content::jsonb ELSE p.content END,
    blocked = CASE WHEN s.applies OR NOT p.known THEN s.blocked ELSE p.blocked END,
    owner_supported = CASE WHEN s.applies OR NOT p.known THEN s.owner_supported ELSE p.owner_supported END,
    confirmed = p.confirmed AND NOT s.turns,
    generation = p.generation + CASE WHEN s.applies AND p.content_hash <> s.content_hash THEN 1 ELSE 0 END,
    opted_out = CASE WHEN s.applies OR NOT p.known THEN s.opted_out ELSE p.opted_out END,
    detached_at = coalesce(p.detached_at, CASE WHEN s.detached THEN s.as_of END),
    known = true,
    as_of = greatest(p.as_of, s.as_of),
    refresh_at = CASE
        WHEN s.turns AND p.doubt_as_of = 'infinity' THEN now() + :settle::interval
        WHEN s.newer AND s.differs AND (s.before_reading OR s.as_of = p.as_of OR s.as_of = date_trunc('second', p.read_at)) THEN now() + :settle::interval
        WHEN s.applies AND s.as_of > coalesce(p.doubt_as_of, '-infinity') THEN NULL
        ELSE p.refresh_at
    END,
    doubt_as_of = CASE
        WHEN p.doubt_as_of = 'infinity' THEN p.doubt_as_of
        WHEN s.newer AND s.differs AND (s.before_reading OR s.as_of = p.as_of OR s.as_of = date_trunc('second', p.read_at)) THEN s.as_of
        WHEN s.applies AND s.as_of > coalesce(p.doubt_as_of, '-infinity') THEN NULL
        ELSE p.doubt_as_of
    END
FROM judged AS s
WHERE p.id = s.id AND (s.newer OR (s.detached AND p.detached_at IS NULL))
RETURNING p.id, p.customer_id,
    (old.customer_id, old.content_hash, old.opted_out, old.detached_at IS NULL, old.blocked)
        IS DISTINCT FROM (new.customer_id, new.content_hash, new.opted_out, new.detached_at IS NULL, new.blocked)
    AS changed;

-- name: read_payment_methods(ids, as_of, customers, types, hashes, contents, opted_out, blocked, supported, claimed)
-- As read_customers. One without a customer was detached: only attached ones are ever heard of. One with a
-- customer is attached, whatever was said before: Stripe never attaches a detached one again.
WITH seen AS (
    SELECT * FROM unnest(
        :ids::text[], :as_of::timestamptz[], :customers::text[], :types::text[],
        :hashes::bytea[], :contents::text[], :opted_out::boolean[], :blocked::boolean[], :supported::boolean[]
    ) AS s (id, read_at, customer_id, type, content_hash, content, opted_out, blocked, owner_supported)
)
UPDATE offshoot.payment_method AS p
SET customer_id = coalesce(s.customer_id, p.customer_id),
    type = s.type,
    content_hash = s.content_hash,
    generation = p.generation + CASE WHEN p.content_hash <> s.content_hash THEN 1 ELSE 0 END,
    content = s.content::jsonb,
    opted_out = s.opted_out,
    blocked = s.blocked,
    owner_supported = s.owner_supported,
    detached_at = CASE WHEN s.customer_id IS NULL THEN coalesce(p.detached_at, s.read_at) END,
    known = true,
    confirmed = true,
    read_at = s.read_at,
    refresh_at = NULL,
    doubt_as_of = NULL
FROM seen AS s
WHERE p.id = s.id AND p.refresh_at = :claimed
RETURNING p.id, p.customer_id,
    (old.customer_id, old.content_hash, old.opted_out, old.detached_at IS NULL, old.blocked)
        IS DISTINCT FROM (new.customer_id, new.content_hash, new.opted_out, new.detached_at IS NULL, new.blocked)
        OR coalesce(old.doubt_as_of = 'infinity', false)
    AS changed;

-- name: apply_accounts(ids, as_of, capabilities, whole, connected, settle)
-- Write what was seen of accounts: a whole one replaces, a part is laid over, an older one fills in what was never
-- heard. Capabilities come by different partitions, so one that is heard late and differs puts the account in doubt;
-- only a whole account settles that. A part that comes during a reading has the account read once more.
WITH seen AS (
    SELECT id, as_of, capabilities::jsonb AS capabilities, whole, connected FROM unnest(
        :ids::text[], :as_of::timestamptz[], :capabilities::text[], :whole::boolean[], :connected::boolean[]
    ) AS s (id, as_of, capabilities, whole, connected)
), compared AS (
    SELECT s.*,
        (a.as_of IS NULL OR s.as_of >= a.as_of) AS newer,
        coalesce(s.as_of < date_trunc('second', a.read_at), false) AS before_reading,
        coalesce(s.connected AND a.disconnected_at IS NOT NULL, false) AS regains,
        CASE
            WHEN a.known AND s.whole THEN a.capabilities <> s.capabilities
            WHEN a.known THEN NOT a.capabilities @> s.capabilities
            ELSE NOT (s.capabilities || a.capabilities) @> s.capabilities
        END OR coalesce(s.connected <> (a.disconnected_at IS NULL), false) AS differs
    FROM seen AS s JOIN offshoot.account AS a USING (id)
), judged AS (
    SELECT *, newer AND NOT before_reading AS applies,
        differs AND (NOT newer OR before_reading) AS late
    FROM compared
)
UPDATE offshoot.account AS a
SET capabilities = CASE
        WHEN s.applies AND (s.whole OR s.regains) THEN s.capabilities
        WHEN s.applies THEN a.capabilities || s.capabilities
        WHEN a.known THEN a.capabilities
        ELSE s.capabilities || a.capabilities
    END,
    -- Access regained: everything is looked at afresh.
    known = CASE WHEN s.applies AND s.regains THEN s.whole ELSE a.known OR s.whole END,
    refused_at = NULL,
    disconnected_at = CASE
        WHEN NOT s.applies OR s.connected IS NULL THEN a.disconnected_at
        WHEN NOT s.connected THEN coalesce(a.disconnected_at, s.as_of)
    END,
    revoked = CASE WHEN s.applies AND s.connected IS NOT NULL THEN NOT s.connected ELSE a.revoked END,
    as_of = greatest(a.as_of, s.as_of),
    refresh_at = CASE
        -- It speaks, though a reading of it was refused: look again.
        WHEN s.newer AND a.disconnected_at IS NOT NULL AND NOT a.revoked AND s.connected IS NULL THEN now() + :settle::interval
        WHEN (s.late AND (a.known OR s.whole)) OR (s.differs AND s.as_of = a.as_of) THEN now() + :settle::interval
        WHEN s.applies AND s.whole AND s.as_of > coalesce(a.doubt_as_of, '-infinity') THEN NULL
        WHEN a.refresh_at IS NOT NULL AND NOT s.whole THEN now() + :settle::interval
        ELSE a.refresh_at
    END,
    doubt_as_of = CASE
        WHEN (s.late AND (a.known OR s.whole)) OR (s.differs AND s.as_of = a.as_of) THEN greatest(a.doubt_as_of, s.as_of)
        WHEN s.applies AND s.whole AND s.as_of > coalesce(a.doubt_as_of, '-infinity') THEN NULL
        ELSE a.doubt_as_of
    END
FROM judged AS s
WHERE a.id = s.id AND (s.newer OR NOT a.known OR s.late)
RETURNING a.id,
    (old.capabilities, old.known, old.refused_at IS NULL, old.disconnected_at IS NULL)
        IS DISTINCT FROM (new.capabilities, new.known, new.refused_at IS NULL, new.disconnected_at IS NULL)
    AS changed;

-- name: read_account(capabilities, read_at, id, claimed)
-- As read_customers; a null for the capabilities says that the account was refused to us.
UPDATE offshoot.account AS a
SET capabilities = coalesce(:capabilities::jsonb, a.capabilities),
    known = a.known OR :capabilities::jsonb IS NOT NULL,
    refused_at = CASE WHEN :capabilities::jsonb IS NULL AND NOT a.known THEN :read_at::timestamptz END,
    disconnected_at = CASE
        WHEN :capabilities::jsonb IS NULL AND a.known THEN coalesce(a.disconnected_at, :read_at::timestamptz)
    END,
    read_at = :read_at::timestamptz,
    refresh_at = NULL,
    doubt_as_of = NULL
WHERE a.id = :id AND a.refresh_at = :claimed
RETURNING a.id,
    (old.capabilities, old.known, old.refused_at IS NULL, old.disconnected_at IS NULL)
        IS DISTINCT FROM (new.capabilities, new.known, new.refused_at IS NULL, new.disconnected_at IS NULL)
    AS changed;

-- name: doubt_accounts(ids, as_of, settle)!
-- Something changed, but not what: read them soon, unless something later than as_of arrives meanwhile.
UPDATE offshoot.account AS o
SET refresh_at = least(o.refresh_at, now() + :settle::interval), doubt_as_of = greatest(o.doubt_as_of, d.as_of)
FROM unnest(:ids::text[], :as_of::timestamptz[]) AS d (id, as_of)
WHERE o.id = d.id;

-- name: doubt_customers(ids, as_of, settle)!
-- As doubt_accounts.
UPDATE offshoot.customer AS o
SET refresh_at = least(o.refresh_at, now() + :settle::interval), doubt_as_of = greatest(o.doubt_as_of, d.as_of)
FROM unnest(:ids::text[], :as_of::timestamptz[]) AS d (id, as_of)
WHERE o.id = d.id;

-- name: doubt_payment_methods(ids, as_of, settle)!
-- As doubt_accounts.
UPDATE offshoot.payment_method AS o
SET refresh_at = least(o.refresh_at, now() + :settle::interval), doubt_as_of = greatest(o.doubt_as_of, d.as_of)
FROM unnest(:ids::text[], :as_of::timestamptz[]) AS d (id, as_of)
WHERE o.id = d.id;

-- name: want_account(id)!
-- A share waits for an account never seen whole: read it at once, unless somebody is reading it already.
UPDATE offshoot.account SET refresh_at = coalesce(refresh_at, now()) WHERE id = :id;

-- name: doubt_unknown_customers(settle, ids)!
-- A method whose customer was never seen: perhaps its event comes, else it is read.
UPDATE offshoot.customer SET refresh_at = coalesce(refresh_at, now() + :settle::interval)
WHERE id = ANY (:ids::text[]) AND NOT known;

-- name: follow_grants(customers)
-- Make the shares that these customers' metadata names, and take the grant from those named no more. Shares that
-- are there are locked in id order before.
WITH named AS (
    SELECT c.id AS customer_id, unnest(c.granted_accounts) AS account_id
    FROM offshoot.customer AS c
    WHERE c.id = ANY (:customers::text[]) AND c.deleted_at IS NULL
), followed AS (
    UPDATE offshoot.share AS s
    SET granted_by_metadata = NOT s.granted_by_metadata, mark = s.mark + 1, due_at = least(s.due_at, now()),
        -- Wanted again: a new grant.
        connected_customer_deleted_at = CASE WHEN s.wanted THEN s.connected_customer_deleted_at END
    WHERE s.customer_id = ANY (:customers::text[]) AND s.granted_by_metadata <> EXISTS (
        SELECT FROM named AS n WHERE n.customer_id = s.customer_id AND n.account_id = s.account_id
    )
    RETURNING s.id, new.wanted AND NOT old.wanted AS wanted_again
), taken_up AS (
    UPDATE offshoot.clone AS k SET taken_up = true
    FROM followed AS f
    WHERE f.wanted_again AND k.share_id = f.id AND k.state = 'absent'
), made AS (
    INSERT INTO offshoot.share AS s (customer_id, account_id, granted_by_metadata, mark, due_at)
    SELECT n.customer_id, n.account_id, true, 1, now() FROM named AS n
    WHERE NOT EXISTS (
        SELECT FROM offshoot.share AS s WHERE s.customer_id = n.customer_id AND s.account_id = n.account_id
    )
    ORDER BY 1, 2
    ON CONFLICT (customer_id, account_id) DO NOTHING
    RETURNING s.id
)
SELECT (SELECT count(*) FROM followed) + (SELECT count(*) FROM made) AS marked;

-- name: apply_connected_methods(ids, as_of, accounts, customers, types, contents, detached, keys, key_prefix)!
-- Write what was seen of methods on connected accounts. A detach is our own doing where the key of its request begins with
-- :key_prefix and this installation's id.
INSERT INTO offshoot.connected_payment_method AS m (
    id, account_id, customer_id, type, content, detached_at, detached_by_us, as_of
)
SELECT s.id, s.account_id, s.customer_id, s.type, coalesce(s.content::jsonb, '{}'),
    CASE WHEN s.detached THEN s.as_of END,
    s.detached AND coalesce(starts_with(s.key, :key_prefix::text || c.position || ':'), false), s.as_of
FROM unnest(
    :ids::text[], :as_of::timestamptz[], :accounts::text[], :customers::text[], :types::text[], :contents::text[],
    :detached::boolean[], :keys::text[]
) AS s (id, as_of, account_id, customer_id, type, content, detached, key)
JOIN offshoot.cursor AS c ON c.name = 'installation'
ORDER BY s.id
ON CONFLICT (id) DO UPDATE
SET customer_id = CASE WHEN excluded.as_of >= m.as_of THEN coalesce(excluded.customer_id, m.customer_id) ELSE coalesce(m.customer_id, excluded.customer_id) END,
    type = CASE WHEN excluded.type <> '' THEN excluded.type ELSE m.type END,
    content = CASE
        WHEN excluded.content <> '{}' AND (excluded.as_of >= m.as_of OR m.content = '{}') THEN excluded.content
        ELSE m.content
    END,
    detached_at = coalesce(m.detached_at, excluded.detached_at),
    detached_by_us = m.detached_by_us OR excluded.detached_by_us,
    as_of = greatest(m.as_of, excluded.as_of);

-- name: shares_of_connected(ids, accounts, customers)
-- The shares that these methods on connected accounts, or these connected customers, matter to.
SELECT share_id AS id FROM offshoot.clone WHERE connected_payment_method_id = ANY (:ids::text[])
UNION SELECT share_id FROM offshoot.clone WHERE next_payment_method_id = ANY (:ids::text[])
UNION SELECT share_id FROM offshoot.superseded_clone WHERE connected_payment_method_id = ANY (:ids::text[])
UNION SELECT s.id FROM offshoot.share AS s
    JOIN unnest(:accounts::text[], :customers::text[]) AS c (account_id, customer_id)
    ON s.account_id = c.account_id AND s.connected_customer_id = c.customer_id;

-- name: apply_connected_customers(ids, as_of, accounts, defaults, deleted)!
-- A connected customer was deleted, or has another default; what is older than what we know or did is passed over.
UPDATE offshoot.share AS s
SET connected_customer_deleted_at = CASE WHEN c.deleted THEN c.as_of END,
    connected_customer_id = CASE WHEN NOT c.deleted THEN s.connected_customer_id END,
    connected_default_id = CASE WHEN NOT c.deleted THEN c.default_id END,
    connected_as_of = c.as_of
FROM unnest(:ids::text[], :as_of::timestamptz[], :accounts::text[], :defaults::text[], :deleted::boolean[])
    AS c (id, as_of, account_id, default_id, deleted)
WHERE s.account_id = c.account_id AND s.connected_customer_id = c.id
    AND (c.deleted OR c.as_of >= coalesce(s.connected_as_of, '-infinity'));

-- name: lock_shares(customers, accounts, ids)
-- In id order, so that two batches that touch the same shares wait for each other instead of deadlocking.
SELECT id FROM offshoot.share
WHERE customer_id = ANY (:customers::text[]) OR account_id = ANY (:accounts::text[]) OR id = ANY (:ids::bigint[])
ORDER BY id FOR NO KEY UPDATE;

-- name: mark_shares(customers, accounts, ids)
-- Something changed for these customers or accounts: every share of theirs is due. Locked before.
WITH marked AS (
    UPDATE offshoot.share AS s
    SET mark = s.mark + 1, due_at = least(s.due_at, now())
    WHERE s.customer_id = ANY (:customers::text[]) OR s.account_id = ANY (:accounts::text[]) OR s.id = ANY (:ids::bigint[])
    RETURNING s.id
)
SELECT count(*) AS marked FROM marked;

-- name: claim_refreshes(limit, again)
-- Take objects whose reading is due; refresh_at moves ahead, so that a reader that dies is followed by another,
-- and its new value is what the reading must find unchanged.
WITH accounts_due AS (
    SELECT id FROM offshoot.account WHERE refresh_at <= now() AND NOT revoked ORDER BY refresh_at LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
), accounts AS (
    UPDATE offshoot.account AS o SET refresh_at = now() + :again::interval
    FROM accounts_due AS d WHERE o.id = d.id
    RETURNING 'account' AS kind, o.id, o.refresh_at AS claimed
), customers_due AS (
    SELECT id FROM offshoot.customer WHERE refresh_at <= now() ORDER BY refresh_at LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
), customers AS (
    UPDATE offshoot.customer AS o SET refresh_at = now() + :again::interval
    FROM customers_due AS d WHERE o.id = d.id
    RETURNING 'customer' AS kind, o.id, o.refresh_at AS claimed
), payment_methods_due AS (
    SELECT id FROM offshoot.payment_method WHERE refresh_at <= now() ORDER BY refresh_at LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
), payment_methods AS (
    UPDATE offshoot.payment_method AS o SET refresh_at = now() + :again::interval
    FROM payment_methods_due AS d WHERE o.id = d.id
    RETURNING 'payment_method' AS kind, o.id, o.refresh_at AS claimed
)
SELECT * FROM accounts UNION ALL SELECT * FROM customers UNION ALL SELECT * FROM payment_methods;

-- name: next_refresh()$
-- Seconds until the next reading is due; null when none waits.
SELECT extract(epoch FROM min(at) - now())::float8 FROM (
    SELECT min(refresh_at) AS at FROM offshoot.account WHERE refresh_at IS NOT NULL AND NOT revoked
    UNION ALL SELECT min(refresh_at) FROM offshoot.customer WHERE refresh_at IS NOT NULL
    UNION ALL SELECT min(refresh_at) FROM offshoot.payment_method WHERE refresh_at IS NOT NULL
) AS waiting;

-- name: announce_refresh()!
-- Wake the reader when this transaction commits.
SELECT pg_notify('offshoot_refresh', '');

-- name: announce_due()!
-- Wake the clone lanes when this transaction commits.
SELECT pg_notify('offshoot_due', '');
