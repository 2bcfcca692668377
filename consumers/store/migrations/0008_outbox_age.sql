-- So that somebody can be alerted on how long a record has waited for Kafka, whether or not a relay runs.
ALTER TABLE offshoot.outbox ADD COLUMN added_at timestamptz NOT NULL DEFAULT now();
