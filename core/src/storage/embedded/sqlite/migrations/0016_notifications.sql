-- Receivers and routes of a tenant, and the last transition that was planned.
CREATE TABLE notify_settings (client_id TEXT PRIMARY KEY, config TEXT NOT NULL, planned INTEGER NOT NULL);
CREATE TABLE silences (
    client_id TEXT NOT NULL, silence_id TEXT NOT NULL, ends_at INTEGER NOT NULL, silence TEXT NOT NULL,
    PRIMARY KEY (client_id, silence_id)
);
-- What becomes of each transition for each receiver; one without a receiver found no route.
CREATE TABLE deliveries (
    client_id TEXT NOT NULL, transition INTEGER NOT NULL, receiver TEXT NOT NULL, number INTEGER NOT NULL,
    state TEXT NOT NULL, reason TEXT, notice TEXT NOT NULL, attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, transition, receiver)
);
CREATE INDEX deliveries_of_incident ON deliveries (client_id, number);
