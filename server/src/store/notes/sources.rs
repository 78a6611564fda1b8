//! Where notes come from.

use super::Notes;
use crate::{
    store::{
        StoreError, Topic,
        row::{RowRef, params, to_json},
    },
    vocabulary::Timestamp,
};

/// A source.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Identity, the name people give it.
    pub id: String,
    /// Which connector reads it.
    pub kind: String,
    /// What the connector needs to know.
    pub config: serde_json::Value,
    /// How its last sync went, as the connector writes it.
    pub state: serde_json::Value,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it or its state last changed.
    pub updated_at: Timestamp,
}

/// How much a source holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCount {
    /// The source.
    pub id: String,
    /// Entities that are not tombstones.
    pub entities: i64,
    /// Their chunks.
    pub chunks: i64,
}

const COLUMNS: &str = "source_id, kind, config_json, state_json, created_at, updated_at";

fn source(row: &RowRef<'_>) -> Result<Source, StoreError> {
    Ok(Source {
        id: row.text(0)?,
        kind: row.text(1)?,
        config: row.json(2)?,
        state: row.json(3)?,
        created_at: row.time(4)?,
        updated_at: row.time(5)?,
    })
}

impl Notes<'_> {
    /// Adds a source or replaces its configuration; its state stays.
    pub async fn put_source(
        &mut self,
        id: &str,
        kind: &str,
        config: &serde_json::Value,
    ) -> Result<Source, StoreError> {
        let sql = format!(
            "INSERT INTO sources (tenant_id, source_id, kind, config_json, state_json, created_at, updated_at)
             VALUES ($1, $2, $3, $4, '{{}}', $5, $5)
             ON CONFLICT (tenant_id, source_id) DO UPDATE SET kind = excluded.kind, config_json = excluded.config_json,
                updated_at = excluded.updated_at RETURNING {COLUMNS}"
        );
        let config = to_json(config)?;
        let params = params![self.tenant.as_str(), id, kind, &config, self.session.now];
        let stored = self.session.query_one(&sql, params, source).await?;
        self.session.raise(Topic::Sources).await?;
        stored.ok_or_else(|| StoreError::Row("a source was not stored".into()))
    }

    /// Notes how a source's sync went; `false` when there is no such source.
    pub async fn set_source_state(
        &mut self,
        id: &str,
        state: &serde_json::Value,
    ) -> Result<bool, StoreError> {
        const SET: &str =
            "UPDATE sources SET state_json = $1, updated_at = $2 WHERE tenant_id = $3 AND source_id = $4";
        let state = to_json(state)?;
        Ok(self
            .session
            .execute(SET, params![&state, self.session.now, self.tenant.as_str(), id])
            .await?
            > 0)
    }

    /// Looks one up.
    pub async fn find_source(&mut self, id: &str) -> Result<Option<Source>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM sources WHERE tenant_id = $1 AND source_id = $2");
        self.session
            .query_one(&sql, params![self.tenant.as_str(), id], source)
            .await
    }

    /// All sources, by name.
    pub async fn sources(&mut self) -> Result<Vec<Source>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM sources WHERE tenant_id = $1 ORDER BY source_id");
        self.session
            .query(&sql, params![self.tenant.as_str()], source)
            .await
    }

    /// Removes a source's row; its entities are buried one by one by the caller. `false`: no such source.
    pub async fn remove_source(&mut self, id: &str) -> Result<bool, StoreError> {
        const REMOVE: &str = "DELETE FROM sources WHERE tenant_id = $1 AND source_id = $2";
        let removed = self
            .session
            .execute(REMOVE, params![self.tenant.as_str(), id])
            .await?
            > 0;
        if removed {
            self.session.raise(Topic::Sources).await?;
        }
        Ok(removed)
    }

    /// How much each source that holds anything holds.
    pub async fn source_counts(&mut self) -> Result<Vec<SourceCount>, StoreError> {
        const COUNT: &str = "SELECT source_id, COUNT(*), CAST(SUM(chunks) AS BIGINT) FROM entities
            WHERE tenant_id = $1 AND deleted_at IS NULL GROUP BY source_id ORDER BY source_id";
        self.session
            .query(COUNT, params![self.tenant.as_str()], |row| {
                Ok(SourceCount {
                    id: row.text(0)?,
                    entities: row.int(1)?,
                    chunks: row.int(2)?,
                })
            })
            .await
    }
}
