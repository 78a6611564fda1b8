-- The first schema, table by table the same as SQLite's. Text sorts by its bytes, as it does there.
-- Moments are milliseconds since 1970, JSON is text, booleans are 0 and 1.
-- tenant_id leads every primary key and index; the exceptions are the operator's look-ups across tenants
-- (key by hash, user by e-mail, due jobs) and row_id, which only full-text tables refer to.

CREATE TABLE tenants (
    tenant_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name        TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,
    monthly_cap BIGINT,
    created_at  BIGINT  NOT NULL
);

CREATE TABLE users (
    tenant_id     TEXT COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    user_id       TEXT COLLATE "C" NOT NULL,
    email         TEXT COLLATE "C" NOT NULL,
    email_key     TEXT COLLATE "C" NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    role          TEXT COLLATE "C" NOT NULL,
    groups_json   TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C",
    created_at    BIGINT  NOT NULL,
    disabled_at   BIGINT,
    PRIMARY KEY (tenant_id, user_id)
);
CREATE UNIQUE INDEX users_email ON users (tenant_id, email_key);
CREATE INDEX users_login ON users (email_key);

CREATE TABLE api_keys (
    tenant_id        TEXT COLLATE "C" NOT NULL REFERENCES tenants (tenant_id),
    key_id           TEXT COLLATE "C" NOT NULL,
    hash             BYTEA   NOT NULL UNIQUE,
    prefix           TEXT COLLATE "C" NOT NULL,
    name             TEXT COLLATE "C" NOT NULL,
    owner_id         TEXT COLLATE "C" NOT NULL,
    scopes_json      TEXT COLLATE "C" NOT NULL,
    editions_json    TEXT COLLATE "C" NOT NULL,
    limits_json      TEXT COLLATE "C" NOT NULL,
    created_at       BIGINT  NOT NULL,
    expires_at       BIGINT,
    revoked_at       BIGINT,
    last_used_at     BIGINT,
    last_used_client TEXT COLLATE "C",
    version          BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, user_id)
);
CREATE INDEX api_keys_prefix ON api_keys (tenant_id, prefix);
CREATE INDEX api_keys_version ON api_keys (version);

-- Append-only; see store/audit.rs for the chain.
CREATE TABLE audit_log (
    tenant_id  TEXT COLLATE "C" NOT NULL,
    seq        BIGINT  NOT NULL,
    ts         BIGINT  NOT NULL,
    api_key_id TEXT COLLATE "C",
    tool_name  TEXT COLLATE "C",
    status     TEXT COLLATE "C" NOT NULL,
    body       TEXT COLLATE "C" NOT NULL,
    hash       BYTEA   NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
CREATE TABLE audit_heads (
    tenant_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    seq       BIGINT  NOT NULL,
    hash      BYTEA   NOT NULL,
    base_seq  BIGINT  NOT NULL,
    base_hash BYTEA   NOT NULL
);

CREATE TABLE settings (
    tenant_id  TEXT COLLATE "C" NOT NULL, -- empty: the server's own
    name       TEXT COLLATE "C" NOT NULL,
    value_json TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

CREATE TABLE setup_tokens (
    hash       BYTEA   NOT NULL PRIMARY KEY,
    purpose    TEXT COLLATE "C" NOT NULL,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    used_at    BIGINT 
);

CREATE TABLE changes (
    topic   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    counter BIGINT  NOT NULL
);

CREATE TABLE counters (
    tenant_id TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    period    TEXT COLLATE "C" NOT NULL,
    value     BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, name, period)
);

CREATE TABLE records (
    row_id     BIGINT  GENERATED ALWAYS AS IDENTITY,
    tenant_id  TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    version    BIGINT  NOT NULL,
    doc        TEXT COLLATE "C" NOT NULL,
    fields     TEXT COLLATE "C" NOT NULL, -- JSON of the index entries below, to know what to remove
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (tenant_id, kind, id),
    UNIQUE (tenant_id, row_id)
);
CREATE TABLE record_fields (
    tenant_id TEXT COLLATE "C" NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    field     TEXT COLLATE "C" NOT NULL,
    value     BYTEA NOT NULL, -- order-preserving bytes, see store/records/field.rs
    id        TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, kind, field, value, id)
);
CREATE TABLE record_uniques (
    tenant_id TEXT COLLATE "C" NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    field     TEXT COLLATE "C" NOT NULL,
    value     BYTEA NOT NULL,
    id        TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, kind, field, value)
);
CREATE TABLE record_history (
    tenant_id TEXT COLLATE "C" NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    id        TEXT COLLATE "C" NOT NULL,
    version   BIGINT  NOT NULL, -- the version this change made
    at        BIGINT  NOT NULL,
    actor     TEXT COLLATE "C" NOT NULL,
    change    TEXT COLLATE "C" NOT NULL,
    before    TEXT COLLATE "C",             -- the document it replaced
    PRIMARY KEY (tenant_id, kind, id, version)
);

CREATE TABLE memory (
    row_id        BIGINT  GENERATED ALWAYS AS IDENTITY,
    tenant_id     TEXT COLLATE "C" NOT NULL,
    memory_id     TEXT COLLATE "C" NOT NULL,
    key           TEXT COLLATE "C" NOT NULL,
    version       BIGINT  NOT NULL,
    content       TEXT COLLATE "C" NOT NULL,
    tags_json     TEXT COLLATE "C" NOT NULL,
    metadata_json TEXT COLLATE "C" NOT NULL,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    expires_at    BIGINT,
    PRIMARY KEY (tenant_id, key),
    UNIQUE (tenant_id, row_id)
);
CREATE UNIQUE INDEX memory_by_id ON memory (tenant_id, memory_id);
CREATE INDEX memory_expiry ON memory (tenant_id, expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE memory_versions (
    tenant_id     TEXT COLLATE "C" NOT NULL,
    memory_id     TEXT COLLATE "C" NOT NULL,
    version       BIGINT  NOT NULL,
    content       TEXT COLLATE "C" NOT NULL,
    tags_json     TEXT COLLATE "C" NOT NULL,
    metadata_json TEXT COLLATE "C" NOT NULL,
    updated_at    BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, memory_id, version)
);

CREATE TABLE jobs (
    tenant_id    TEXT COLLATE "C" NOT NULL,
    job_id       TEXT COLLATE "C" NOT NULL,
    queue        TEXT COLLATE "C" NOT NULL,
    payload      TEXT COLLATE "C" NOT NULL,
    state        TEXT COLLATE "C" NOT NULL,
    run_at       BIGINT  NOT NULL, -- when due; while leased, when the lease ends
    attempt      BIGINT  NOT NULL,
    max_attempts BIGINT  NOT NULL,
    lease_owner  TEXT COLLATE "C",
    result       TEXT COLLATE "C",
    last_error   TEXT COLLATE "C",
    created_at   BIGINT  NOT NULL,
    updated_at   BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, job_id)
);
CREATE INDEX jobs_due ON jobs (queue, run_at) WHERE state IN ('queued', 'leased');
CREATE INDEX jobs_state ON jobs (tenant_id, queue, state, updated_at);

CREATE TABLE sources (
    tenant_id   TEXT COLLATE "C" NOT NULL,
    source_id   TEXT COLLATE "C" NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    config_json TEXT COLLATE "C" NOT NULL,
    state_json  TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT  NOT NULL,
    updated_at  BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, source_id)
);
CREATE TABLE entities (
    tenant_id     TEXT COLLATE "C" NOT NULL,
    entity_id     TEXT COLLATE "C" NOT NULL,
    source_id     TEXT COLLATE "C" NOT NULL,
    path          TEXT COLLATE "C" NOT NULL,
    uri           TEXT COLLATE "C" NOT NULL,
    title         TEXT COLLATE "C" NOT NULL,
    tags_json     TEXT COLLATE "C" NOT NULL,
    metadata_json TEXT COLLATE "C" NOT NULL,
    bytes         BIGINT  NOT NULL,
    modified_at   BIGINT  NOT NULL, -- nanoseconds, as the file system tells
    digest        BYTEA   NOT NULL,
    chunks        BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    deleted_at    BIGINT,
    PRIMARY KEY (tenant_id, entity_id)
);
CREATE UNIQUE INDEX entities_path ON entities (tenant_id, source_id, path);
CREATE INDEX entities_tombs ON entities (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE TABLE chunks (
    row_id    BIGINT  GENERATED ALWAYS AS IDENTITY,
    tenant_id TEXT COLLATE "C" NOT NULL,
    entity_id TEXT COLLATE "C" NOT NULL,
    position  BIGINT  NOT NULL,
    source_id TEXT COLLATE "C" NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    heading   TEXT COLLATE "C" NOT NULL,
    content   TEXT COLLATE "C" NOT NULL,
    start_at  BIGINT  NOT NULL,
    end_at    BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, entity_id, position),
    UNIQUE (tenant_id, row_id)
);
CREATE TABLE vectors (
    tenant_id TEXT COLLATE "C" NOT NULL,
    shelf     TEXT COLLATE "C" NOT NULL, -- chunks or memory
    model     TEXT COLLATE "C" NOT NULL,
    row_id    BIGINT  NOT NULL, -- of the chunk or the memory
    vector    BYTEA   NOT NULL,
    PRIMARY KEY (tenant_id, shelf, model, row_id)
);
CREATE INDEX vectors_row ON vectors (tenant_id, shelf, row_id);
CREATE TABLE sync_locks (
    tenant_id  TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    owner      TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT  NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- Words of chunks, memories and records. Each row carries one lexeme that names its tenant and shelf, and
-- each query asks for it, so that the index itself keeps tenants apart.
CREATE TABLE texts (
    tenant_id TEXT COLLATE "C" NOT NULL,
    shelf     TEXT COLLATE "C" NOT NULL,
    row_id    BIGINT   NOT NULL,
    lexemes   TSVECTOR NOT NULL,
    PRIMARY KEY (tenant_id, shelf, row_id)
);
CREATE INDEX texts_words ON texts USING gin (lexemes);

-- A second wall behind TenantTx: each transaction names its tenant, '*' being the operator's work. The
-- words stay outside: the match operator is not leakproof, so a policy would keep its index from being used.
DO $$
DECLARE
    one TEXT;
BEGIN
    FOREACH one IN ARRAY ARRAY[
        'users', 'api_keys', 'audit_log', 'audit_heads', 'settings', 'counters', 'records', 'record_fields',
        'record_uniques', 'record_history', 'memory', 'memory_versions', 'jobs', 'sources', 'entities', 'chunks',
        'vectors', 'sync_locks'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', one);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', one);
        EXECUTE format(
            'CREATE POLICY one_tenant ON %I USING (current_setting(''footbridge.tenant'', true) IN (tenant_id, ''*''))',
            one
        );
    END LOOP;
END
$$;
