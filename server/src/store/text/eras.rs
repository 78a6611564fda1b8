//! Words of records in PostgreSQL, whose index knows no order: the newest records that hold a word are found era by era.
//!
//! An era is some [`ERA_ROWS`] records of one kind of one tenant that were made one after the other. The index has each word
//! under tenant, kind and era, so a question names the eras that it is asked of: the newest first, then three times as many, and so
//! on until enough is found. A frequent word is met in the newest eras and a rare one has few rows, so what is read is a few times
//! what is wanted. SQLite walks its index from the newest row back and gives the same rows.

use super::{Matching, NEWEST_PER_KIND, Shelf, TextHit, TextQuery, best, cut, dialect::TSQUERY, place};
use crate::{
    store::{
        Session, StoreError,
        row::{Param, params},
    },
    vocabulary::TenantId,
};

/// Records of an era, more or less: a word that stands in every record is read so often where a few are wanted, at some 1 µs each.
const ERA_ROWS: i64 = 4_096;
/// Of so many new records one looks whether its era is full. Chosen by a hash, because records are numbered in patterns.
const LOOK_AT_ONE_IN: i64 = 128;
/// Eras that are asked first. Of the newest two, one may hold no records and the other few; what the third holds tells how far to
/// go on.
const FIRST_ERAS: i64 = 3;
/// How many times the eras asked before are asked next at most, where nothing or little was found in those.
const MORE_ERAS: i64 = 5;

/// The words of a record on their way into the table.
pub(crate) struct RecordWords<'w> {
    place: String,
    title: &'w str,
    text: &'w str,
}

impl<'w> RecordWords<'w> {
    /// The words of a record of a kind.
    pub(crate) fn of(kind: &str, title: &'w str, text: &'w str) -> Self {
        Self {
            place: place(Shelf::Records, kind),
            title: cut(title),
            text: cut(text),
        }
    }

    /// Its values, for three slots one after the other.
    pub(crate) fn params(&self) -> [Param<'_>; 3] {
        [
            Param::Text(&self.place),
            Param::Text(self.title),
            Param::Text(self.text),
        ]
    }

    /// The columns `lexemes, era` of a new row of the tenant in slot 1, of values that begin in a slot.
    pub(crate) fn columns(slot: usize, row_id: &str) -> String {
        let of_place = format!("tenant_id = $1 AND shelf = ${slot} ORDER BY row_id DESC");
        format!(
            "{}, COALESCE((SELECT newest.era + CASE
                WHEN hashint8({row_id}) % {LOOK_AT_ONE_IN} = 0
                    AND newest.era = (SELECT era FROM texts WHERE {of_place} OFFSET {} LIMIT 1) THEN 1 ELSE 0 END
             FROM texts AS newest WHERE {of_place} LIMIT 1), 0)",
            lexemes(slot + 1, slot + 2),
            ERA_ROWS - 1
        )
    }

    /// The same for many rows: parts of a statement that put the words of the table `new` (`row_id`, `kind`, `title`, `body`) of
    /// the tenant in slot 1 into the index.
    pub(crate) fn of_all_new() -> String {
        let of_kind = "tenant_id = $1 AND shelf = 'records/' || kinds.kind ORDER BY row_id DESC";
        let looks = |row_id: &str| format!("bool_or(hashint8({row_id}) % {LOOK_AT_ONE_IN} = 0)");
        format!(
            "kinds AS (
                SELECT kind, {} AS looks FROM new WHERE title IS NOT NULL GROUP BY kind
             ), newest AS (
                SELECT kinds.kind, COALESCE(last.era, 0) AS era, COALESCE(filled.era = last.era, FALSE) AS is_full FROM kinds
                LEFT JOIN LATERAL (SELECT era FROM texts WHERE {of_kind} LIMIT 1) AS last ON TRUE
                LEFT JOIN LATERAL (SELECT era FROM texts WHERE kinds.looks AND {of_kind} OFFSET {} LIMIT 1) AS filled ON TRUE
             ), worded AS (
                INSERT INTO texts (tenant_id, shelf, row_id, lexemes, era)
                SELECT $1, 'records/' || new.kind, new.row_id, {},
                    newest.era + CASE WHEN newest.is_full AND {} OVER (PARTITION BY new.kind ORDER BY new.row_id) THEN 1 ELSE 0 END
                FROM new JOIN newest ON newest.kind = new.kind WHERE new.title IS NOT NULL
             )",
            looks("row_id"),
            ERA_ROWS - 1,
            lexemes_of("new.title", "new.body"),
            looks("new.row_id")
        )
    }
}

/// The lexemes of a title and a text in two slots.
pub(super) fn lexemes(title: usize, text: usize) -> String {
    lexemes_of(&format!("${title}"), &format!("${text}"))
}

fn lexemes_of(title: &str, text: &str) -> String {
    format!("setweight(to_tsvector('simple', {title}), 'A') || setweight(to_tsvector('simple', {text}), 'D')")
}

/// A kind's words that are asked for.
struct Asked<'k> {
    kind: &'k str,
    /// The newest era that was not asked yet; negative when all were.
    newest: i64,
    /// How many eras were asked.
    asked: i64,
    wanted: u32,
    found: Vec<TextHit>,
}

impl Asked<'_> {
    fn found(&self) -> i64 {
        i64::try_from(self.found.len()).unwrap_or(i64::MAX)
    }

    /// How many more rows are wanted.
    fn rest(&self) -> i64 {
        i64::from(self.wanted) - self.found()
    }

    /// How many eras to ask next: as many as hold the rest, if they are like those before. Each time is a way to the server and
    /// back; but too many eras at once are rows that nobody wanted, should the word stand in more of their records.
    fn eras(&self) -> i64 {
        if self.asked == 0 {
            return FIRST_ERAS;
        }
        let alike = (self.asked * self.rest())
            .checked_div(self.found())
            .map(|eras| eras + 1);
        alike.map_or(i64::MAX, |eras| eras).min(self.asked * MORE_ERAS)
    }
}

impl Session {
    /// The newest records of some kinds that match, best first.
    pub(super) async fn find_in_places(
        &mut self,
        tenant: &TenantId,
        query: &TextQuery,
        kinds: &[&str],
        limit: u32,
    ) -> Result<Vec<TextHit>, StoreError> {
        let wanted: Vec<_> = kinds.iter().map(|kind| (*kind, NEWEST_PER_KIND)).collect();
        let found = self.newest_in_places(tenant, query, &wanted, true).await?;
        Ok(best(
            found.into_iter().flat_map(|asked| asked.found).collect(),
            limit,
        ))
    }

    /// The newest records of some kinds that match, so many of each, newest first.
    pub(super) async fn newest_of_places(
        &mut self,
        tenant: &TenantId,
        query: &TextQuery,
        wanted: &[(&str, u32)],
    ) -> Result<Vec<Vec<i64>>, StoreError> {
        let found = self.newest_in_places(tenant, query, wanted, false).await?;
        let newest = |asked: Asked<'_>| {
            let mut rows: Vec<i64> = asked.found.iter().map(|hit| hit.row_id).collect();
            rows.sort_unstable_by(|a, b| b.cmp(a));
            rows.truncate(asked.wanted as usize);
            rows
        };
        Ok(found.into_iter().map(newest).collect())
    }

    async fn newest_in_places<'k>(
        &mut self,
        tenant: &TenantId,
        query: &TextQuery,
        wanted: &[(&'k str, u32)],
        is_ranked: bool,
    ) -> Result<Vec<Asked<'k>>, StoreError> {
        let mut all = self.places(tenant, wanted).await?;
        // Each word that a row holds adds to its rank, the helping ones too.
        let ranked: Vec<_> = query.helpers.iter().chain(&query.terms).cloned().collect();
        let ranked = TSQUERY.terms(&ranked, Matching::Any, query.prefix_last);
        let must = TSQUERY.terms(&query.terms, query.matching, query.prefix_last);
        loop {
            let mut open: Vec<(i64, &mut Asked<'_>, String)> = Vec::new();
            for (number, asked) in (0..).zip(&mut all) {
                if asked.newest >= 0 && asked.rest() > 0 {
                    let eras = asked.eras();
                    let oldest = (asked.newest - eras + 1).max(0);
                    let marks = marks(tenant, asked.kind, oldest..=asked.newest, query);
                    asked.newest = oldest - 1;
                    asked.asked += eras;
                    open.push((number, asked, marks));
                }
            }
            if open.is_empty() {
                return Ok(all);
            }
            // To look into what a row holds costs several times as much as to find it.
            let mut values: Vec<Param<'_>> = Vec::new();
            let (rank, lexemes) = if is_ranked {
                values.push(Param::Text(&ranked));
                (
                    "ts_rank_cd('{0.2, 0.2, 0.4, 1.0}', lexemes, CAST(CAST($1 AS TEXT) AS tsquery))::FLOAT8",
                    ", lexemes",
                )
            } else {
                ("0::FLOAT8", "")
            };
            // A mark does not tell where in a text its word stands.
            let also = if query.terms.iter().any(|term| term.len() > 1) {
                values.push(Param::Text(&must));
                format!(" AND lexemes @@ CAST(CAST(${} AS TEXT) AS tsquery)", values.len())
            } else {
                String::new()
            };
            let mut statement = format!("SELECT number, row_id, {rank} FROM (");
            for (at, (number, asked, marks)) in open.iter().enumerate() {
                let slot = values.len() + 1;
                statement.push_str(if at == 0 { "" } else { " UNION ALL " });
                statement.push_str(&format!(
                    "(SELECT CAST(${slot} AS BIGINT) AS number, row_id{lexemes} FROM texts
                      WHERE era IS NOT NULL AND text_marks(tenant_id, shelf, era, lexemes) @@ CAST(CAST(${} AS TEXT) AS tsquery){also}
                      ORDER BY row_id DESC LIMIT ${})",
                    slot + 1,
                    slot + 2
                ));
                values.extend([Param::Int(*number), Param::Text(marks), Param::Int(asked.rest())]);
            }
            statement.push_str(") AS found");
            let hits = self
                .query(&statement, &values, |row| {
                    Ok((
                        row.int(0)?,
                        TextHit {
                            row_id: row.int(1)?,
                            rank: row.real(2)?,
                        },
                    ))
                })
                .await?;
            for (number, asked, _) in open {
                let own = hits.iter().filter(|(of, _)| *of == number);
                asked.found.extend(own.map(|(_, hit)| *hit));
            }
        }
    }

    /// How many eras each kind has.
    async fn places<'k>(
        &mut self,
        tenant: &TenantId,
        wanted: &[(&'k str, u32)],
    ) -> Result<Vec<Asked<'k>>, StoreError> {
        let places: Vec<String> = wanted
            .iter()
            .map(|(kind, _)| place(Shelf::Records, kind))
            .collect();
        let mut statement = "SELECT ".to_owned();
        let mut values: Vec<Param<'_>> = params![tenant.as_str()].to_vec();
        for (at, place) in places.iter().enumerate() {
            statement.push_str(if at == 0 { "" } else { ", " });
            statement.push_str(&format!(
                "(SELECT era FROM texts WHERE tenant_id = $1 AND shelf = ${} ORDER BY row_id DESC LIMIT 1)",
                at + 2
            ));
            values.push(Param::Text(place));
        }
        let eras = self
            .query_one(&statement, &values, |row| {
                (0..places.len())
                    .map(|at| row.opt_int(at))
                    .collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let asked = |(&(kind, wanted), era): (&(&'k str, u32), Option<i64>)| Asked {
            kind,
            // Of two that were written at once, the older one may have begun an era.
            newest: era.map_or(-1, |era| era + 1),
            asked: 0,
            wanted,
            found: Vec::new(),
        };
        Ok(wanted.iter().zip(eras.unwrap_or_default()).map(asked).collect())
    }
}

/// A question to the eras of a kind. Words in sequence are asked for one by one: marks have no order.
fn marks(tenant: &TenantId, kind: &str, eras: std::ops::RangeInclusive<i64>, query: &TextQuery) -> String {
    let last = query.terms.len().saturating_sub(1);
    let in_era = |era: i64| {
        // Invariant: a slug, a kind and a number end no quotes, and words are letters and digits.
        let word = |word: &String, open: bool| {
            let end = if open { ":*" } else { "" };
            format!("'{tenant}/{kind}/{era}/{word}'{end}")
        };
        let term = |(at, term): (usize, &Vec<String>)| {
            let end = term.len().saturating_sub(1);
            let open = |place: usize| query.prefix_last && at == last && place == end;
            let words: Vec<String> = term
                .iter()
                .enumerate()
                .map(|(place, text)| word(text, open(place)))
                .collect();
            format!("({})", words.join(" & "))
        };
        let terms: Vec<String> = query.terms.iter().enumerate().map(term).collect();
        let between = if query.matching == Matching::All {
            " & "
        } else {
            " | "
        };
        format!("({})", terms.join(between))
    };
    let eras: Vec<String> = eras.rev().map(in_era).collect();
    eras.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_era_is_asked_for_every_word() {
        let query = TextQuery {
            terms: vec![vec!["road".into(), "map".into()], vec!["a".into()]],
            matching: Matching::All,
            prefix_last: true,
            ..TextQuery::default()
        };
        let acme = TenantId::new("acme").unwrap();
        assert_eq!(
            marks(&acme, "lead", 0..=1, &query),
            "(('acme/lead/1/road' & 'acme/lead/1/map') & ('acme/lead/1/a':*)) | \
             (('acme/lead/0/road' & 'acme/lead/0/map') & ('acme/lead/0/a':*))"
        );
    }
}
