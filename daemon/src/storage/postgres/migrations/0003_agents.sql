-- What agents said of themselves last: one that watches each cluster, and one for each node whose logs are read.
CREATE TABLE agents (
    client_id TEXT NOT NULL, cluster TEXT NOT NULL, slot TEXT NOT NULL, status TEXT NOT NULL, seen_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, cluster, slot)
);
ALTER TABLE agents ENABLE ROW LEVEL SECURITY;
ALTER TABLE agents FORCE ROW LEVEL SECURITY;
CREATE POLICY operator ON agents TO kgrca_operator USING (true) WITH CHECK (true);
CREATE POLICY tenant ON agents TO kgrca_tenant
    USING (client_id = current_setting('kgrca.client_id', true))
    WITH CHECK (client_id = current_setting('kgrca.client_id', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON agents TO kgrca_operator, kgrca_tenant;
