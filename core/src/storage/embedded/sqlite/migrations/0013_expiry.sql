-- What expires is found by its time, without reading all rows of a tenant.
CREATE INDEX idempotency_at ON idempotency (client_id, at);
CREATE INDEX agents_seen_at ON agents (client_id, seen_at);
