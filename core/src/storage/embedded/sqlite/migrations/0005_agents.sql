-- What agents said of themselves last.
CREATE TABLE agents (
    client_id TEXT NOT NULL, cluster TEXT NOT NULL, agent TEXT NOT NULL, status TEXT NOT NULL, seen_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, cluster, agent)
);
