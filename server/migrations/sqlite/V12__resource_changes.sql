-- How often a resource changed, for whoever subscribed to it on any replica. Rows of resources that have been quiet are
-- removed; a reader compares version and moment with what it saw before.
CREATE TABLE resource_changes (
    tenant_id  TEXT    NOT NULL,
    uri        TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, uri)
) WITHOUT ROWID;
CREATE INDEX resource_changes_old ON resource_changes (changed_at);
