//! What a plan may do to the store: read. [`ReadTx`] looks like [`TenantTx`] and has no statement that writes, so a
//! preview that changes something does not compile (security.md W1).

use serde::de::DeserializeOwned;

use super::{
    Condition, Counters, FieldValue, Memories, Memory, Notes, Record, RecordChange, RecordPage, RecordQuery,
    Records, Session, Settings, Source, StoreError, TenantTx, User, Users,
};
use crate::vocabulary::{TenantId, UserId};

/// The reading half of a transaction of one tenant.
///
/// It does not tell the time: a plan is made twice, and both times must come out the same.
pub struct ReadTx<'a> {
    session: &'a mut Session,
    tenant: TenantId,
}

impl TenantTx<'_> {
    /// The same transaction, without its statements that write.
    pub fn reading(&mut self) -> ReadTx<'_> {
        let (session, tenant) = self.parts();
        ReadTx { session, tenant }
    }
}

impl ReadTx<'_> {
    /// Whose rows these are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Domain records of one kind.
    pub fn records<'t>(&'t mut self, kind: &'t str) -> ReadRecords<'t> {
        ReadRecords(Records {
            session: self.session,
            tenant: &self.tenant,
            kind,
        })
    }

    /// What agents remember.
    pub fn memory(&mut self) -> ReadMemories<'_> {
        ReadMemories(Memories {
            session: self.session,
            tenant: &self.tenant,
        })
    }

    /// People and services of the tenant.
    pub fn users(&mut self) -> ReadUsers<'_> {
        ReadUsers(Users {
            session: self.session,
            tenant: &self.tenant,
        })
    }

    /// Small JSON values by name.
    pub fn settings(&mut self) -> ReadSettings<'_> {
        ReadSettings(Settings {
            session: self.session,
            owner: self.tenant.as_str(),
        })
    }

    /// The value of a counter, 0 before the first count.
    pub async fn count(&mut self, name: &str) -> Result<i64, StoreError> {
        let mut counters = Counters {
            session: self.session,
            tenant: &self.tenant,
        };
        counters.get(name, "").await
    }

    /// Sources of the context edition.
    pub fn notes(&mut self) -> ReadNotes<'_> {
        ReadNotes(Notes {
            session: self.session,
            tenant: &self.tenant,
        })
    }
}

/// Records of one kind, to be read.
pub struct ReadRecords<'t>(Records<'t>);

impl ReadRecords<'_> {
    /// As [`Records::find`].
    pub async fn find(&mut self, id: &str) -> Result<Option<Record>, StoreError> {
        self.0.find(id).await
    }

    /// As [`Records::find_unique`].
    pub async fn find_unique(
        &mut self,
        field: &str,
        value: &FieldValue,
    ) -> Result<Option<Record>, StoreError> {
        self.0.find_unique(field, value).await
    }

    /// As [`Records::list`].
    pub async fn list(&mut self, query: &RecordQuery) -> Result<RecordPage, StoreError> {
        self.0.list(query).await
    }

    /// As [`Records::count`].
    pub async fn count(&mut self, conditions: &[Condition], most: u32) -> Result<i64, StoreError> {
        self.0.count(conditions, most).await
    }

    /// As [`Records::history`].
    pub async fn history(&mut self, id: &str, limit: u32) -> Result<Vec<RecordChange>, StoreError> {
        self.0.history(id, limit).await
    }
}

/// Memories, to be read.
pub struct ReadMemories<'t>(Memories<'t>);

impl ReadMemories<'_> {
    /// As [`Memories::find_by_key`].
    pub async fn find_by_key(&mut self, key: &str) -> Result<Option<Memory>, StoreError> {
        self.0.find_by_key(key).await
    }

    /// As [`Memories::find_by_id`].
    pub async fn find_by_id(&mut self, id: &str) -> Result<Option<Memory>, StoreError> {
        self.0.find_by_id(id).await
    }
}

/// People, to be read.
pub struct ReadUsers<'t>(Users<'t>);

impl ReadUsers<'_> {
    /// As [`Users::find`].
    pub async fn find(&mut self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.0.find(id).await
    }

    /// As [`Users::find_by_email`].
    pub async fn find_by_email(&mut self, email: &str) -> Result<Option<User>, StoreError> {
        self.0.find_by_email(email).await
    }

    /// As [`Users::list`].
    pub async fn list(&mut self) -> Result<Vec<User>, StoreError> {
        self.0.list().await
    }
}

/// Settings, to be read.
pub struct ReadSettings<'t>(Settings<'t>);

impl ReadSettings<'_> {
    /// As [`Settings::get`].
    pub async fn get<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, StoreError> {
        self.0.get(name).await
    }
}

/// Sources and entities, to be read.
pub struct ReadNotes<'t>(Notes<'t>);

impl ReadNotes<'_> {
    /// As [`Notes::sources`].
    pub async fn sources(&mut self) -> Result<Vec<Source>, StoreError> {
        self.0.sources().await
    }
}
