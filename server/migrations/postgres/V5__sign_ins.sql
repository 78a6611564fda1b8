-- Who is signed in to the console or over REST. Only the SHA-256 of what the browser or program holds is kept.
CREATE TABLE sign_ins (
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    sign_in_id TEXT COLLATE "C" NOT NULL,
    hash       BYTEA   NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL, -- browser or token
    created_at BIGINT  NOT NULL,
    used_at    BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, sign_in_id)
);
CREATE UNIQUE INDEX sign_ins_hash ON sign_ins (hash);
CREATE INDEX sign_ins_user ON sign_ins (tenant_id, user_id);
CREATE INDEX sign_ins_expiry ON sign_ins (expires_at);
ALTER TABLE sign_ins ENABLE ROW LEVEL SECURITY;
ALTER TABLE sign_ins FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON sign_ins USING (current_setting('footbridge.tenant', true) IN (tenant_id, '*'));
