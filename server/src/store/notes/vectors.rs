//! Vectors of chunks and memories, per embedding model. They are opaque bytes here.

use super::Notes;
use crate::store::{StoreError, row::params};

/// What a vector belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorShelf {
    /// A chunk.
    Chunks,
    /// A memory.
    Memory,
}

impl VectorShelf {
    fn as_str(self) -> &'static str {
        match self {
            Self::Chunks => "chunks",
            Self::Memory => "memory",
        }
    }
}

/// A vector and the row it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVector {
    /// Row number of the chunk or memory.
    pub row_id: i64,
    /// The vector's bytes, as the model's code wrote them.
    pub vector: Vec<u8>,
}

impl Notes<'_> {
    /// Stores a row's vector of a model, in place of an older one.
    pub async fn put_vector(
        &mut self,
        shelf: VectorShelf,
        model: &str,
        row_id: i64,
        vector: &[u8],
    ) -> Result<(), StoreError> {
        const PUT: &str =
            "INSERT INTO vectors (tenant_id, shelf, model, row_id, vector) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (tenant_id, shelf, model, row_id) DO UPDATE SET vector = excluded.vector";
        let params = params![self.tenant.as_str(), shelf.as_str(), model, row_id, vector];
        self.session.execute(PUT, params).await.map(|_| ())
    }

    /// Vectors of a model by row number, those after `after`.
    pub async fn vectors(
        &mut self,
        shelf: VectorShelf,
        model: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredVector>, StoreError> {
        const VECTORS: &str = "SELECT row_id, vector FROM vectors
            WHERE tenant_id = $1 AND shelf = $2 AND model = $3 AND row_id > $4 ORDER BY row_id LIMIT $5";
        let params = params![self.tenant.as_str(), shelf.as_str(), model, after, limit];
        self.session
            .query(VECTORS, params, |row| {
                Ok(StoredVector {
                    row_id: row.int(0)?,
                    vector: row.blob(1)?,
                })
            })
            .await
    }

    /// Row numbers that have no vector of a model yet, those after `after`.
    pub async fn without_vector(
        &mut self,
        shelf: VectorShelf,
        model: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, StoreError> {
        let sql = format!(
            "SELECT t.row_id FROM {table} AS t WHERE t.tenant_id = $1 AND t.row_id > $2
             AND NOT EXISTS (SELECT 1 FROM vectors AS v WHERE v.tenant_id = t.tenant_id AND v.shelf = $3
                AND v.model = $4 AND v.row_id = t.row_id) ORDER BY t.row_id LIMIT $5",
            table = shelf.as_str(),
        );
        let params = params![self.tenant.as_str(), after, shelf.as_str(), model, limit];
        self.session.query(&sql, params, |row| row.int(0)).await
    }

    /// Forgets all vectors of a model; gives how many.
    pub async fn drop_vectors(&mut self, model: &str) -> Result<u64, StoreError> {
        const DROP: &str =
            "DELETE FROM vectors WHERE tenant_id = $1 AND shelf IN ('chunks', 'memory') AND model = $2";
        self.session
            .execute(DROP, params![self.tenant.as_str(), model])
            .await
    }
}
