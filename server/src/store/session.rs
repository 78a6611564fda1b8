//! One transaction on either engine: statements go in, rows come out.
//!
//! A [`Session`] is what [`super::TenantTx`] and [`super::SystemTx`] speak through. It knows SQL and the
//! engine, but no tenant and no domain. It also collects what a commit carries along: audit rows and the
//! change counters that were raised.

use super::{
    StoreError, Topic,
    audit::SealedAudit,
    change_log::ChangeRecord,
    postgres::PgConnection,
    records::Fresh,
    row::{Param, RowRef},
    sqlite::SqliteConnection,
    text::Later,
};
use crate::vocabulary::{Ids, TenantId, Timestamp};

/// The engine underneath a session.
pub(crate) enum Engine {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// One transaction in progress.
pub(crate) struct Session {
    pub(super) engine: Engine,
    /// The moment the transaction began; everything in it happens then.
    pub(super) now: Timestamp,
    /// Audit rows to chain and insert when the work is done.
    pub(super) audits: Vec<(TenantId, SealedAudit)>,
    /// Rows of the change log, with their owner: a tenant's id, or empty for the server.
    pub(super) changes: Vec<(String, ChangeRecord)>,
    /// Counters raised by the work, told to listeners after the commit.
    pub(super) raised: Vec<(Topic, i64)>,
    /// Makes the ids of what the work makes.
    pub(super) ids: Ids,
    /// Whether work was queued, which listeners are to hear of: see [`Session::tell_of_jobs`].
    pub(super) queued: bool,
    /// New records that wait for the next statement: see [`Session::write_fresh`].
    pub(super) fresh: Vec<Fresh>,
    /// Index entries that wait for the end of a group of transactions.
    pub(super) later: Later,
    /// The first statement that failed.
    ///
    /// Invariant: a transaction in which a statement failed never commits. PostgreSQL enforces that by
    /// itself, and by turning COMMIT into ROLLBACK without an error; SQLite would commit the rest.
    failed: Option<StoreError>,
    /// How the engine goes about each statement that reads, once somebody wants to know.
    pub(super) plans: Option<Vec<StatementPlan>>,
}

/// How an engine goes about a statement.
#[derive(Clone, Debug)]
pub struct StatementPlan {
    /// The statement.
    pub sql: String,
    /// The engine's words, a line for each step.
    pub steps: Vec<String>,
}

impl Session {
    pub(super) fn new(engine: Engine, now: Timestamp) -> Self {
        Self {
            engine,
            now,
            audits: Vec::new(),
            changes: Vec::new(),
            raised: Vec::new(),
            ids: Ids::default(),
            queued: false,
            fresh: Vec::new(),
            later: Later::default(),
            failed: None,
            plans: None,
        }
    }

    /// Makes the session ready for the next work on the same connection.
    pub(super) fn reset(&mut self, now: Timestamp) {
        self.now = now;
        self.audits.clear();
        self.changes.clear();
        self.raised.clear();
        self.ids = Ids::default();
        self.queued = false;
        self.fresh.clear();
        self.failed = None;
        self.plans = None;
    }

    /// The error of the first failed statement, if any.
    pub(super) fn take_failure(&mut self) -> Option<StoreError> {
        self.failed.take()
    }

    pub(super) fn noted<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            self.failed.get_or_insert_with(|| error.clone());
        }
        result
    }

    /// Notes how the engine goes about a statement.
    async fn explain(&mut self, sql: &str, params: &[Param<'_>]) -> Result<(), StoreError> {
        let steps = match &mut self.engine {
            Engine::Sqlite(connection) => {
                let explained = format!("EXPLAIN QUERY PLAN {sql}");
                connection.query(&explained, params, |row| row.text(3))?
            }
            Engine::Postgres(connection) => {
                let rows = connection.query(&format!("EXPLAIN {sql}"), params).await?;
                rows.iter()
                    .map(|row| RowRef::Postgres(row).text(0))
                    .collect::<Result<_, _>>()?
            }
        };
        let plan = StatementPlan {
            sql: sql.to_owned(),
            steps,
        };
        self.plans.get_or_insert_default().push(plan);
        Ok(())
    }

    /// Runs a statement and maps each of its rows.
    ///
    /// What waits for PostgreSQL, and what few statements need, is boxed: each future around a statement is as large as the
    /// largest it may hold, and is moved once for each of them.
    pub(crate) async fn query<T>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        map: impl FnMut(&RowRef<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        if !self.fresh.is_empty() {
            Box::pin(self.write_fresh()).await?;
        }
        self.say(sql, params, map).await
    }

    /// The same, whatever waits to be written before.
    pub(super) async fn say<T>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        map: impl FnMut(&RowRef<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        if self.plans.is_some() {
            Box::pin(self.explain(sql, params)).await?;
        }
        let result = match &mut self.engine {
            Engine::Sqlite(connection) => connection.query(sql, params, map),
            Engine::Postgres(connection) => match Box::pin(connection.query(sql, params)).await {
                Ok(rows) => rows.iter().map(RowRef::Postgres).map(map_by_ref(map)).collect(),
                Err(error) => Err(error),
            },
        };
        self.noted(result)
    }

    /// Runs a statement that gives at most one row of interest.
    pub(crate) async fn query_one<T>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        map: impl FnMut(&RowRef<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.query(sql, params, map).await?.pop())
    }

    /// Runs a statement and tells how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        if !self.fresh.is_empty() {
            Box::pin(self.write_fresh()).await?;
        }
        let result = match &mut self.engine {
            Engine::Sqlite(connection) => connection.execute(sql, params),
            Engine::Postgres(connection) => Box::pin(connection.execute(sql, params)).await,
        };
        self.noted(result)
    }

    /// Runs text that binds nothing, such as the creation of a full-text table.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        if !self.fresh.is_empty() {
            Box::pin(self.write_fresh()).await?;
        }
        let result = match &mut self.engine {
            Engine::Sqlite(connection) => connection.batch(sql),
            Engine::Postgres(connection) => connection.batch(sql).await,
        };
        self.noted(result)
    }

    /// Whether statements must be written for PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// A text within a column of JSON text. `field` is a name of ours.
    pub(crate) fn json_text(&self, column: &str, field: &str) -> String {
        if self.is_postgres() {
            format!("(CAST({column} AS JSON) ->> '{field}')")
        } else {
            format!("json_extract({column}, '$.{field}')")
        }
    }

    /// What follows a table's name where rows are asked for by `row_id`. Without it, SQLite takes the index that
    /// begins with the tenant and walks all of the tenant's rows.
    pub(crate) fn by_row_number(&self) -> &'static str {
        if self.is_postgres() { "" } else { " NOT INDEXED" }
    }

    /// Whether a column is one of the numbers that [`Session::numbers`] wrote into a parameter: any number of them is one
    /// statement to prepare.
    pub(crate) fn is_among(&self, column: &str, slot: usize) -> String {
        if self.is_postgres() {
            format!("{column} = ANY (CAST(CAST(${slot} AS TEXT) AS BIGINT[]))")
        } else {
            format!("{column} IN (SELECT value FROM json_each(${slot}))")
        }
    }

    /// Whether a column is one of the texts that a parameter lists as JSON.
    pub(crate) fn is_one_of(&self, column: &str, slot: usize) -> String {
        if self.is_postgres() {
            format!(
                "{column} = ANY (ARRAY(SELECT json_array_elements_text(CAST(CAST(${slot} AS TEXT) AS JSON))))"
            )
        } else {
            format!("{column} IN (SELECT value FROM json_each(${slot}))")
        }
    }

    /// Numbers as the parameter of a statement.
    pub(crate) fn numbers(&self, numbers: &[i64]) -> String {
        let listed: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let (open, close) = if self.is_postgres() {
            ('{', '}')
        } else {
            ('[', ']')
        };
        format!("{open}{}{close}", listed.join(","))
    }

    /// Raises the counter of jobs if work was queued: once a transaction, however much it queues, and as late as can be,
    /// because the counter is one row for all tenants, which stays locked until the commit.
    pub(super) async fn tell_of_jobs(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.queued) {
            self.raise(Topic::Jobs).await?;
        }
        Ok(())
    }

    /// Raises the counter of a topic and gives its new value. Whoever listens hears of it after the commit,
    /// in every process (design.md D10).
    pub(crate) async fn raise(&mut self, topic: Topic) -> Result<i64, StoreError> {
        const RAISE: &str = "INSERT INTO changes (topic, counter) VALUES ($1, 1)
            ON CONFLICT (topic) DO UPDATE SET counter = changes.counter + 1 RETURNING counter";
        let counter = self
            .query_one(RAISE, &[Param::Text(topic.as_str())], |row| row.int(0))
            .await?;
        let counter = counter.ok_or_else(|| StoreError::Row("a change counter is missing".into()))?;
        if self.is_postgres() {
            let message = format!("{} {counter}", topic.as_str());
            self.query(
                "SELECT 1 FROM (SELECT pg_notify('footbridge', $1)) AS told",
                &[Param::Text(&message)],
                |_| Ok(()),
            )
            .await?;
        }
        self.raised.push((topic, counter));
        Ok(counter)
    }
}

/// Lets a closure over borrowed rows be used where rows are passed by value.
fn map_by_ref<'r, T>(
    mut map: impl FnMut(&RowRef<'_>) -> Result<T, StoreError>,
) -> impl FnMut(RowRef<'r>) -> Result<T, StoreError> {
    move |row| map(&row)
}
