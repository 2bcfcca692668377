-- What an account that Stripe calls invalid needs before it counts as gone, and what keeps tables from growing for ever.

ALTER TABLE offshoot.account
    -- Stripe called it invalid once; a second such answer, to a reading of it, means that our access is gone. Null: it did
    -- not since the account was last heard of or read.
    ADD COLUMN invalid_at timestamptz;

-- Serves forget_intents: rows come in the order of this column, so that ranges of blocks say enough.
CREATE INDEX intent_age ON offshoot.intent USING brin (first_tried_at);

-- Make the inbox's partitions for this week and the two that follow, and drop those whose last day lies further back than
-- `keep`. A week of which the default partition holds events already stays there, and is deleted row by row.
CREATE FUNCTION offshoot.keep_inbox(today date, keep interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    week date;
    partition text;
BEGIN
    -- For some milliseconds nobody notes an event, so that none comes into the default partition meanwhile.
    LOCK TABLE offshoot.inbox IN ACCESS EXCLUSIVE MODE;
    FOR week IN SELECT generate_series(date_trunc('week', today::timestamp), today + 14, interval '7 days')::date LOOP
        partition := 'inbox_' || to_char(week, 'YYYYMMDD');
        IF to_regclass('offshoot.' || partition) IS NULL AND NOT EXISTS (
            SELECT FROM offshoot.inbox_default
            WHERE created >= week::timestamp AT TIME ZONE 'UTC' AND created < (week + 7)::timestamp AT TIME ZONE 'UTC'
        ) THEN
            EXECUTE format(
                'CREATE TABLE offshoot.%I PARTITION OF offshoot.inbox FOR VALUES FROM (%L) TO (%L)',
                partition, week::timestamp AT TIME ZONE 'UTC', (week + 7)::timestamp AT TIME ZONE 'UTC'
            );
        END IF;
    END LOOP;
    FOR partition IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'offshoot.inbox'::regclass AND c.relname ~ '^inbox_[0-9]{8}$'
            AND to_date(substr(c.relname, 7), 'YYYYMMDD') + 7 <= today - keep
    LOOP
        EXECUTE format('DROP TABLE offshoot.%I', partition);
    END LOOP;
    DELETE FROM offshoot.inbox_default WHERE created < (today - keep) AT TIME ZONE 'UTC';
END
$$;
