-- Dead letters that were sent again, and when they last were. A letter is an offset in its partition.
CREATE TABLE retried_letters (
    client_id TEXT NOT NULL, partition BIGINT NOT NULL, letter BIGINT NOT NULL, at BIGINT NOT NULL,
    PRIMARY KEY (client_id, partition, letter)
);
ALTER TABLE retried_letters ENABLE ROW LEVEL SECURITY;
ALTER TABLE retried_letters FORCE ROW LEVEL SECURITY;
CREATE POLICY operator ON retried_letters TO kgrca_operator USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON retried_letters TO kgrca_operator;
CREATE POLICY tenant ON retried_letters TO kgrca_tenant
    USING (client_id = current_setting('kgrca.client_id', true))
    WITH CHECK (client_id = current_setting('kgrca.client_id', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON retried_letters TO kgrca_tenant;
