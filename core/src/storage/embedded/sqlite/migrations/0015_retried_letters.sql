-- Dead letters that were sent again, and when they last were.
CREATE TABLE retried_letters (
    client_id TEXT NOT NULL, letter INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (client_id, letter)
);
