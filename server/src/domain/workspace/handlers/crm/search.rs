//! `search_crm`: one question over leads, contacts, accounts and opportunities. An exact e-mail address, telephone number or
//! domain outranks every text (catalogue.md §3.1).

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    domain::{
        Call, DomainError, HandlerResult, Outcome,
        context::words::words,
        workspace::{
            engine::Desk,
            kinds::{
                account::Account, contact::Contact, lead::Lead, note::CrmNote, opportunity::Opportunity,
            },
            listing,
            record::{Kind, Stored, fold, phone_digits},
            refs::{self, KindInfo},
            snippet,
        },
    },
    store::{Condition, Record, RecordQuery, TenantTx},
};

/// The kinds that are searched.
const KINDS: [&str; 4] = [Lead::NAME, Contact::NAME, Account::NAME, Opportunity::NAME];
/// Most hits of one kind that are ranked.
const MOST_HITS: u32 = 200;
/// What an exact hit is worth; no text comes near it.
const EXACT: f64 = 1_000.0;
/// What a word in a note is worth beside one in the record itself.
const IN_NOTE: f64 = 0.5;

#[derive(Debug, Deserialize)]
struct SearchArguments {
    query: String,
    #[serde(default)]
    types: Vec<String>,
}

/// A record that was found.
struct Hit {
    info: &'static KindInfo,
    record: Record,
    score: f64,
    /// The text of a note that was found instead of the record's own.
    note: Option<String>,
}

/// Finds records by what is exact and by words.
pub(super) async fn search(desk: &Desk, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments: SearchArguments = call.arguments.clone().parse()?;
    let query = arguments.query.as_str();
    let wanted = |name: &str| arguments.types.is_empty() || arguments.types.iter().any(|kind| kind == name);
    let mut hits: HashMap<String, Hit> = HashMap::new();
    for name in KINDS.into_iter().filter(|name| wanted(name)) {
        let info = refs::kind(name)?;
        for record in exact(tx, name, query).await? {
            add(
                &mut hits,
                Hit {
                    info,
                    record,
                    score: EXACT,
                    note: None,
                },
            );
        }
        for (record, score) in by_words(tx, name, query).await? {
            add(
                &mut hits,
                Hit {
                    info,
                    record,
                    score,
                    note: None,
                },
            );
        }
    }
    for (note, score) in by_words(tx, CrmNote::NAME, query).await? {
        let note = Stored::<CrmNote>::of(&note)?.doc.fields;
        if !wanted(&note.object_type) {
            continue;
        }
        let info = refs::kind(&note.object_type)?;
        if let Some(record) = tx.records(info.name).find(&note.object_id).await? {
            let score = score * IN_NOTE;
            add(
                &mut hits,
                Hit {
                    info,
                    record,
                    score,
                    note: Some(note.body),
                },
            );
        }
    }
    let mut ranked: Vec<Hit> = hits.into_values().collect();
    // Equal ones: the newer first, and always in one order.
    ranked.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(b.record.updated_at.cmp(&a.record.updated_at))
            .then(a.record.id.cmp(&b.record.id))
    });
    let (page, next_cursor) = listing::ranked(desk, &call, ranked)?;
    let asked = words(query);
    let mut ids = Vec::new();
    let mut items = Vec::with_capacity(page.len());
    for hit in page {
        ids.push(hit.record.id.clone());
        items.push(view(&hit, &asked)?);
    }
    let out = json!({ "items": items, "next_cursor": next_cursor });
    Ok(Outcome::structured(&out)?.touching(ids))
}

/// Keeps the better of two findings of one record.
fn add(hits: &mut HashMap<String, Hit>, hit: Hit) {
    match hits.get_mut(&hit.record.id) {
        Some(known) if known.score >= hit.score => {}
        Some(known) => *known = hit,
        None => {
            hits.insert(hit.record.id.clone(), hit);
        }
    }
}

/// Records that an address, a number or a domain names.
async fn exact(tx: &mut TenantTx<'_>, kind: &str, query: &str) -> Result<Vec<Record>, DomainError> {
    let folded = fold(query);
    let field = if folded.contains('@') {
        Some(("email", folded))
    } else if let Some(digits) = phone_digits(query) {
        Some(("phone", digits))
    } else if folded.contains('.') && !folded.contains(' ') {
        Some(("domain", folded))
    } else {
        None
    };
    let Some((field, value)) = field else {
        return Ok(Vec::new());
    };
    let query = RecordQuery {
        conditions: vec![Condition::is(field, value)],
        limit: MOST_HITS,
        ..RecordQuery::default()
    };
    Ok(tx.records(kind).list(&query).await?.records)
}

/// Records of a kind that hold all the words, the last of them perhaps only begun, with how well they match.
async fn by_words(tx: &mut TenantTx<'_>, kind: &str, query: &str) -> Result<Vec<(Record, f64)>, DomainError> {
    let question = listing::question(query);
    let hits = tx.records(kind).text_candidates(&question, MOST_HITS).await?;
    let rows: Vec<i64> = hits.iter().map(|hit| hit.row_id).collect();
    let found = tx.records(kind).find_rows(&rows).await?;
    let ranks: HashMap<i64, f64> = hits.iter().map(|hit| (hit.row_id, hit.rank)).collect();
    let rank = |record: &Record| ranks.get(&record.row_id).copied().unwrap_or_default();
    Ok(found
        .into_iter()
        .map(|record| (rank(&record), record))
        .map(|(rank, record)| (record, rank))
        .collect())
}

fn view(hit: &Hit, asked: &[String]) -> Result<Value, DomainError> {
    let (title, subtitle) = (hit.info.titles)(&hit.record)?;
    let snippet = match &hit.note {
        Some(note) => snippet::around(note, asked),
        None => {
            let fields: serde_json::Map<String, Value> = hit.record.parse()?;
            let texts = ["email", "phone", "company", "domain", "industry", "title"];
            let texts = texts.iter().filter_map(|name| fields.get(*name)?.as_str());
            texts.collect::<Vec<_>>().join(" · ")
        }
    };
    Ok(json!({
        "type": hit.info.name,
        "id": hit.record.id,
        "title": title,
        "subtitle": subtitle,
        "snippet": snippet,
        "score": (hit.score * 1_000.0).round() / 1_000.0,
        "updated_at": hit.record.updated_at,
    }))
}
