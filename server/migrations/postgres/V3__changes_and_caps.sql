-- Who changed which record, apart from the call log and chained like it; see store/chain.rs. Append-only.
CREATE TABLE change_log (
    tenant_id   TEXT COLLATE "C" NOT NULL, -- empty: the server's own
    seq         BIGINT  NOT NULL,
    ts          BIGINT  NOT NULL,
    user_id     TEXT COLLATE "C",
    action      TEXT COLLATE "C" NOT NULL,
    object_kind TEXT COLLATE "C" NOT NULL,
    object_id   TEXT COLLATE "C" NOT NULL,
    body        TEXT COLLATE "C" NOT NULL,
    hash        BYTEA   NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
CREATE TABLE change_heads (
    tenant_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    seq       BIGINT  NOT NULL,
    hash      BYTEA   NOT NULL,
    base_seq  BIGINT  NOT NULL,
    base_hash BYTEA   NOT NULL
);

-- Calls of a month that a process may spend without asking again; they are counted in `counters` already.
CREATE TABLE cap_leases (
    tenant_id  TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL, -- the counter's
    period     TEXT COLLATE "C" NOT NULL,
    holder     TEXT COLLATE "C" NOT NULL, -- one process
    calls      BIGINT  NOT NULL, -- unspent at most, as of the holder's last word
    expires_at BIGINT  NOT NULL, -- from then on the holder is taken for dead and its calls for spent
    recalled   BIGINT  NOT NULL, -- somebody is out of calls and asks for the unspent ones back
    PRIMARY KEY (tenant_id, name, period, holder)
);

DO $$
DECLARE
    one TEXT;
BEGIN
    FOREACH one IN ARRAY ARRAY['change_log', 'change_heads', 'cap_leases'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', one);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', one);
        EXECUTE format(
            'CREATE POLICY one_tenant ON %I USING (current_setting(''footbridge.tenant'', true) IN (tenant_id, ''*''))',
            one
        );
    END LOOP;
END
$$;
