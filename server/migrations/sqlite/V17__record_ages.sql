-- Every entry tells when its record was made, so that the records of one value stand in the order of their age, and an entry
-- of a known record is found without looking at the others.
CREATE TABLE entries_with_ages (
    tenant_id TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    field     TEXT    NOT NULL,
    value     BLOB    NOT NULL, -- order-preserving bytes, see store/records/field.rs
    at        INTEGER NOT NULL, -- when the record was made
    id        TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, kind, field, value, at, id)
) WITHOUT ROWID;
INSERT INTO entries_with_ages (tenant_id, kind, field, value, at, id)
    SELECT s.tenant_id, s.kind, s.field, s.value, r.created_at, s.id FROM record_fields AS s
    JOIN records AS r ON r.tenant_id = s.tenant_id AND r.kind = s.kind AND r.id = s.id;
DROP TABLE record_fields;
ALTER TABLE entries_with_ages RENAME TO record_fields;

-- For the sweep that removes them for good.
CREATE INDEX records_deleted ON records (tenant_id, kind, deleted_at) WHERE deleted_at IS NOT NULL;
-- For the sweep of jobs that are over.
CREATE INDEX jobs_over ON jobs (updated_at) WHERE state IN ('done', 'failed', 'cancelled');
