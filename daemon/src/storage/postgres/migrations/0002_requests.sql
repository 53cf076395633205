-- The same request twice at once is one saga. One that was taken back leaves its request to the next.
ALTER TABLE sagas ADD COLUMN request TEXT;
CREATE UNIQUE INDEX sagas_request ON sagas (request);
-- What happened to one incident, in order.
CREATE INDEX incident_events_number ON incident_events (client_id, number, id);
