//! Records are made, changed and deleted: each with the entries that it is found by, its words and a row of history.

use super::{
    COLUMNS, Draft, Entry, Field, Record, Records, record,
    statement::{Bound, Statement},
};
use crate::{
    store::{
        StoreError,
        row::{params, to_json},
        text::Shelf,
    },
    vocabulary::Timestamp,
};

/// Entries added in one statement: as many as a record has, as a rule, and few enough texts to be prepared.
const MOST_AT_ONCE: usize = 16;

impl Records<'_> {
    /// Makes a record; [`StoreError::Conflict`] when its id or a unique field is taken.
    pub async fn insert(&mut self, id: &str, draft: &Draft, actor: &str) -> Result<Record, StoreError> {
        let now = self.session.now;
        let entries = entries(draft, now, now)?;
        let listed = to_json(&entries)?;
        // A unique field that is taken must leave nothing behind, so it is claimed first.
        self.claim(id, &entries).await?;
        let kind = self.kind;
        let taken = || StoreError::conflict(format!("{kind} `{id}`"));
        if self.session.is_postgres() {
            let made = self.insert_now(id, draft, listed, actor).await?;
            return made.ok_or_else(taken);
        }
        let sql = format!(
            "INSERT INTO records (tenant_id, kind, id, version, doc, fields, created_at, updated_at)
             VALUES ($1, $2, $3, 1, $4, $5, $6, $6) ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
        );
        let params = params![self.tenant.as_str(), self.kind, id, &draft.doc, &listed, now];
        let made = self.session.query_one(&sql, params, record).await?;
        let made = made.ok_or_else(taken)?;
        self.add_entries(id, now, &entries).await?;
        self.remember(id, 1, actor, "create", None).await?;
        if let Some((title, text)) = &draft.words {
            let words = (title.as_str(), text.as_str(), self.kind);
            self.session
                .index_text(self.tenant, Shelf::Records, made.row_id, words, true)
                .await?;
        }
        Ok(made)
    }

    /// Replaces a record. `None`: there is none of that id. [`StoreError::Conflict`]: it is not at version
    /// `if_version` any more, or a unique field is taken.
    pub async fn update(
        &mut self,
        id: &str,
        draft: &Draft,
        if_version: Option<u32>,
        actor: &str,
    ) -> Result<Option<Record>, StoreError> {
        let Some((old, old_entries)) = self.locked(id, false, if_version).await? else {
            return Ok(None);
        };
        let now = self.session.now;
        let entries = entries(draft, old.created_at, now)?;
        let (gone, new) = differences(&old_entries, &entries);
        self.claim(id, &new).await?;
        self.remove_entries(id, old.created_at, &gone).await?;
        self.add_entries(id, old.created_at, &new).await?;
        let sql = format!(
            "UPDATE records SET version = version + 1, doc = $1, fields = $2, updated_at = $3
             WHERE tenant_id = $4 AND kind = $5 AND id = $6 RETURNING {COLUMNS}"
        );
        let listed = to_json(&entries)?;
        let params = params![&draft.doc, &listed, now, self.tenant.as_str(), self.kind, id];
        let changed = self.session.query_one(&sql, params, record).await?;
        let changed = changed.ok_or_else(|| StoreError::Row("a locked record is gone".into()))?;
        self.remember(id, changed.version, actor, "update", Some(&old.doc))
            .await?;
        match &draft.words {
            Some((title, text)) => {
                let words = (title.as_str(), text.as_str(), self.kind);
                self.session
                    .index_text(self.tenant, Shelf::Records, changed.row_id, words, false)
                    .await?;
            }
            None => {
                self.session
                    .forget_text(self.tenant, Shelf::Records, changed.row_id, self.kind)
                    .await?;
            }
        }
        Ok(Some(changed))
    }

    /// Deletes a record so that it can be restored. `false`: there is none of that id.
    pub async fn delete(
        &mut self,
        id: &str,
        if_version: Option<u32>,
        actor: &str,
    ) -> Result<bool, StoreError> {
        let Some((old, entries)) = self.locked(id, false, if_version).await? else {
            return Ok(false);
        };
        self.remove_entries(id, old.created_at, &entries).await?;
        self.mark(id, Some(self.session.now)).await?;
        self.session
            .forget_text(self.tenant, Shelf::Records, old.row_id, self.kind)
            .await?;
        self.remember(id, old.version + 1, actor, "delete", Some(&old.doc))
            .await?;
        Ok(true)
    }

    /// Brings a deleted record back, without its full-text words until the next update. `false`: there is no
    /// deleted record of that id. [`StoreError::Conflict`]: a unique field was taken meanwhile.
    pub async fn restore(&mut self, id: &str, actor: &str) -> Result<bool, StoreError> {
        let Some((old, entries)) = self.locked(id, true, None).await? else {
            return Ok(false);
        };
        self.claim(id, &entries).await?;
        self.add_entries(id, old.created_at, &entries).await?;
        self.mark(id, None).await?;
        self.remember(id, old.version + 1, actor, "restore", Some(&old.doc))
            .await?;
        Ok(true)
    }

    async fn mark(&mut self, id: &str, deleted_at: Option<Timestamp>) -> Result<(), StoreError> {
        const MARK: &str = "UPDATE records SET version = version + 1, deleted_at = $1, updated_at = $2
            WHERE tenant_id = $3 AND kind = $4 AND id = $5";
        let params = params![deleted_at, self.session.now, self.tenant.as_str(), self.kind, id];
        self.session.execute(MARK, params).await.map(|_| ())
    }

    /// The record and its index entries, held against other writers until the transaction ends.
    async fn locked(
        &mut self,
        id: &str,
        deleted: bool,
        if_version: Option<u32>,
    ) -> Result<Option<(Record, Vec<Entry>)>, StoreError> {
        let lock = if self.session.is_postgres() {
            " FOR UPDATE"
        } else {
            ""
        };
        let state = if deleted { "IS NOT NULL" } else { "IS NULL" };
        let sql = format!(
            "SELECT {COLUMNS}, fields FROM records
             WHERE tenant_id = $1 AND kind = $2 AND id = $3 AND deleted_at {state}{lock}"
        );
        let params = params![self.tenant.as_str(), self.kind, id];
        let found = self
            .session
            .query_one(&sql, params, |row| Ok((record(row)?, row.json(7)?)))
            .await?;
        match (&found, if_version) {
            (Some((record, _)), Some(wanted)) if record.version != wanted => {
                let what = format!(
                    "{} `{id}` (version {} now, {wanted} given)",
                    self.kind, record.version
                );
                Err(StoreError::Conflict { what })
            }
            _ => Ok(found),
        }
    }

    /// Claims the unique ones of new entries.
    async fn claim(&mut self, id: &str, new: &[Entry]) -> Result<(), StoreError> {
        const CLAIM: &str =
            "INSERT INTO record_uniques (tenant_id, kind, field, value, id) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT DO NOTHING";
        // All are looked at before the first is written, so that a conflict leaves nothing behind.
        const TAKEN: &str =
            "SELECT id FROM record_uniques WHERE tenant_id = $1 AND kind = $2 AND field = $3 AND value = $4";
        let unique = || new.iter().filter(|entry| entry.unique);
        let taken =
            |kind: &str, entry: &Entry| StoreError::conflict(format!("the {} of this {kind}", entry.name));
        for entry in unique() {
            let params = params![
                self.tenant.as_str(),
                self.kind,
                &entry.name,
                entry.value.as_slice()
            ];
            if self
                .session
                .query_one(TAKEN, params, |row| row.text(0))
                .await?
                .is_some_and(|holder| holder != id)
            {
                return Err(taken(self.kind, entry));
            }
        }
        for entry in unique() {
            let params = params![
                self.tenant.as_str(),
                self.kind,
                &entry.name,
                entry.value.as_slice(),
                id
            ];
            if self.session.execute(CLAIM, params).await? == 0 {
                return Err(taken(self.kind, entry));
            }
        }
        Ok(())
    }

    /// Adds the entries of a record that was made at a moment.
    async fn add_entries(&mut self, id: &str, made: Timestamp, entries: &[Entry]) -> Result<(), StoreError> {
        // In one statement: on PostgreSQL, what an entry costs is its way to the server and back.
        for some in entries.chunks(MOST_AT_ONCE) {
            let mut statement = Statement::default();
            for (at, entry) in some.iter().enumerate() {
                statement.push(if at == 0 {
                    "INSERT INTO record_fields (tenant_id, kind, field, value, at, id) VALUES ("
                } else {
                    "), ("
                });
                statement.text(self.tenant.as_str()).push(", ").text(self.kind);
                statement.push(", ").text(&entry.name);
                statement.push(", ").bind(Bound::Bytes(entry.value.clone()));
                statement.push(", ").bind(Bound::Int(made.as_millis()));
                statement.push(", ").text(id);
            }
            statement.push(") ON CONFLICT DO NOTHING");
            self.session.execute(&statement.sql, &statement.params()).await?;
        }
        Ok(())
    }

    /// Removes entries of a record that was made at a moment.
    async fn remove_entries(
        &mut self,
        id: &str,
        made: Timestamp,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        for entry in entries {
            const REMOVE: &str = "DELETE FROM record_fields
                WHERE tenant_id = $1 AND kind = $2 AND field = $3 AND value = $4 AND at = $5 AND id = $6";
            let (tenant, value) = (self.tenant.as_str(), entry.value.as_slice());
            let params = params![tenant, self.kind, &entry.name, value, made, id];
            self.session.execute(REMOVE, params).await?;
            if entry.unique {
                const FREE: &str = "DELETE FROM record_uniques
                    WHERE tenant_id = $1 AND kind = $2 AND field = $3 AND value = $4 AND id = $5";
                let params = params![tenant, self.kind, &entry.name, value, id];
                self.session.execute(FREE, params).await?;
            }
        }
        Ok(())
    }

    async fn remember(
        &mut self,
        id: &str,
        version: u32,
        actor: &str,
        change: &str,
        before: Option<&str>,
    ) -> Result<(), StoreError> {
        const REMEMBER: &str =
            "INSERT INTO record_history (tenant_id, kind, id, version, at, actor, change, before)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let params = params![
            self.tenant.as_str(),
            self.kind,
            id,
            version,
            self.session.now,
            actor,
            change,
            before
        ];
        self.session.execute(REMEMBER, params).await.map(|_| ())
    }
}

/// The index entries of a draft, without repetitions.
pub(super) fn entries(
    draft: &Draft,
    created: Timestamp,
    updated: Timestamp,
) -> Result<Vec<Entry>, StoreError> {
    let always = [
        Field::new("created_at", created),
        Field::new("updated_at", updated),
    ];
    let mut entries = Vec::with_capacity(draft.fields.len() + always.len());
    for field in draft.fields.iter().chain(&always) {
        entries.push(Entry {
            name: field.name.clone(),
            value: field.value.to_bytes()?,
            unique: field.unique,
        });
    }
    entries.sort();
    entries.dedup();
    Ok(entries)
}

/// What only the old entries have, and what only the new ones have.
fn differences(old: &[Entry], new: &[Entry]) -> (Vec<Entry>, Vec<Entry>) {
    let without =
        |these: &[Entry], those: &[Entry]| these.iter().filter(|e| !those.contains(e)).cloned().collect();
    (without(old, new), without(new, old))
}
