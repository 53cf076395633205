-- Receivers and routes of a tenant, and the last transition that was planned.
CREATE TABLE notify_settings (client_id TEXT PRIMARY KEY, config TEXT NOT NULL, planned BIGINT NOT NULL);
CREATE TABLE silences (
    client_id TEXT NOT NULL, silence_id TEXT NOT NULL, ends_at BIGINT NOT NULL, silence TEXT NOT NULL,
    PRIMARY KEY (client_id, silence_id)
);
-- What becomes of each transition for each receiver; one without a receiver found no route.
CREATE TABLE deliveries (
    client_id TEXT NOT NULL, transition BIGINT NOT NULL, receiver TEXT NOT NULL, number BIGINT NOT NULL,
    state TEXT NOT NULL, reason TEXT, notice TEXT NOT NULL, attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, transition, receiver)
);
CREATE INDEX deliveries_of_incident ON deliveries (client_id, number);
ALTER TABLE notify_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE notify_settings FORCE ROW LEVEL SECURITY;
CREATE POLICY operator ON notify_settings TO kgrca_operator USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON notify_settings TO kgrca_operator;
CREATE POLICY tenant ON notify_settings TO kgrca_tenant
    USING (client_id = current_setting('kgrca.client_id', true))
    WITH CHECK (client_id = current_setting('kgrca.client_id', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON notify_settings TO kgrca_tenant;
ALTER TABLE silences ENABLE ROW LEVEL SECURITY;
ALTER TABLE silences FORCE ROW LEVEL SECURITY;
CREATE POLICY operator ON silences TO kgrca_operator USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON silences TO kgrca_operator;
CREATE POLICY tenant ON silences TO kgrca_tenant
    USING (client_id = current_setting('kgrca.client_id', true))
    WITH CHECK (client_id = current_setting('kgrca.client_id', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON silences TO kgrca_tenant;
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY operator ON deliveries TO kgrca_operator USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON deliveries TO kgrca_operator;
CREATE POLICY tenant ON deliveries TO kgrca_tenant
    USING (client_id = current_setting('kgrca.client_id', true))
    WITH CHECK (client_id = current_setting('kgrca.client_id', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON deliveries TO kgrca_tenant;
