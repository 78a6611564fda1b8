-- Every entry tells when its record was made, so that the records of one value stand in the order of their age, and an entry
-- of a known record is found without looking at the others.
-- Row-level security shows an owner without a tenant nothing; this is the operator's work.
SELECT set_config('footbridge.tenant', '*', true);
ALTER TABLE record_fields ADD COLUMN at BIGINT; -- when the record was made
UPDATE record_fields AS s SET at = r.created_at FROM records AS r
    WHERE r.tenant_id = s.tenant_id AND r.kind = s.kind AND r.id = s.id;
ALTER TABLE record_fields ALTER COLUMN at SET NOT NULL;
ALTER TABLE record_fields DROP CONSTRAINT record_fields_pkey;
ALTER TABLE record_fields ADD PRIMARY KEY (tenant_id, kind, field, value, at, id);

-- For the sweep that removes them for good.
CREATE INDEX records_deleted ON records (tenant_id, kind, deleted_at) WHERE deleted_at IS NOT NULL;
-- For the sweep of jobs that are over.
CREATE INDEX jobs_over ON jobs (updated_at) WHERE state IN ('done', 'failed', 'cancelled');

-- Words of records of one kind stand together, in the order of their numbers: the newest are found without the others.
UPDATE texts AS t SET shelf = 'records/' || r.kind,
    lexemes = t.lexemes || array_to_tsvector(ARRAY['in/' || t.tenant_id || '/records/' || r.kind])
    FROM records AS r WHERE t.shelf = 'records' AND r.tenant_id = t.tenant_id AND r.row_id = t.row_id;
