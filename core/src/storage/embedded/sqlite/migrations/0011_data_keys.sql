-- Data keys of tenants, encrypted under a master key that is not in the database.
CREATE TABLE data_keys (
    client_id TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    wrapped TEXT NOT NULL,
    master_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, key_id)
);
