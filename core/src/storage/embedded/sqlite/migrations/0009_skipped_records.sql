-- Entries of the log that were not applied: a restart must not apply them either.
CREATE TABLE skipped_records (
    client_id TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, first_offset INTEGER NOT NULL,
    last_offset INTEGER NOT NULL, reason TEXT NOT NULL, received_at INTEGER NOT NULL,
    PRIMARY KEY (client_id, topic, partition, first_offset)
);
