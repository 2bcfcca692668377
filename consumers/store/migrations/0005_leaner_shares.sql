-- A wide fan-out rewrites every share of a customer: each index that a share need not be in makes it shorter.

-- The longest due are the first of each priority, which share_due has in order.
DROP INDEX offshoot.share_longest_due;

-- A share without a connected customer, as most are that only wait, need not be in it.
ALTER TABLE offshoot.share DROP CONSTRAINT share_account_id_connected_customer_id_key;
CREATE UNIQUE INDEX share_connected_customer ON offshoot.share (account_id, connected_customer_id)
    WHERE connected_customer_id IS NOT NULL;
