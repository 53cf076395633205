-- Dead letters that were sent again, and when they last were. A letter is an offset in its partition.
CREATE TABLE retried_letters (
    client_id TEXT NOT NULL, partition INTEGER NOT NULL, letter INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (client_id, partition, letter)
);
