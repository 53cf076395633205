-- When the last record of a cluster arrived; its own time may be any.
ALTER TABLE clusters ADD COLUMN last_arrival BIGINT;
