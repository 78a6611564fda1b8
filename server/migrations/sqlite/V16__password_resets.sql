-- Links with which people choose a new password: at most one for each, gone once it was used.
CREATE TABLE password_resets (
    tenant_id  TEXT    NOT NULL REFERENCES tenants (tenant_id),
    user_id    TEXT    NOT NULL,
    hash       BLOB    NOT NULL UNIQUE, -- SHA-256 of the token; looked up before a tenant is known
    made_by    TEXT,                    -- a user of the tenant; NULL: the operator
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
) WITHOUT ROWID;
CREATE INDEX password_resets_old ON password_resets (expires_at);
