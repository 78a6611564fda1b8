//! The database behind a server, opened beside it: to fill it, and to ask it what it costs without a server.

use crate::wire::Failure;
use postgres::types::ToSql;
use std::time::Instant;

/// A bound value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// An entry of the index of records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// The field.
    pub(super) field: String,
    /// Its value as the store writes it.
    pub(super) value: Vec<u8>,
    /// Whether no other record has it.
    pub(super) unique: bool,
}

/// A record to be put in.
pub(super) struct Row {
    /// Identity.
    pub(super) id: String,
    /// Its document.
    pub(super) doc: String,
    /// Its entries, as the record remembers them.
    pub(super) fields: String,
    /// The same, as they are found.
    pub(super) entries: Vec<Entry>,
    /// When it was made, in milliseconds.
    pub(super) at: i64,
    /// Title and text for the full-text index.
    pub(super) words: Option<(String, String)>,
}

/// An engine.
pub(super) enum Base {
    /// The embedded one, and the number of the tenant in the names of its full-text tables.
    Sqlite(rusqlite::Connection),
    /// PostgreSQL.
    Postgres(postgres::Client),
}

impl Base {
    /// All rows of a query as text, nothing where a column is NULL.
    pub(super) fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<String>>, Failure> {
        match self {
            Self::Sqlite(raw) => {
                let mut statement = raw.prepare_cached(sql)?;
                bind(&mut statement, values)?;
                let columns = statement.column_count();
                let mut rows = statement.raw_query();
                let mut all = Vec::new();
                while let Some(row) = rows.next()? {
                    let text = |at: usize| -> Result<String, rusqlite::Error> {
                        use rusqlite::types::ValueRef;
                        Ok(match row.get_ref(at)? {
                            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                            ValueRef::Integer(number) => number.to_string(),
                            _ => String::new(),
                        })
                    };
                    all.push((0..columns).map(text).collect::<Result<_, _>>()?);
                }
                Ok(all)
            }
            Self::Postgres(client) => {
                let statement = client.prepare(sql)?;
                let found = client.query(&statement, &bound(values))?;
                let text = |row: &postgres::Row, at: usize| -> Result<String, postgres::Error> {
                    if *row
                        .columns()
                        .get(at)
                        .map_or(&postgres::types::Type::TEXT, |c| c.type_())
                        == postgres::types::Type::INT8
                    {
                        return Ok(row.try_get::<_, i64>(at)?.to_string());
                    }
                    Ok(row.try_get::<_, Option<String>>(at)?.unwrap_or_default())
                };
                found
                    .iter()
                    .map(|row| Ok((0..row.len()).map(|at| text(row, at)).collect::<Result<_, _>>()?))
                    .collect()
            }
        }
    }

    /// How long a query takes with each of these values, in nanoseconds; its statement is prepared once.
    pub(super) fn time(&mut self, sql: &str, questions: &[Vec<Value>]) -> Result<Vec<u64>, Failure> {
        let mut took = Vec::with_capacity(questions.len());
        match self {
            Self::Sqlite(raw) => {
                for values in questions {
                    let from = Instant::now();
                    let mut statement = raw.prepare_cached(sql)?;
                    bind(&mut statement, values)?;
                    let columns = statement.column_count();
                    let mut rows = statement.raw_query();
                    while let Some(row) = rows.next()? {
                        for at in 0..columns {
                            std::hint::black_box(row.get_ref(at)?);
                        }
                    }
                    took.push(nanoseconds(from));
                }
            }
            Self::Postgres(client) => {
                let statement = client.prepare(sql)?;
                for values in questions {
                    let from = Instant::now();
                    std::hint::black_box(client.query(&statement, &bound(values))?);
                    took.push(nanoseconds(from));
                }
            }
        }
        Ok(took)
    }

    /// Runs statements that bind nothing.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(raw) => raw.execute_batch(sql)?,
            Self::Postgres(client) => client.batch_execute(sql)?,
        }
        Ok(())
    }

    /// Gets ready for many rows; gives what [`Base::look_over`] is to be told. PostgreSQL makes the large indexes once all rows
    /// are there, which is several times as fast as row by row, and does not wait for its disk.
    pub(super) fn open_wide(&mut self) -> Result<Vec<String>, Failure> {
        let Self::Postgres(client) = self else {
            return Ok(Vec::new());
        };
        for setting in CARELESS {
            client.batch_execute(&format!("ALTER SYSTEM SET {setting}"))?;
        }
        client.batch_execute(
            "SELECT pg_reload_conf(); SET synchronous_commit = off; SET maintenance_work_mem = '512MB'",
        )?;
        let mut left = Vec::new();
        for row in client.query(
            "SELECT conname::TEXT, pg_get_constraintdef(oid) FROM pg_constraint
             WHERE conrelid = 'record_fields'::REGCLASS AND contype = 'p'",
            &[],
        )? {
            let (name, definition): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            client.batch_execute(&format!("ALTER TABLE record_fields DROP CONSTRAINT {name}"))?;
            left.push(format!(
                "ALTER TABLE record_fields ADD CONSTRAINT {name} {definition}"
            ));
        }
        let index = client.query_one("SELECT pg_get_indexdef('texts_marks'::REGCLASS)", &[])?;
        client.batch_execute("DROP INDEX texts_marks")?;
        left.push(index.try_get(0)?);
        Ok(left)
    }

    /// Makes good what was left, and does what the engine does by itself when it has a minute: looks over what is in the tables.
    pub(super) fn look_over(&mut self, left: &[String]) -> Result<(), Failure> {
        for statement in left {
            self.batch(statement)?;
        }
        match self {
            Self::Sqlite(_) => self.batch("ANALYZE"),
            Self::Postgres(_) => {
                self.batch("VACUUM ANALYZE")?;
                self.batch("ALTER SYSTEM RESET ALL")?;
                self.batch("SELECT pg_reload_conf()")?;
                self.batch("CHECKPOINT")
            }
        }
    }

    /// Puts records of one kind in, as the store does, in one transaction.
    pub(super) fn put(&mut self, tenant: &str, kind: &str, rows: &[Row]) -> Result<(), Failure> {
        match self {
            Self::Sqlite(raw) => put_sqlite(raw, tenant, kind, rows),
            Self::Postgres(client) => put_postgres(client, tenant, kind, rows),
        }
    }
}

fn nanoseconds(from: Instant) -> u64 {
    u64::try_from(from.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn bind(statement: &mut rusqlite::CachedStatement<'_>, values: &[Value]) -> Result<(), Failure> {
    for (at, value) in (1..).zip(values) {
        match value {
            Value::Text(text) => statement.raw_bind_parameter(at, text)?,
            Value::Bytes(bytes) => statement.raw_bind_parameter(at, bytes)?,
        }
    }
    Ok(())
}

fn bound(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values
        .iter()
        .map(|value| match value {
            Value::Text(text) => text as &(dyn ToSql + Sync),
            Value::Bytes(bytes) => bytes,
        })
        .collect()
}

/// How many records PostgreSQL's index of words takes together: see `server/src/store/text/eras.rs`.
pub(super) const ERA_ROWS: i64 = 4_096;

/// Settings of PostgreSQL while it is filled: nobody needs what a crash would take then.
const CARELESS: [&str; 5] = [
    "fsync = off",
    "full_page_writes = off",
    "autovacuum = off",
    "max_wal_size = '2GB'",
    "checkpoint_timeout = '1h'",
];

/// How the store tells the words of one kind from those of another, and those of titles from all.
fn tag(kind: &str, title: &str) -> String {
    let hex: String = kind.bytes().map(|byte| format!("{byte:02x}")).collect();
    let titled = title.split_whitespace().map(|word| {
        let mut letters = word.chars();
        let first = letters
            .next()
            .and_then(|first| char::from_u32(0xF_0000 | u32::from(first)));
        first.into_iter().fold(" ".to_owned(), |marked, first| {
            marked + &first.to_string() + letters.as_str()
        })
    });
    format!("\u{E000}{hex}{}", titled.collect::<String>())
}

fn put_sqlite(raw: &mut rusqlite::Connection, tenant: &str, kind: &str, rows: &[Row]) -> Result<(), Failure> {
    let number: i64 = raw.query_row(
        "SELECT number FROM tenants WHERE tenant_id = ?1",
        [tenant],
        |row| row.get(0),
    )?;
    let tx = raw.transaction()?;
    {
        let mut record = tx.prepare_cached(
            "INSERT INTO records (tenant_id, kind, id, version, doc, fields, created_at, updated_at)
             VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?6)",
        )?;
        let mut history = tx.prepare_cached(
            "INSERT INTO record_history (tenant_id, kind, id, version, at, actor, change) VALUES (?1, ?2, ?3, 1, ?4, 'load', 'create')",
        )?;
        let mut words = tx.prepare_cached(&format!(
            "INSERT INTO fts_records_{number} (rowid, title, body, tag) VALUES (?1, ?2, ?3, ?4)"
        ))?;
        for row in rows {
            record.execute((tenant, kind, &row.id, &row.doc, &row.fields, row.at))?;
            let row_id = tx.last_insert_rowid();
            history.execute((tenant, kind, &row.id, row.at))?;
            if let Some((title, body)) = &row.words {
                words.execute((row_id, title, body, tag(kind, title)))?;
            }
        }
        let mut entry = tx.prepare_cached(
            "INSERT INTO record_fields (tenant_id, kind, field, value, at, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let mut unique = tx.prepare_cached(
            "INSERT INTO record_uniques (tenant_id, kind, field, value, id) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for (found, row) in sorted(rows) {
            entry.execute((tenant, kind, &found.field, &found.value, row.at, &row.id))?;
            if found.unique {
                unique.execute((tenant, kind, &found.field, &found.value, &row.id))?;
            }
        }
    }
    tx.commit()?;
    Ok(())
}

/// Entries in the order of their index: each page of it is written once.
fn sorted(rows: &[Row]) -> Vec<(&Entry, &Row)> {
    let mut all: Vec<(&Entry, &Row)> = rows
        .iter()
        .flat_map(|row| row.entries.iter().map(move |entry| (entry, row)))
        .collect();
    all.sort_by(|(a, one), (b, other)| (a, one.at, &one.id).cmp(&(b, other.at, &other.id)));
    all
}

fn put_postgres(
    client: &mut postgres::Client,
    tenant: &str,
    kind: &str,
    rows: &[Row],
) -> Result<(), Failure> {
    let mut tx = client.transaction()?;
    let all = rows.iter().map(|row| {
        let values: Vec<&(dyn ToSql + Sync)> = vec![
            &tenant,
            &kind,
            &row.id,
            &1_i64,
            &row.doc,
            &row.fields,
            &row.at,
            &row.at,
        ];
        values
    });
    copy(
        &mut tx,
        "records",
        "tenant_id, kind, id, version, doc, fields, created_at, updated_at",
        all,
    )?;
    let all = rows.iter().map(|row| {
        let values: Vec<&(dyn ToSql + Sync)> =
            vec![&tenant, &kind, &row.id, &1_i64, &row.at, &"load", &"create"];
        values
    });
    copy(
        &mut tx,
        "record_history",
        "tenant_id, kind, id, version, at, actor, change",
        all,
    )?;
    let entries = sorted(rows);
    let all = entries.iter().map(|(entry, row)| {
        let values: Vec<&(dyn ToSql + Sync)> =
            vec![&tenant, &kind, &entry.field, &entry.value, &row.at, &row.id];
        values
    });
    copy(
        &mut tx,
        "record_fields",
        "tenant_id, kind, field, value, at, id",
        all,
    )?;
    let all = entries
        .iter()
        .filter(|(entry, _)| entry.unique)
        .map(|(entry, row)| {
            let values: Vec<&(dyn ToSql + Sync)> = vec![&tenant, &kind, &entry.field, &entry.value, &row.id];
            values
        });
    copy(
        &mut tx,
        "record_uniques",
        "tenant_id, kind, field, value, id",
        all,
    )?;
    let worded: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row, row.words.as_ref()?)))
        .collect();
    if !worded.is_empty() {
        let ids: Vec<&str> = worded.iter().map(|(row, _)| row.id.as_str()).collect();
        let titles: Vec<&str> = worded.iter().map(|(_, (title, _))| title.as_str()).collect();
        let bodies: Vec<&str> = worded.iter().map(|(_, (_, body))| body.as_str()).collect();
        let shelf = format!("records/{kind}");
        tx.execute(
            // Each part by itself: the tables have no statistics yet, and a plan that looks for the newest era anew for each row
            // takes hours.
            "WITH given AS MATERIALIZED (
                SELECT new.*, (SELECT row_id FROM records WHERE tenant_id = $1 AND kind = $2 AND id = new.id) AS row_id
                FROM UNNEST($3::TEXT[], $4::TEXT[], $5::TEXT[]) AS new (id, title, body)
             ), newest AS MATERIALIZED (
                SELECT COALESCE(MAX(era), 0) AS era, COUNT(*) FILTER (WHERE era = latest) AS held
                FROM (SELECT era, MAX(era) OVER () AS latest FROM texts WHERE tenant_id = $1 AND shelf = $6
                      ORDER BY row_id DESC LIMIT $7) AS last
             )
             INSERT INTO texts (tenant_id, shelf, row_id, lexemes, era)
             SELECT $1, $6, row_id, setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', body), 'D'),
                newest.era + (newest.held + row_number() OVER (ORDER BY row_id) - 1) / $7
             FROM given CROSS JOIN newest",
            &[&tenant, &kind, &ids, &titles, &bodies, &shelf, &ERA_ROWS],
        )?;
    }
    tx.commit()?;
    Ok(())
}

/// Sends rows in as fast as PostgreSQL takes any.
fn copy<'r>(
    tx: &mut postgres::Transaction<'_>,
    table: &str,
    columns: &str,
    rows: impl Iterator<Item = Vec<&'r (dyn ToSql + Sync)>>,
) -> Result<(), Failure> {
    let like = tx.prepare(&format!("SELECT {columns} FROM {table}"))?;
    let types: Vec<_> = like
        .columns()
        .iter()
        .map(|column| column.type_().clone())
        .collect();
    let writer = tx.copy_in(&format!("COPY {table} ({columns}) FROM STDIN BINARY"))?;
    let mut writer = postgres::binary_copy::BinaryCopyInWriter::new(writer, &types);
    for row in rows {
        writer.write(&row)?;
    }
    writer.finish()?;
    Ok(())
}
