-- Sessions of legacy clients that something changed: most are in nobody's store, their id says it all (design.md D6).
CREATE TABLE client_sessions (
    tenant_id    TEXT    NOT NULL,
    session_hash BLOB    NOT NULL, -- SHA-256 of the session's id
    user_id      TEXT    NOT NULL,
    ended        INTEGER NOT NULL,
    log_level    TEXT,             -- the least that is told; NULL: what the server thinks fit
    uris_json    TEXT    NOT NULL, -- resources whose changes are told
    version      INTEGER NOT NULL, -- counter of the topic `sessions` when it was last changed
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, session_hash)
) WITHOUT ROWID;
CREATE INDEX client_sessions_version ON client_sessions (version);
CREATE INDEX client_sessions_user ON client_sessions (tenant_id, user_id, version);
CREATE INDEX client_sessions_old ON client_sessions (expires_at);

-- Questions that a running call put to its client. The answer comes as a request of its own, to any replica.
CREATE TABLE client_questions (
    tenant_id   TEXT    NOT NULL,
    question_id TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    answer      BLOB, -- sealed
    version     INTEGER NOT NULL, -- counter of the topic `answers` when it was answered
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, question_id)
) WITHOUT ROWID;
CREATE INDEX client_questions_version ON client_questions (version);
CREATE INDEX client_questions_old ON client_questions (expires_at);

-- What was said on a reply that is a stream and may be cut: kept for whoever asks for the rest of it.
CREATE TABLE reply_messages (
    tenant_id  TEXT    NOT NULL,
    stream_id  TEXT    NOT NULL,
    position   INTEGER NOT NULL, -- 0 opens the stream and says nothing
    user_id    TEXT    NOT NULL,
    message    BLOB    NOT NULL, -- sealed
    is_last    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, stream_id, position)
) WITHOUT ROWID;
CREATE INDEX reply_messages_old ON reply_messages (expires_at);
