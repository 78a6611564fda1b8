//! Both logs as their readers see them: pages in either direction, the head, the check of the whole chain, retention.
//!
//! What tells one log from the other is its record ([`Kept`]): the tables, the id, and what a filter asks of a row. A page
//! looks at a bounded number of rows however few of them fit; it says where to go on, and whether there is anything.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::{
    Session, StoreError,
    chain::{AuditHead, AuditVerdict, Chain, hex},
    row::{Param, from_json},
};
use crate::vocabulary::Timestamp;

/// Rows that one page looks at: what a filter that nothing fits costs at most.
pub const MOST_LOOKED_AT: u32 = 20_000;

/// What a filter asks of a row.
#[derive(Clone, Copy, Debug)]
pub enum Test<'f> {
    /// A column says exactly this.
    Column(&'static str, &'f str),
    /// A text of the hashed body says exactly this.
    Field(&'static str, &'f str),
    /// A text of the hashed body has this within it, whatever the case of its letters.
    Part(&'static str, &'f str),
    /// Not before this moment.
    From(Timestamp),
    /// Before this moment.
    Until(Timestamp),
}

impl<'f> Test<'f> {
    /// A column, where something is asked of it.
    pub(super) fn column(name: &'static str, value: Option<&'f str>) -> Option<Self> {
        value.map(|value| Self::Column(name, value))
    }

    /// A text of the body, where something is asked of it.
    pub(super) fn field(name: &'static str, value: Option<&'f str>) -> Option<Self> {
        value.map(|value| Self::Field(name, value))
    }

    /// A part of a text of the body, where something is asked of it.
    pub(super) fn part(name: &'static str, value: Option<&'f str>) -> Option<Self> {
        value.map(|value| Self::Part(name, value))
    }
}

/// A record that a log is made of.
pub trait Kept: DeserializeOwned + Send + 'static {
    /// Which rows to list.
    type Filter: Send + Sync + 'static;
    /// The log's tables.
    const CHAIN: Chain;
    /// What a row's id begins with.
    const ID: &'static str;

    /// What the filter asks of a row.
    fn tests(filter: &Self::Filter) -> Vec<Test<'_>>;
}

/// One row of a log.
#[derive(Clone, Debug)]
pub struct LogEntry<R> {
    /// Its number in the chain, from 1 without gaps.
    pub seq: i64,
    /// `aud_<seq>` of the call log, `chg_<seq>` of the change log.
    pub id: String,
    /// What happened.
    pub record: R,
    /// Hash of the row, hexadecimal.
    pub hash: String,
    /// The hashed bytes.
    pub body: String,
}

/// Some rows, and where to go on.
#[derive(Clone, Debug)]
pub struct LogPage<R> {
    /// Those that fit, in the order of the reading.
    pub rows: Vec<LogEntry<R>>,
    /// The number to go on from.
    pub go_on: i64,
    /// Whether there are more rows to look at now.
    pub more: bool,
}

/// A log of one tenant, or of the server itself.
pub struct Log<'t, R> {
    session: &'t mut Session,
    owner: &'t str,
    of: PhantomData<R>,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Back,
    On,
}

impl<'t, R: Kept> Log<'t, R> {
    /// The log of a tenant's id, or of the server for an empty one.
    pub(super) fn new(session: &'t mut Session, owner: &'t str) -> Self {
        Self {
            session,
            owner,
            of: PhantomData,
        }
    }

    /// Rows newest first, those before number `before` when given.
    pub async fn list(
        &mut self,
        filter: &R::Filter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<LogPage<R>, StoreError> {
        let (head, base) = R::CHAIN.heads(self.session, self.owner).await?;
        let top = before.unwrap_or(i64::MAX).min(head.seq.saturating_add(1));
        let last = top.saturating_sub(MOST_LOOKED_AT.into());
        let mut page = self.page(filter, (last, top), Way::Back, limit).await?;
        if !page.more {
            page.go_on = last;
            page.more = last > base.seq + 1;
        }
        Ok(page)
    }

    /// Rows oldest first, those after number `after` (0 from the beginning): for exports and followers.
    pub async fn follow(
        &mut self,
        filter: &R::Filter,
        after: i64,
        limit: u32,
    ) -> Result<LogPage<R>, StoreError> {
        let (head, base) = R::CHAIN.heads(self.session, self.owner).await?;
        let first = after.max(base.seq).saturating_add(1);
        let end = first
            .saturating_add(MOST_LOOKED_AT.into())
            .min(head.seq.saturating_add(1));
        let mut page = self.page(filter, (first, end), Way::On, limit).await?;
        if !page.more {
            page.go_on = (end - 1).max(after);
            page.more = end <= head.seq;
        }
        Ok(page)
    }

    /// Rows from one number to before another; `more` when they are more than `limit`.
    async fn page(
        &mut self,
        filter: &R::Filter,
        (first, end): (i64, i64),
        way: Way,
        limit: u32,
    ) -> Result<LogPage<R>, StoreError> {
        let tests = R::tests(filter);
        let parts: Vec<String> = tests
            .iter()
            .filter_map(|test| match test {
                Test::Part(_, text) => Some(like(text)),
                _ => None,
            })
            .collect();
        let mut parts = parts.iter();
        let mut sql = format!(
            "SELECT {} FROM {} WHERE tenant_id = $1 AND seq >= $2 AND seq < $3",
            R::CHAIN.selected(),
            R::CHAIN.log
        );
        let mut params = vec![Param::Text(self.owner), Param::Int(first), Param::Int(end)];
        for test in &tests {
            let at = params.len() + 1;
            let (condition, param) = match *test {
                Test::Column(column, value) => (format!("{column} = ${at}"), Param::Text(value)),
                Test::Field(field, value) => (
                    format!("{} = ${at}", self.session.json_text("body", field)),
                    Param::Text(value),
                ),
                Test::Part(field, _) => (
                    format!(
                        "LOWER({}) LIKE ${at} ESCAPE '!'",
                        self.session.json_text("body", field)
                    ),
                    parts.next().map_or(Param::Null, |part| Param::Text(part)),
                ),
                Test::From(moment) => (format!("ts >= ${at}"), moment.into()),
                Test::Until(moment) => (format!("ts < ${at}"), moment.into()),
            };
            sql.push_str(" AND ");
            sql.push_str(&condition);
            params.push(param);
        }
        let order = if way == Way::Back { "DESC" } else { "ASC" };
        sql.push_str(&format!(" ORDER BY seq {order} LIMIT ${}", params.len() + 1));
        // One more than asked for tells whether there are more.
        params.push(Param::Int(i64::from(limit) + 1));
        let mut rows = self
            .session
            .query(&sql, &params, |row| {
                let link = R::CHAIN.link(row)?;
                Ok(LogEntry {
                    seq: link.seq,
                    id: format!("{}_{}", R::ID, link.seq),
                    record: from_json(&link.body)?,
                    hash: hex(&link.hash),
                    body: link.body,
                })
            })
            .await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let go_on = rows.last().map_or(0, |row| row.seq);
        Ok(LogPage { rows, go_on, more })
    }

    /// The end of the chain as the store remembers it.
    pub async fn head(&mut self) -> Result<AuditHead, StoreError> {
        Ok(R::CHAIN.heads(self.session, self.owner).await?.0.shown())
    }

    /// Reads the whole chain and compares every row with its hash, its neighbours, its own columns, the
    /// stored head and, when given, a head that was kept elsewhere.
    pub async fn verify(&mut self, kept: Option<&AuditHead>) -> Result<AuditVerdict, StoreError> {
        R::CHAIN.verify(self.session, self.owner, kept).await
    }

    /// Drops the beginning of the chain up to `before` (retention, catalogue.md §2.12), at most `most` rows of it, and
    /// gives the number of rows dropped. The hash of the last dropped row stays as the chain's anchor.
    pub async fn drop_before(&mut self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        R::CHAIN.drop_before(self.session, self.owner, before, most).await
    }
}

/// A pattern that finds a text anywhere, letter for letter.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn a_pattern_takes_every_letter_for_itself() {
        assert_eq!(like("50%_Off!"), "%50!%!_off!!%");
        assert_eq!(like(""), "%%");
    }
}
