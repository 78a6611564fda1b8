-- Calls that go on after their reply: a client looks at them by id (protocol.md §5).
CREATE TABLE client_tasks (
    tenant_id      TEXT    NOT NULL,
    task_id        TEXT    NOT NULL,
    user_id        TEXT    NOT NULL,
    edition        TEXT    NOT NULL,
    tool_name      TEXT    NOT NULL,
    status         TEXT    NOT NULL, -- working, input_required, completed, failed, cancelled
    cancel_asked   INTEGER NOT NULL,
    requests       BLOB,             -- questions by key, sealed
    answers        BLOB,             -- answers by key, sealed
    outcome        BLOB,             -- result or error, sealed
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    alive_until    INTEGER NOT NULL, -- whoever runs it says again and again that it does
    expires_at     INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, task_id)
) WITHOUT ROWID;
CREATE INDEX client_tasks_user ON client_tasks (tenant_id, user_id, status);
CREATE INDEX client_tasks_old ON client_tasks (expires_at);
