-- Background work: a queue, and the outbox of the changes that cause it. Jobs of the operator have the tenant ''.
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, client_id TEXT NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL, key TEXT,
    state TEXT NOT NULL, run_at BIGINT NOT NULL, every BIGINT,
    lease_owner TEXT, epoch BIGINT NOT NULL, lease_until BIGINT, attempts BIGINT NOT NULL, max_attempts BIGINT NOT NULL,
    progress TEXT, result TEXT, error TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL
);
-- A key names one job; one that is dead or cancelled makes room for the next.
CREATE UNIQUE INDEX jobs_key ON jobs (client_id, kind, key) WHERE state IN ('queued', 'running', 'done');
CREATE INDEX jobs_due ON jobs (state, run_at);
CREATE INDEX jobs_listed ON jobs (created_at, job_id);
-- One row: locked while a job is taken, so that limits hold over all daemons. It counts the turns.
CREATE TABLE job_turn (turn BIGINT NOT NULL);
INSERT INTO job_turn (turn) VALUES (0);
-- When each tenant last had its turn.
CREATE TABLE job_turns (client_id TEXT PRIMARY KEY, turn BIGINT NOT NULL);
-- What daemons did by the clock before there were jobs.
INSERT INTO jobs (job_id, client_id, kind, payload, key, state, run_at, every, epoch, attempts, max_attempts, created_at, updated_at)
    SELECT 'job_' || saga_id, client_id, 'saga.run', '{"saga_id":"' || saga_id || '"}', saga_id, 'queued', 0, NULL,
        0, 0, 1000000, created_at, created_at FROM sagas;
INSERT INTO jobs (job_id, client_id, kind, payload, key, state, run_at, every, epoch, attempts, max_attempts, created_at, updated_at)
    SELECT 'job_maintain_' || client_id, client_id, 'tenant.maintain', '{}', 'hourly', 'queued', 0, 3600000000,
        0, 0, 5, created_at, created_at FROM clients WHERE state IN ('active', 'suspended');
INSERT INTO jobs (job_id, client_id, kind, payload, key, state, run_at, every, epoch, attempts, max_attempts, created_at, updated_at)
    VALUES ('job_purge', '', 'job.purge', '{}', 'hourly', 'queued', 0, 3600000000, 0, 0, 5, 0, 0);
