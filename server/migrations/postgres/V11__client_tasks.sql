-- Calls that go on after their reply: a client looks at them by id (protocol.md §5).
CREATE TABLE client_tasks (
    tenant_id      TEXT COLLATE "C" NOT NULL,
    task_id        TEXT COLLATE "C" NOT NULL,
    user_id        TEXT COLLATE "C" NOT NULL,
    edition        TEXT COLLATE "C" NOT NULL,
    tool_name      TEXT COLLATE "C" NOT NULL,
    status         TEXT COLLATE "C" NOT NULL, -- working, input_required, completed, failed, cancelled
    cancel_asked   BIGINT  NOT NULL,
    requests       BYTEA,            -- questions by key, sealed
    answers        BYTEA,            -- answers by key, sealed
    outcome        BYTEA,            -- result or error, sealed
    created_at     BIGINT  NOT NULL,
    updated_at     BIGINT  NOT NULL,
    alive_until    BIGINT  NOT NULL, -- whoever runs it says again and again that it does
    expires_at     BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, task_id)
);
CREATE INDEX client_tasks_user ON client_tasks (tenant_id, user_id, status);
CREATE INDEX client_tasks_old ON client_tasks (expires_at);
ALTER TABLE client_tasks ENABLE ROW LEVEL SECURITY;
ALTER TABLE client_tasks FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON client_tasks
    USING (current_setting('footbridge.tenant', true) IN (tenant_id, '*'));
