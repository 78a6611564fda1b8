-- OAuth: which editions take access tokens, of which provider, and who the people behind them are.

CREATE TABLE oauth_settings (
    tenant_id  TEXT COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    edition    TEXT COLLATE "C" NOT NULL,
    enabled    BIGINT           NOT NULL,
    doc        TEXT COLLATE "C" NOT NULL, -- JSON; see store/oauth.rs
    updated_at BIGINT           NOT NULL,
    PRIMARY KEY (tenant_id, edition)
);
-- One metadata document never mixes tenants, so an edition's endpoint has one tenant's provider.
CREATE UNIQUE INDEX oauth_settings_on ON oauth_settings (edition) WHERE enabled = 1;

-- A person of a provider. The pair is the identity: addresses change hands.
CREATE TABLE identities (
    tenant_id  TEXT COLLATE "C" NOT NULL,
    issuer     TEXT COLLATE "C" NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,
    created_at BIGINT           NOT NULL,
    PRIMARY KEY (tenant_id, issuer, subject),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id)
);

DO $$
DECLARE
    one TEXT;
BEGIN
    FOREACH one IN ARRAY ARRAY['oauth_settings', 'identities'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', one);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', one);
        EXECUTE format(
            'CREATE POLICY one_tenant ON %I USING (current_setting(''footbridge.tenant'', true) IN (tenant_id, ''*''))',
            one);
    END LOOP;
END $$;
