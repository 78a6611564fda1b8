-- Who changed which record, apart from the call log and chained like it; see store/chain.rs. Append-only.
CREATE TABLE change_log (
    tenant_id   TEXT    NOT NULL, -- empty: the server's own
    seq         INTEGER NOT NULL,
    ts          INTEGER NOT NULL,
    user_id     TEXT,
    action      TEXT    NOT NULL,
    object_kind TEXT    NOT NULL,
    object_id   TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    hash        BLOB    NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
CREATE TABLE change_heads (
    tenant_id TEXT    NOT NULL PRIMARY KEY,
    seq       INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    base_seq  INTEGER NOT NULL,
    base_hash BLOB    NOT NULL
) WITHOUT ROWID;

-- Calls of a month that a process may spend without asking again; they are counted in `counters` already.
CREATE TABLE cap_leases (
    tenant_id  TEXT    NOT NULL,
    name       TEXT    NOT NULL, -- the counter's
    period     TEXT    NOT NULL,
    holder     TEXT    NOT NULL, -- one process
    calls      INTEGER NOT NULL, -- unspent at most, as of the holder's last word
    expires_at INTEGER NOT NULL, -- from then on the holder is taken for dead and its calls for spent
    recalled   INTEGER NOT NULL, -- somebody is out of calls and asks for the unspent ones back
    PRIMARY KEY (tenant_id, name, period, holder)
) WITHOUT ROWID;
