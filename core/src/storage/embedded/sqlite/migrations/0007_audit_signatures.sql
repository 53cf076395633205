-- Entries are signed; those of before are not.
ALTER TABLE audit_log ADD COLUMN signature TEXT;
