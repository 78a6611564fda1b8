-- Sessions of legacy clients that something changed: most are in nobody's store, their id says it all (design.md D6).
CREATE TABLE client_sessions (
    tenant_id    TEXT COLLATE "C" NOT NULL,
    session_hash BYTEA   NOT NULL, -- SHA-256 of the session's id
    user_id      TEXT COLLATE "C" NOT NULL,
    ended        BIGINT  NOT NULL,
    log_level    TEXT COLLATE "C", -- the least that is told; NULL: what the server thinks fit
    uris_json    TEXT COLLATE "C" NOT NULL, -- resources whose changes are told
    version      BIGINT  NOT NULL, -- counter of the topic `sessions` when it was last changed
    expires_at   BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, session_hash)
);
CREATE INDEX client_sessions_version ON client_sessions (version);
CREATE INDEX client_sessions_user ON client_sessions (tenant_id, user_id, version);
CREATE INDEX client_sessions_old ON client_sessions (expires_at);
ALTER TABLE client_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE client_sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON client_sessions
    USING (current_setting('footbridge.tenant', true) IN (tenant_id, '*'));

-- Questions that a running call put to its client. The answer comes as a request of its own, to any replica.
CREATE TABLE client_questions (
    tenant_id   TEXT COLLATE "C" NOT NULL,
    question_id TEXT COLLATE "C" NOT NULL,
    user_id     TEXT COLLATE "C" NOT NULL,
    answer      BYTEA, -- sealed
    version     BIGINT  NOT NULL, -- counter of the topic `answers` when it was answered
    expires_at  BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, question_id)
);
CREATE INDEX client_questions_version ON client_questions (version);
CREATE INDEX client_questions_old ON client_questions (expires_at);
ALTER TABLE client_questions ENABLE ROW LEVEL SECURITY;
ALTER TABLE client_questions FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON client_questions
    USING (current_setting('footbridge.tenant', true) IN (tenant_id, '*'));

-- What was said on a reply that is a stream and may be cut: kept for whoever asks for the rest of it.
CREATE TABLE reply_messages (
    tenant_id  TEXT COLLATE "C" NOT NULL,
    stream_id  TEXT COLLATE "C" NOT NULL,
    position   BIGINT  NOT NULL, -- 0 opens the stream and says nothing
    user_id    TEXT COLLATE "C" NOT NULL,
    message    BYTEA   NOT NULL, -- sealed
    is_last    BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, stream_id, position)
);
CREATE INDEX reply_messages_old ON reply_messages (expires_at);
ALTER TABLE reply_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE reply_messages FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON reply_messages
    USING (current_setting('footbridge.tenant', true) IN (tenant_id, '*'));
