-- Invitations, attempts to sign in, when a password was set, and which key a rotated one takes the place of.

ALTER TABLE users ADD COLUMN password_set_at BIGINT;

ALTER TABLE api_keys ADD COLUMN replaces_id TEXT COLLATE "C";
-- A key is rotated once: of two that try at the same moment, the second finds its place taken.
CREATE UNIQUE INDEX api_keys_replaces ON api_keys (tenant_id, replaces_id) WHERE replaces_id IS NOT NULL;

CREATE TABLE invitations (
    tenant_id     TEXT COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    invitation_id TEXT COLLATE "C" NOT NULL,
    hash          BYTEA   NOT NULL UNIQUE, -- SHA-256 of the token; looked up before a tenant is known
    email         TEXT COLLATE "C" NOT NULL,
    email_key     TEXT COLLATE "C" NOT NULL,
    role          TEXT COLLATE "C" NOT NULL,
    groups_json   TEXT COLLATE "C" NOT NULL,
    invited_by    TEXT COLLATE "C", -- a user of the tenant; NULL: the operator
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    accepted_at   BIGINT,
    revoked_at    BIGINT,
    PRIMARY KEY (tenant_id, invitation_id)
);
CREATE INDEX invitations_email ON invitations (tenant_id, email_key);

-- Counted before a tenant is known, so there is none to lead the key. Subjects are digests and addresses; rows
-- are dropped when their window is over.
CREATE TABLE sign_in_attempts (
    subject  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    since    BIGINT NOT NULL,
    attempts BIGINT NOT NULL
);
CREATE INDEX sign_in_attempts_since ON sign_in_attempts (since);

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON invitations USING (current_setting('footbridge.tenant', true) IN (tenant_id, '*'));
