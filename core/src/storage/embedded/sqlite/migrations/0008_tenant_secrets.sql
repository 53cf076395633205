-- What the hashes of a tenant's values are keyed with.
CREATE TABLE tenant_secrets (client_id TEXT PRIMARY KEY, secret TEXT NOT NULL);
