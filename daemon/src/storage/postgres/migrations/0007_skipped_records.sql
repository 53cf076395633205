-- Entries of the log that were not applied: a restart must not apply them either.
CREATE TABLE skipped_records (
    client_id TEXT NOT NULL, topic TEXT NOT NULL, partition BIGINT NOT NULL, first_offset BIGINT NOT NULL,
    last_offset BIGINT NOT NULL, reason TEXT NOT NULL, received_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, topic, partition, first_offset)
);
ALTER TABLE skipped_records ENABLE ROW LEVEL SECURITY;
ALTER TABLE skipped_records FORCE ROW LEVEL SECURITY;
CREATE POLICY operator ON skipped_records TO kgrca_operator USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON skipped_records TO kgrca_operator;
CREATE POLICY tenant ON skipped_records TO kgrca_tenant
    USING (client_id = current_setting('kgrca.client_id', true))
    WITH CHECK (client_id = current_setting('kgrca.client_id', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON skipped_records TO kgrca_tenant;
