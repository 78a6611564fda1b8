-- The first schema. Moments are milliseconds since 1970, JSON is text, booleans are 0 and 1.
-- tenant_id leads every primary key and index; the exceptions are the operator's look-ups across tenants
-- (key by hash, user by e-mail, due jobs) and row_id, which only full-text tables refer to.

CREATE TABLE tenants (
    -- Names the tenant's full-text tables; never used again after the tenant is gone.
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id   TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    monthly_cap INTEGER,
    created_at  INTEGER NOT NULL,
    -- Which full-text tables exist: bit 0 chunks, 1 memory, 2 records.
    shelves     INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE users (
    tenant_id     TEXT    NOT NULL REFERENCES tenants (tenant_id),
    user_id       TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    groups_json   TEXT    NOT NULL,
    password_hash TEXT,
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER,
    PRIMARY KEY (tenant_id, user_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX users_email ON users (tenant_id, email_key);
CREATE INDEX users_login ON users (email_key);

CREATE TABLE api_keys (
    tenant_id        TEXT    NOT NULL REFERENCES tenants (tenant_id),
    key_id           TEXT    NOT NULL,
    hash             BLOB    NOT NULL UNIQUE,
    prefix           TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    owner_id         TEXT    NOT NULL,
    scopes_json      TEXT    NOT NULL,
    editions_json    TEXT    NOT NULL,
    limits_json      TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER,
    revoked_at       INTEGER,
    last_used_at     INTEGER,
    last_used_client TEXT,
    version          INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, user_id)
);
CREATE INDEX api_keys_prefix ON api_keys (tenant_id, prefix);
CREATE INDEX api_keys_version ON api_keys (version);

-- Append-only; see store/audit.rs for the chain.
CREATE TABLE audit_log (
    tenant_id  TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    ts         INTEGER NOT NULL,
    api_key_id TEXT,
    tool_name  TEXT,
    status     TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
CREATE TABLE audit_heads (
    tenant_id TEXT    NOT NULL PRIMARY KEY,
    seq       INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    base_seq  INTEGER NOT NULL,
    base_hash BLOB    NOT NULL
) WITHOUT ROWID;

CREATE TABLE settings (
    tenant_id  TEXT    NOT NULL, -- empty: the server's own
    name       TEXT    NOT NULL,
    value_json TEXT    NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) WITHOUT ROWID;

CREATE TABLE setup_tokens (
    hash       BLOB    NOT NULL PRIMARY KEY,
    purpose    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) WITHOUT ROWID;

CREATE TABLE changes (
    topic   TEXT    NOT NULL PRIMARY KEY,
    counter INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE counters (
    tenant_id TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    period    TEXT    NOT NULL,
    value     INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name, period)
) WITHOUT ROWID;

CREATE TABLE records (
    row_id     INTEGER PRIMARY KEY,
    tenant_id  TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    doc        TEXT    NOT NULL,
    fields     TEXT    NOT NULL, -- JSON of the index entries below, to know what to remove
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    UNIQUE (tenant_id, kind, id)
);
CREATE TABLE record_fields (
    tenant_id TEXT NOT NULL,
    kind      TEXT NOT NULL,
    field     TEXT NOT NULL,
    value     BLOB NOT NULL, -- order-preserving bytes, see store/records/field.rs
    id        TEXT NOT NULL,
    PRIMARY KEY (tenant_id, kind, field, value, id)
) WITHOUT ROWID;
CREATE TABLE record_uniques (
    tenant_id TEXT NOT NULL,
    kind      TEXT NOT NULL,
    field     TEXT NOT NULL,
    value     BLOB NOT NULL,
    id        TEXT NOT NULL,
    PRIMARY KEY (tenant_id, kind, field, value)
) WITHOUT ROWID;
CREATE TABLE record_history (
    tenant_id TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    version   INTEGER NOT NULL, -- the version this change made
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    change    TEXT    NOT NULL,
    before    TEXT,             -- the document it replaced
    PRIMARY KEY (tenant_id, kind, id, version)
);

CREATE TABLE memory (
    row_id        INTEGER PRIMARY KEY,
    tenant_id     TEXT    NOT NULL,
    memory_id     TEXT    NOT NULL,
    key           TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    content       TEXT    NOT NULL,
    tags_json     TEXT    NOT NULL,
    metadata_json TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    UNIQUE (tenant_id, key)
);
CREATE UNIQUE INDEX memory_by_id ON memory (tenant_id, memory_id);
CREATE INDEX memory_expiry ON memory (tenant_id, expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE memory_versions (
    tenant_id     TEXT    NOT NULL,
    memory_id     TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    content       TEXT    NOT NULL,
    tags_json     TEXT    NOT NULL,
    metadata_json TEXT    NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, memory_id, version)
);

CREATE TABLE jobs (
    tenant_id    TEXT    NOT NULL,
    job_id       TEXT    NOT NULL,
    queue        TEXT    NOT NULL,
    payload      TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    run_at       INTEGER NOT NULL, -- when due; while leased, when the lease ends
    attempt      INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    lease_owner  TEXT,
    result       TEXT,
    last_error   TEXT,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, job_id)
);
CREATE INDEX jobs_due ON jobs (queue, run_at) WHERE state IN ('queued', 'leased');
CREATE INDEX jobs_state ON jobs (tenant_id, queue, state, updated_at);

CREATE TABLE sources (
    tenant_id   TEXT    NOT NULL,
    source_id   TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    config_json TEXT    NOT NULL,
    state_json  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, source_id)
) WITHOUT ROWID;
CREATE TABLE entities (
    tenant_id     TEXT    NOT NULL,
    entity_id     TEXT    NOT NULL,
    source_id     TEXT    NOT NULL,
    path          TEXT    NOT NULL,
    uri           TEXT    NOT NULL,
    title         TEXT    NOT NULL,
    tags_json     TEXT    NOT NULL,
    metadata_json TEXT    NOT NULL,
    bytes         INTEGER NOT NULL,
    modified_at   INTEGER NOT NULL, -- nanoseconds, as the file system tells
    digest        BLOB    NOT NULL,
    chunks        INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    deleted_at    INTEGER,
    PRIMARY KEY (tenant_id, entity_id)
);
CREATE UNIQUE INDEX entities_path ON entities (tenant_id, source_id, path);
CREATE INDEX entities_tombs ON entities (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE TABLE chunks (
    row_id    INTEGER PRIMARY KEY,
    tenant_id TEXT    NOT NULL,
    entity_id TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    source_id TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    heading   TEXT    NOT NULL,
    content   TEXT    NOT NULL,
    start_at  INTEGER NOT NULL,
    end_at    INTEGER NOT NULL,
    UNIQUE (tenant_id, entity_id, position)
);
CREATE TABLE vectors (
    tenant_id TEXT    NOT NULL,
    shelf     TEXT    NOT NULL, -- chunks or memory
    model     TEXT    NOT NULL,
    row_id    INTEGER NOT NULL, -- of the chunk or the memory
    vector    BLOB    NOT NULL,
    PRIMARY KEY (tenant_id, shelf, model, row_id)
);
CREATE INDEX vectors_row ON vectors (tenant_id, shelf, row_id);
CREATE TABLE sync_locks (
    tenant_id  TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
) WITHOUT ROWID;
