//! Questions to PostgreSQL's table of words.

use super::{
    Matching, POSTGRES_ROWS, Ranking, Shelf, TextHit, TextQuery, append, dialect::TSQUERY, home, place,
    tag_word,
};
use crate::{
    store::{
        Session, StoreError,
        row::{Param, params},
    },
    vocabulary::TenantId,
};

impl Session {
    pub(super) async fn find_lexemes(
        &mut self,
        tenant: &TenantId,
        shelf: Shelf,
        query: &TextQuery,
        tags: &[&str],
        limit: u32,
    ) -> Result<Vec<TextHit>, StoreError> {
        const FIND: &str = "SELECT row_id, ts_rank_cd('{0.2, 0.2, 0.4, 1.0}', lexemes, CAST(CAST($1 AS TEXT) AS tsquery))::FLOAT8 AS rank_of
            FROM (SELECT row_id, lexemes FROM texts
                  WHERE tenant_id = $2 AND shelf = $3 AND lexemes @@ CAST(CAST($4 AS TEXT) AS tsquery) LIMIT $5) AS found
            ORDER BY rank_of DESC, row_id DESC LIMIT $6";
        let rows = match query.ranking {
            Ranking::Newest(rows) => i64::from(rows),
            Ranking::All | Ranking::Auto => POSTGRES_ROWS,
        };
        let mut hits: Vec<TextHit> = Vec::new();
        // Rows with all the words are few and the best; the others fill up.
        let both = query.ranking == Ranking::Auto && query.matching == Matching::Any && query.terms.len() > 1;
        let matchings: &[Matching] = if both {
            &[Matching::All, Matching::Any]
        } else {
            &[query.matching]
        };
        // Each word that a row holds adds to its rank, the helping ones too.
        let all: Vec<_> = query.helpers.iter().chain(&query.terms).cloned().collect();
        let ranked = TSQUERY.terms(&all, Matching::Any, query.prefix_last);
        for matching in matchings {
            let must = TSQUERY.terms(&query.terms, *matching, query.prefix_last);
            let asked = format!("'{}' & {}", home(tenant, shelf.as_str()), tagged(&must, tags));
            let params: &[Param<'_>] = params![&ranked, tenant.as_str(), shelf.as_str(), &asked, rows, limit];
            let found = self
                .query(FIND, params, |row| {
                    Ok(TextHit {
                        row_id: row.int(0)?,
                        rank: row.real(1)?,
                    })
                })
                .await?;
            append(&mut hits, found);
            if hits.len() >= limit as usize {
                break;
            }
        }
        hits.truncate(limit as usize);
        Ok(hits)
    }

    /// The newest records of some kinds that match, best first. A word that stands everywhere is met soon on the way from the
    /// newest back, a rare one is found by its index: which of the two, PostgreSQL decides by the words asked for.
    pub(super) async fn find_in_places(
        &mut self,
        tenant: &TenantId,
        query: &TextQuery,
        kinds: &[&str],
        limit: u32,
    ) -> Result<Vec<TextHit>, StoreError> {
        let all: Vec<_> = query.helpers.iter().chain(&query.terms).cloned().collect();
        let ranked = TSQUERY.terms(&all, Matching::Any, query.prefix_last);
        let must = TSQUERY.terms(&query.terms, query.matching, query.prefix_last);
        let asked: Vec<(String, String)> = kinds.iter().map(|kind| of_kind(tenant, kind, &must)).collect();
        let rows = i64::from(NEWEST_PER_KIND);
        let mut sql =
            "SELECT row_id, ts_rank_cd('{0.2, 0.2, 0.4, 1.0}', lexemes, CAST(CAST($1 AS TEXT) AS tsquery))::FLOAT8 AS rank_of FROM ("
                .to_owned();
        let mut params: Vec<Param<'_>> = vec![Param::Text(&ranked)];
        for (number, (place, asked)) in asked.iter().enumerate() {
            let slot = params.len() + 1;
            sql.push_str(if number == 0 { "" } else { " UNION ALL " });
            sql.push_str(&newest("row_id, lexemes", slot));
            params.extend([
                Param::Text(tenant.as_str()),
                Param::Text(place),
                Param::Text(asked),
                Param::Int(rows),
            ]);
        }
        params.push(Param::Int(limit.into()));
        sql.push_str(&format!(
            ") AS found ORDER BY rank_of DESC, row_id DESC LIMIT ${}",
            params.len()
        ));
        self.query_planned(&sql, &params, |row| {
            Ok(TextHit {
                row_id: row.int(0)?,
                rank: row.real(1)?,
            })
        })
        .await
    }

    /// The newest rows that match.
    pub(super) async fn newest_lexemes(
        &mut self,
        tenant: &TenantId,
        shelf: Shelf,
        query: &TextQuery,
        tag: &str,
        limit: u32,
    ) -> Result<Vec<i64>, StoreError> {
        let must = TSQUERY.terms(&query.terms, query.matching, query.prefix_last);
        let (place, asked) = match shelf {
            Shelf::Records => of_kind(tenant, tag, &must),
            Shelf::Chunks | Shelf::Memory => {
                let home = home(tenant, shelf.as_str());
                (
                    shelf.as_str().to_owned(),
                    format!("'{home}' & {}", tagged(&must, &[tag])),
                )
            }
        };
        let params = params![tenant.as_str(), &place, &asked, limit];
        self.query_planned(&newest("row_id", 1), params, |row| row.int(0))
            .await
    }
}

/// Rows of each kind that are ranked: enough for some pages, and few enough to be read in a millisecond or two.
const NEWEST_PER_KIND: u32 = 200;

/// Where a kind's words are, and what is asked there.
fn of_kind(tenant: &TenantId, kind: &str, must: &str) -> (String, String) {
    let place = place(Shelf::Records, kind);
    let asked = format!("'{}' & {must}", home(tenant, &place));
    (place, asked)
}

fn newest(columns: &str, slot: usize) -> String {
    format!(
        "(SELECT {columns} FROM texts WHERE tenant_id = ${slot} AND shelf = ${} AND lexemes @@ CAST(CAST(${} AS TEXT) AS tsquery)
          ORDER BY row_id DESC LIMIT ${})",
        slot + 1,
        slot + 2,
        slot + 3
    )
}

fn tagged(must: &str, tags: &[&str]) -> String {
    if tags.is_empty() {
        return must.to_owned();
    }
    let words: Vec<String> = tags.iter().map(|tag| format!("'{}'", tag_word(tag))).collect();
    format!("({}) & {must}", words.join(" | "))
}
