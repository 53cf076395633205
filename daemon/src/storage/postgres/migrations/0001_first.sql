-- Times are microseconds since the epoch; ids of tenants stand first in every key.
-- Rows are kept apart by the server: `kgrca_tenant` sees those of the tenant that its transaction names, `kgrca_operator` sees
-- all. Neither owns a table and neither may bypass row security, which is forced on owners, too.
CREATE TABLE clients (
    client_id TEXT PRIMARY KEY, name TEXT NOT NULL, plan TEXT NOT NULL, state TEXT NOT NULL,
    contact_email TEXT NOT NULL, created_at BIGINT NOT NULL, deleted_at BIGINT,
    partitions BIGINT NOT NULL, limits TEXT
);
CREATE TABLE subscriptions (
    client_id TEXT NOT NULL, since BIGINT NOT NULL, plan TEXT NOT NULL, PRIMARY KEY (client_id, since)
);
CREATE TABLE api_keys (
    key_id TEXT PRIMARY KEY, client_id TEXT, hash TEXT NOT NULL UNIQUE, name TEXT NOT NULL, last4 TEXT NOT NULL,
    scopes TEXT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT, revoked_at BIGINT
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
    client_id TEXT NOT NULL, cluster TEXT NOT NULL, state TEXT NOT NULL, last_record BIGINT NOT NULL, counts TEXT,
    PRIMARY KEY (client_id, cluster)
);
CREATE TABLE incident_numbers (client_id TEXT PRIMARY KEY, last BIGINT NOT NULL);
CREATE TABLE incidents (
    client_id TEXT NOT NULL, number BIGINT NOT NULL, key BIGINT NOT NULL, row TEXT, state TEXT, severity BIGINT,
    cluster TEXT, component TEXT, namespace TEXT, started_at BIGINT,
    PRIMARY KEY (client_id, number), UNIQUE (client_id, key)
);
CREATE TABLE incident_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client_id TEXT NOT NULL, number BIGINT NOT NULL, event TEXT NOT NULL
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
-- What people said of incidents: the place of the true cause in the answer, NULL when it was not named.
CREATE TABLE feedback (
    client_id TEXT NOT NULL, number BIGINT NOT NULL, place BIGINT, PRIMARY KEY (client_id, number)
);
CREATE TABLE sagas (
    saga_id TEXT PRIMARY KEY, client_id TEXT NOT NULL, saga TEXT NOT NULL, created_at BIGINT NOT NULL,
    owner TEXT NOT NULL, until BIGINT NOT NULL
);
CREATE INDEX sagas_client ON sagas (client_id);
CREATE TABLE graph_places (client_id TEXT PRIMARY KEY, server TEXT NOT NULL, slot TEXT NOT NULL UNIQUE);
-- In chains: '' is the operator's.
CREATE TABLE audit_log (
    client_id TEXT NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    target TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (client_id, seq)
);
CREATE TABLE audit_ends (client_id TEXT PRIMARY KEY, seq BIGINT NOT NULL, hash TEXT NOT NULL);
-- The one table without tenants.
CREATE TABLE daemons (
    owner TEXT PRIMARY KEY, address TEXT NOT NULL, roles TEXT NOT NULL, version TEXT NOT NULL,
    started_at BIGINT NOT NULL, seen_at BIGINT NOT NULL
);

-- Roles belong to the server: other databases of it may have made them.
DO $$
DECLARE name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['kgrca_tenant', 'kgrca_operator'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
            END;
        END IF;
        IF NOT pg_has_role(current_user, name, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO %I', name, current_user);
        END IF;
    END LOOP;
END $$;

DO $$
DECLARE name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['clients', 'subscriptions', 'api_keys', 'leases', 'offsets', 'clusters', 'incident_numbers',
        'incidents', 'incident_events', 'answers', 'usage_metrics', 'idempotency', 'feedback', 'sagas', 'graph_places',
        'audit_log', 'audit_ends'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY operator ON %I TO kgrca_operator USING (true) WITH CHECK (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO kgrca_operator', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['leases', 'offsets', 'clusters', 'incident_numbers', 'incidents', 'incident_events', 'answers',
        'usage_metrics', 'idempotency', 'feedback'] LOOP
        -- Left unset the setting is null or empty, and no row has such an id.
        EXECUTE format('CREATE POLICY tenant ON %I TO kgrca_tenant
            USING (client_id = current_setting(''kgrca.client_id'', true))
            WITH CHECK (client_id = current_setting(''kgrca.client_id'', true))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO kgrca_tenant', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON daemons TO kgrca_operator;
-- What was done stays written.
REVOKE UPDATE, DELETE ON audit_log FROM kgrca_operator;
