-- How often a resource changed, for whoever subscribed to it on any replica. Rows of resources that have been quiet are
-- removed; a reader compares version and moment with what it saw before.
CREATE TABLE resource_changes (
    tenant_id  TEXT COLLATE "C" NOT NULL,
    uri        TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, uri)
);
CREATE INDEX resource_changes_old ON resource_changes (changed_at);
ALTER TABLE resource_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE resource_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON resource_changes
    USING (current_setting('footbridge.tenant', true) IN (tenant_id, '*'));
