-- OAuth: which editions take access tokens, of which provider, and who the people behind them are.

CREATE TABLE oauth_settings (
    tenant_id  TEXT    NOT NULL REFERENCES tenants (tenant_id),
    edition    TEXT    NOT NULL,
    enabled    INTEGER NOT NULL,
    doc        TEXT    NOT NULL, -- JSON; see store/oauth.rs
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, edition)
) WITHOUT ROWID;
-- One metadata document never mixes tenants, so an edition's endpoint has one tenant's provider.
CREATE UNIQUE INDEX oauth_settings_on ON oauth_settings (edition) WHERE enabled = 1;

-- A person of a provider. The pair is the identity: addresses change hands.
CREATE TABLE identities (
    tenant_id  TEXT    NOT NULL,
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    user_id    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, issuer, subject),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, user_id)
) WITHOUT ROWID;
