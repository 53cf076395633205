-- What the hashes of a tenant's values are keyed with.
CREATE TABLE tenant_secrets (client_id TEXT PRIMARY KEY, secret TEXT NOT NULL);
ALTER TABLE tenant_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY operator ON tenant_secrets TO kgrca_operator USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_secrets TO kgrca_operator;
