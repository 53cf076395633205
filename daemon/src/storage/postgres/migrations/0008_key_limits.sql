-- How far a key reaches, and when and from where it was last used.
ALTER TABLE api_keys ADD COLUMN networks TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN cluster TEXT;
ALTER TABLE api_keys ADD COLUMN certificate TEXT;
ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT;
ALTER TABLE api_keys ADD COLUMN last_used_from TEXT;
-- Where an act came from.
ALTER TABLE audit_log ADD COLUMN address TEXT;
