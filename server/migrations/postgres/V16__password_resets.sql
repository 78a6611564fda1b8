-- Links with which people choose a new password: at most one for each, gone once it was used.
CREATE TABLE password_resets (
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    user_id    TEXT COLLATE "C" NOT NULL,
    hash       BYTEA  NOT NULL UNIQUE, -- SHA-256 of the token; looked up before a tenant is known
    made_by    TEXT COLLATE "C",       -- a user of the tenant; NULL: the operator
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX password_resets_old ON password_resets (expires_at);

ALTER TABLE password_resets ENABLE ROW LEVEL SECURITY;
ALTER TABLE password_resets FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON password_resets USING (current_setting('footbridge.tenant', true) IN (tenant_id, '*'));
