-- Where a list is filtered by one field and sorted by another, the values of the one are an index of their own for each word of
-- the other: "last_message_at of status waiting". What every record remembers as its entries grows by them, and so does the index
-- itself, for records that are not deleted. Entries were remembered as lists of numbers before they were hexadecimal digits.
CREATE TEMP TABLE kept_apart (kind TEXT, filtered TEXT, sorted TEXT);
INSERT INTO kept_apart VALUES
    ('lead', 'owner', 'value_cents'), ('lead', 'status', 'value_cents'),
    ('ticket', 'assignee', 'due_at'), ('ticket', 'status', 'due_at'),
    ('conversation', 'assignee', 'last_message_at'), ('conversation', 'status', 'last_message_at');
CREATE TEMP TABLE entries_apart AS
    WITH remembered AS (
        SELECT r.tenant_id, r.kind, r.id, r.created_at, r.deleted_at, json_extract(e.value, '$.name') AS name,
            CASE json_type(e.value, '$.value')
                WHEN 'array' THEN (SELECT group_concat(printf('%02x', value), '') FROM json_each(e.value, '$.value'))
                ELSE json_extract(e.value, '$.value')
            END AS digits
        FROM records AS r, json_each(r.fields) AS e WHERE r.kind IN ('lead', 'ticket', 'conversation')
            AND json_extract(e.value, '$.name') IN ('owner', 'status', 'assignee', 'value_cents', 'due_at', 'last_message_at')
    )
    SELECT DISTINCT f.tenant_id, f.kind, f.id, f.created_at, f.deleted_at, s.digits,
        a.sorted || ' of ' || a.filtered || ' ' || CAST(unhex(substr(f.digits, 3)) AS TEXT) AS name
    FROM remembered AS f
    JOIN kept_apart AS a ON a.kind = f.kind AND a.filtered = f.name
    JOIN remembered AS s ON s.tenant_id = f.tenant_id AND s.kind = f.kind AND s.id = f.id AND s.name = a.sorted;
CREATE INDEX temp.entries_of_one ON entries_apart (tenant_id, kind, id);
INSERT OR IGNORE INTO record_fields (tenant_id, kind, field, value, at, id)
    SELECT tenant_id, kind, name, unhex(digits), created_at, id FROM entries_apart WHERE deleted_at IS NULL;
UPDATE records SET fields = (
        SELECT json_group_array(json(one)) FROM (
            SELECT value AS one FROM json_each(records.fields)
            UNION ALL
            SELECT json_object('name', a.name, 'value', a.digits) FROM entries_apart AS a
            WHERE a.tenant_id = records.tenant_id AND a.kind = records.kind AND a.id = records.id
        )
    )
    WHERE kind IN ('lead', 'ticket', 'conversation');
DROP TABLE entries_apart;
DROP TABLE kept_apart;
