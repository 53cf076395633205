-- What agents said of themselves last: one that watches each cluster, and one for each node whose logs are read.
CREATE TABLE agents (
    client_id TEXT NOT NULL, cluster TEXT NOT NULL, slot TEXT NOT NULL, status TEXT NOT NULL, seen_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, cluster, slot)
);
