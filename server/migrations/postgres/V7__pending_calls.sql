-- Calls that wait for a yes (catalogue.md §2.8): one row, four doors. What the call was to do and what it came to
-- are sealed; the token is here as its hash only.
CREATE TABLE pending_calls (
    tenant_id   TEXT COLLATE "C" NOT NULL,
    token_hash  BYTEA   NOT NULL,
    code        TEXT COLLATE "C" NOT NULL, -- what a person types to approve it
    user_id     TEXT COLLATE "C" NOT NULL,
    edition     TEXT COLLATE "C" NOT NULL,
    tool_name   TEXT COLLATE "C" NOT NULL,
    args_digest BYTEA   NOT NULL,
    plan_digest BYTEA   NOT NULL,
    need        TEXT COLLATE "C" NOT NULL, -- confirm or human
    state       TEXT COLLATE "C" NOT NULL, -- pending, approved, declined, superseded, running, done
    sealed      BYTEA   NOT NULL,
    created_at  BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL,
    decided_by  TEXT COLLATE "C",
    result      BYTEA,
    keep_until  BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, token_hash)
);
CREATE UNIQUE INDEX pending_calls_code ON pending_calls (tenant_id, code);
CREATE INDEX pending_calls_user ON pending_calls (tenant_id, user_id, created_at);
CREATE INDEX pending_calls_old ON pending_calls (keep_until);
ALTER TABLE pending_calls ENABLE ROW LEVEL SECURITY;
ALTER TABLE pending_calls FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON pending_calls
    USING (current_setting('footbridge.tenant', true) IN (tenant_id, '*'));
