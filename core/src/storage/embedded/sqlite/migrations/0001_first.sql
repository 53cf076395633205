-- Times are microseconds since the epoch; ids of tenants stand first in every key.
CREATE TABLE clients (
    client_id TEXT PRIMARY KEY, name TEXT NOT NULL, plan TEXT NOT NULL, state TEXT NOT NULL,
    contact_email TEXT NOT NULL, created_at BIGINT NOT NULL, deleted_at BIGINT
);
CREATE TABLE api_keys (
    key_id TEXT PRIMARY KEY, client_id TEXT, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL, last4 TEXT NOT NULL,
    scopes TEXT NOT NULL, created_at BIGINT NOT NULL, revoked_at BIGINT
);
CREATE INDEX api_keys_client ON api_keys (client_id);
CREATE TABLE leases (
    client_id TEXT NOT NULL, partition BIGINT NOT NULL, owner TEXT NOT NULL, epoch BIGINT NOT NULL, until BIGINT NOT NULL,
    PRIMARY KEY (client_id, partition)
);
CREATE TABLE offsets (
    client_id TEXT NOT NULL, topic TEXT NOT NULL, partition BIGINT NOT NULL, next BIGINT NOT NULL,
    PRIMARY KEY (client_id, topic, partition)
);
CREATE TABLE clusters (
    client_id TEXT NOT NULL, cluster TEXT NOT NULL, state TEXT NOT NULL, last_record BIGINT NOT NULL,
    PRIMARY KEY (client_id, cluster)
);
CREATE TABLE incidents (
    client_id TEXT NOT NULL, number BIGINT NOT NULL, key BIGINT NOT NULL, row TEXT, state TEXT, severity BIGINT,
    cluster TEXT, component TEXT, namespace TEXT, started_at BIGINT,
    PRIMARY KEY (client_id, number), UNIQUE (client_id, key)
);
CREATE TABLE incident_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, client_id TEXT NOT NULL, number BIGINT NOT NULL, event TEXT NOT NULL
);
CREATE INDEX incident_events_client ON incident_events (client_id, id);
CREATE TABLE answers (
    client_id TEXT NOT NULL, number BIGINT NOT NULL, scorer TEXT NOT NULL, at BIGINT NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (client_id, number, scorer, at)
);
CREATE TABLE usage_metrics (
    client_id TEXT NOT NULL, day TEXT NOT NULL, metric TEXT NOT NULL, amount BIGINT NOT NULL,
    PRIMARY KEY (client_id, day, metric)
);
CREATE TABLE idempotency (
    client_id TEXT NOT NULL, key TEXT NOT NULL, answer TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (client_id, key)
);
CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at BIGINT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL
);
