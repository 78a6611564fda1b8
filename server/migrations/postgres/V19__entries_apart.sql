-- Where a list is filtered by one field and sorted by another, the values of the one are an index of their own for each word of
-- the other: "last_message_at of status waiting". What every record remembers as its entries grows by them, and so does the index
-- itself, for records that are not deleted. Entries were remembered as lists of numbers before they were hexadecimal digits.
-- Row-level security shows an owner without a tenant nothing; this is the operator's work.
SELECT set_config('footbridge.tenant', '*', true);
WITH kept_apart (kind, filtered, sorted) AS (
    VALUES ('lead', 'owner', 'value_cents'), ('lead', 'status', 'value_cents'),
        ('ticket', 'assignee', 'due_at'), ('ticket', 'status', 'due_at'),
        ('conversation', 'assignee', 'last_message_at'), ('conversation', 'status', 'last_message_at')
), more AS (
    SELECT r.tenant_id, r.kind, r.id, r.created_at, r.deleted_at, apart.*
    FROM records AS r CROSS JOIN LATERAL (
        WITH remembered AS (
            SELECT e ->> 'name' AS name, CASE json_typeof(e -> 'value')
                WHEN 'array' THEN (SELECT string_agg(lpad(to_hex(CAST(n AS INT)), 2, '0'), '') FROM json_array_elements_text(e -> 'value') AS n)
                ELSE e ->> 'value'
            END AS digits
            FROM json_array_elements(CAST(r.fields AS JSON)) AS e
        )
        SELECT DISTINCT a.sorted || ' of ' || a.filtered || ' ' || convert_from(decode(substr(f.digits, 3), 'hex'), 'UTF8') AS name, s.digits
        FROM kept_apart AS a
        JOIN remembered AS f ON f.name = a.filtered
        JOIN remembered AS s ON s.name = a.sorted
        WHERE a.kind = r.kind
    ) AS apart
    WHERE r.kind IN ('lead', 'ticket', 'conversation')
), listed AS (
    INSERT INTO record_fields (tenant_id, kind, field, value, at, id)
    SELECT tenant_id, kind, name, decode(digits, 'hex'), created_at, id FROM more WHERE deleted_at IS NULL
    ON CONFLICT DO NOTHING
)
UPDATE records AS r SET fields = rtrim(r.fields, ']') || ',' || ltrim(added.entries, '[')
    FROM (
        SELECT tenant_id, kind, id, CAST(json_agg(json_build_object('name', name, 'value', digits)) AS TEXT) AS entries
        FROM more GROUP BY tenant_id, kind, id
    ) AS added
    WHERE r.tenant_id = added.tenant_id AND r.kind = added.kind AND r.id = added.id;
