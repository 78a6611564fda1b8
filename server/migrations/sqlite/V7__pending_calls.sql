-- Calls that wait for a yes (catalogue.md §2.8): one row, four doors. What the call was to do and what it came to
-- are sealed; the token is here as its hash only.
CREATE TABLE pending_calls (
    tenant_id   TEXT    NOT NULL,
    token_hash  BLOB    NOT NULL,
    code        TEXT    NOT NULL, -- what a person types to approve it
    user_id     TEXT    NOT NULL,
    edition     TEXT    NOT NULL,
    tool_name   TEXT    NOT NULL,
    args_digest BLOB    NOT NULL,
    plan_digest BLOB    NOT NULL,
    need        TEXT    NOT NULL, -- confirm or human
    state       TEXT    NOT NULL, -- pending, approved, declined, superseded, running, done
    sealed      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    decided_by  TEXT,
    result      BLOB,
    keep_until  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, token_hash)
) WITHOUT ROWID;
CREATE UNIQUE INDEX pending_calls_code ON pending_calls (tenant_id, code);
CREATE INDEX pending_calls_user ON pending_calls (tenant_id, user_id, created_at);
CREATE INDEX pending_calls_old ON pending_calls (keep_until);
