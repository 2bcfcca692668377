-- Serves claim_due_shares and claim_commands: what commands have in flight on each account.
CREATE INDEX command_leased ON offshoot.command (account_id) WHERE lease_end IS NOT NULL;
