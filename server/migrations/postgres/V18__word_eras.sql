-- Words of records are indexed under the name of their tenant, their kind and their era, a few thousand records made one after the
-- other. So the newest records with a word are found in the newest eras, whatever the word and however many records hold it, and a
-- word that is being typed meets no word of another kind or tenant.
ALTER TABLE texts ADD COLUMN era BIGINT; -- counts from 0; NULL for what is no record
UPDATE texts AS t SET era = placed.era,
    lexemes = ts_delete(t.lexemes, ARRAY(
        SELECT word FROM unnest(tsvector_to_array(t.lexemes)) AS word WHERE word LIKE 'in/%' OR word LIKE chr(57344) || '%'
    ))
    FROM (
        SELECT tenant_id, shelf, row_id, (row_number() OVER (PARTITION BY tenant_id, shelf ORDER BY row_id) - 1) / 4096 AS era
        FROM texts WHERE shelf LIKE 'records/%'
    ) AS placed
    WHERE t.tenant_id = placed.tenant_id AND t.shelf = placed.shelf AND t.row_id = placed.row_id;

-- Its cost keeps the planner from working it out for a whole table.
CREATE FUNCTION text_marks(tenant_id TEXT, shelf TEXT, era BIGINT, lexemes TSVECTOR) RETURNS TSVECTOR
    LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 10000
    AS $$
        SELECT array_to_tsvector(ARRAY(
            SELECT tenant_id || substr(shelf, length('records') + 1) || '/' || era || '/' || word FROM unnest(tsvector_to_array(lexemes)) AS word
        ))
    $$;
DROP INDEX texts_words;
CREATE INDEX texts_words ON texts USING gin (lexemes) WHERE era IS NULL;
CREATE INDEX texts_marks ON texts USING gin (text_marks(tenant_id, shelf, era, lexemes)) WHERE era IS NOT NULL;
