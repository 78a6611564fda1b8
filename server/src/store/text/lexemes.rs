//! Questions to PostgreSQL's table of words about chunks and memories; `eras` has those about records.

use super::{
    Matching, POSTGRES_ROWS, Ranking, Shelf, TextHit, TextQuery, append, dialect::TSQUERY, home, tag_word,
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
                  WHERE era IS NULL AND tenant_id = $2 AND shelf = $3 AND lexemes @@ CAST(CAST($4 AS TEXT) AS tsquery) LIMIT $5) AS found
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
}

fn tagged(must: &str, tags: &[&str]) -> String {
    if tags.is_empty() {
        return must.to_owned();
    }
    let words: Vec<String> = tags.iter().map(|tag| format!("'{}'", tag_word(tag))).collect();
    format!("({}) & {must}", words.join(" | "))
}
