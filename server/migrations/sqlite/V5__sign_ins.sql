-- Who is signed in to the console or over REST. Only the SHA-256 of what the browser or program holds is kept.
CREATE TABLE sign_ins (
    tenant_id  TEXT    NOT NULL REFERENCES tenants (tenant_id),
    sign_in_id TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    user_id    TEXT    NOT NULL,
    kind       TEXT    NOT NULL, -- browser or token
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, sign_in_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX sign_ins_hash ON sign_ins (hash);
CREATE INDEX sign_ins_user ON sign_ins (tenant_id, user_id);
CREATE INDEX sign_ins_expiry ON sign_ins (expires_at);
