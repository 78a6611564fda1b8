-- Invitations, attempts to sign in, when a password was set, and which key a rotated one takes the place of.

ALTER TABLE users ADD COLUMN password_set_at INTEGER;

ALTER TABLE api_keys ADD COLUMN replaces_id TEXT;
-- A key is rotated once: of two that try at the same moment, the second finds its place taken.
CREATE UNIQUE INDEX api_keys_replaces ON api_keys (tenant_id, replaces_id) WHERE replaces_id IS NOT NULL;

CREATE TABLE invitations (
    tenant_id     TEXT NOT NULL REFERENCES tenants (tenant_id),
    invitation_id TEXT NOT NULL,
    hash          BLOB    NOT NULL UNIQUE, -- SHA-256 of the token; looked up before a tenant is known
    email         TEXT NOT NULL,
    email_key     TEXT NOT NULL,
    role          TEXT NOT NULL,
    groups_json   TEXT NOT NULL,
    invited_by    TEXT, -- a user of the tenant; NULL: the operator
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    accepted_at   INTEGER,
    revoked_at    INTEGER,
    PRIMARY KEY (tenant_id, invitation_id)
);
CREATE INDEX invitations_email ON invitations (tenant_id, email_key);

-- Counted before a tenant is known, so there is none to lead the key. Subjects are digests and addresses; rows
-- are dropped when their window is over.
CREATE TABLE sign_in_attempts (
    subject  TEXT NOT NULL PRIMARY KEY,
    since    INTEGER NOT NULL,
    attempts INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sign_in_attempts_since ON sign_in_attempts (since);
