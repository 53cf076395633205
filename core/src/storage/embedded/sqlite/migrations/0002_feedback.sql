-- What people said of incidents: the place of the true cause in the answer, NULL when it was not named.
CREATE TABLE feedback (
    client_id TEXT NOT NULL, number BIGINT NOT NULL, place BIGINT, PRIMARY KEY (client_id, number)
);
