-- Data keys of tenants, encrypted under a master key that is not in the database.
CREATE TABLE data_keys (
    client_id TEXT NOT NULL,
    key_id BIGINT NOT NULL,
    wrapped TEXT NOT NULL,
    master_key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, key_id)
);
ALTER TABLE data_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY operator ON data_keys TO kgrca_operator USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON data_keys TO kgrca_operator;
