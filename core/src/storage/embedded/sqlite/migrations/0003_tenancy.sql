-- Tenants: partitions of their topics, limits that were agreed, their plans over time.
ALTER TABLE clients ADD COLUMN partitions BIGINT NOT NULL DEFAULT 1;
UPDATE clients SET partitions = COALESCE((SELECT MAX(partition) + 1 FROM offsets WHERE offsets.client_id = clients.client_id), 1);
ALTER TABLE clients ADD COLUMN limits TEXT;
ALTER TABLE api_keys ADD COLUMN expires_at BIGINT;
ALTER TABLE clusters ADD COLUMN counts TEXT;
CREATE TABLE subscriptions (
    client_id TEXT NOT NULL, since BIGINT NOT NULL, plan TEXT NOT NULL, PRIMARY KEY (client_id, since)
);
INSERT INTO subscriptions (client_id, since, plan) SELECT client_id, created_at, plan FROM clients;
-- The last number of an incident that a tenant was given.
CREATE TABLE incident_numbers (client_id TEXT PRIMARY KEY, last BIGINT NOT NULL);
INSERT INTO incident_numbers (client_id, last) SELECT client_id, MAX(number) FROM incidents GROUP BY client_id;
-- Setting tenants up and taking them down.
CREATE TABLE sagas (
    saga_id TEXT PRIMARY KEY, client_id TEXT NOT NULL, saga TEXT NOT NULL, created_at BIGINT NOT NULL,
    owner TEXT NOT NULL, until BIGINT NOT NULL
);
CREATE INDEX sagas_client ON sagas (client_id);
-- The daemons that work on these stores, and where each tenant's graph is.
CREATE TABLE daemons (
    owner TEXT PRIMARY KEY, address TEXT NOT NULL, roles TEXT NOT NULL, version TEXT NOT NULL,
    started_at BIGINT NOT NULL, seen_at BIGINT NOT NULL
);
CREATE TABLE graph_places (client_id TEXT PRIMARY KEY, server TEXT NOT NULL, slot TEXT NOT NULL UNIQUE);
-- The audit log in chains: '' is the operator's. What was written before has no hashes and begins no chain.
ALTER TABLE audit_log RENAME TO audit_log_before;
CREATE TABLE audit_log (
    client_id TEXT NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    target TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (client_id, seq)
);
CREATE TABLE audit_ends (client_id TEXT PRIMARY KEY, seq BIGINT NOT NULL, hash TEXT NOT NULL);
