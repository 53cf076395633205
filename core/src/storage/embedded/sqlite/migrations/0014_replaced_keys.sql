-- Which key a rotation put in the place of this one.
ALTER TABLE api_keys ADD COLUMN replaced_by TEXT;
