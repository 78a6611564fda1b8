//! `search_crm`: one question over leads, contacts, accounts and opportunities. An exact e-mail address, telephone number or
//! domain outranks every text (catalogue.md §3.1).

use std::collections::{BTreeMap, HashMap};

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
    store::{Condition, Found, Record, RecordQuery, TenantTx},
    vocabulary::Timestamp,
};

/// The kinds that are searched.
const KINDS: [&str; 4] = [Lead::NAME, Contact::NAME, Account::NAME, Opportunity::NAME];
/// Most hits that are ranked: two dozen pages.
const MOST_HITS: u32 = 500;
/// Most records of one kind that have an address, a number or a domain.
const MOST_EXACT: u32 = 50;
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
    id: String,
    updated_at: Timestamp,
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
                    id: record.id,
                    updated_at: record.updated_at,
                    score: EXACT,
                    note: None,
                },
            );
        }
    }
    // All kinds at once: words are looked up once, and ranks of one answer can be compared.
    let kinds: Vec<&str> = KINDS
        .into_iter()
        .filter(|name| wanted(name))
        .chain([CrmNote::NAME])
        .collect();
    let found = tx
        .find_words(&kinds, &listing::question(query), MOST_HITS)
        .await?;
    let (notes, found): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|one| one.kind == CrmNote::NAME);
    for found in found {
        add(
            &mut hits,
            Hit {
                info: refs::kind(&found.kind)?,
                id: found.id,
                updated_at: found.updated_at,
                score: found.rank,
                note: None,
            },
        );
    }
    let rows: Vec<i64> = notes.iter().map(|note| note.row_id).collect();
    let ranks: HashMap<&str, f64> = notes.iter().map(|note| (note.id.as_str(), note.rank)).collect();
    // What the notes are about, kind by kind.
    let mut noted: BTreeMap<String, Vec<(String, String, f64)>> = BTreeMap::new();
    for note in tx.records(CrmNote::NAME).find_rows(&rows).await? {
        let score = ranks.get(note.id.as_str()).copied().unwrap_or_default() * IN_NOTE;
        let note = Stored::<CrmNote>::of(&note)?.doc.fields;
        if wanted(&note.object_type) {
            let of_kind = noted.entry(note.object_type).or_default();
            of_kind.push((note.object_id, note.body, score));
        }
    }
    for (kind, notes) in noted {
        let info = refs::kind(&kind)?;
        let mut ids: Vec<String> = notes.iter().map(|(id, ..)| id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let found = tx.records(info.name).find_all(&ids).await?;
        let changed: HashMap<&str, Timestamp> = found
            .iter()
            .map(|record| (record.id.as_str(), record.updated_at))
            .collect();
        for (id, body, score) in notes {
            if let Some(updated_at) = changed.get(id.as_str()).copied() {
                add(
                    &mut hits,
                    Hit {
                        info,
                        id,
                        updated_at,
                        score,
                        note: Some(body),
                    },
                );
            }
        }
    }
    let mut ranked: Vec<Hit> = hits.into_values().collect();
    // Equal ones: the newer first, and always in one order.
    ranked.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(b.updated_at.cmp(&a.updated_at))
            .then(a.id.cmp(&b.id))
    });
    let (page, next_cursor) = listing::ranked(desk, &call, ranked)?;
    let asked = words(query);
    // Only what is shown is read, each kind at once.
    let mut shown: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for hit in &page {
        shown.entry(hit.info.name).or_default().push(hit.id.clone());
    }
    let mut records: HashMap<String, Record> = HashMap::new();
    for (kind, ids) in shown {
        let found = tx.records(kind).find_all(&ids).await?;
        records.extend(found.into_iter().map(|record| (record.id.clone(), record)));
    }
    let mut ids = Vec::new();
    let mut items = Vec::with_capacity(page.len());
    for hit in page {
        if let Some(record) = records.get(&hit.id) {
            items.push(view(&hit, record, &asked)?);
            ids.push(hit.id);
        }
    }
    let out = json!({ "items": items, "next_cursor": next_cursor });
    Ok(Outcome::structured(&out)?.touching(ids))
}

/// Keeps the better of two findings of one record.
fn add(hits: &mut HashMap<String, Hit>, hit: Hit) {
    match hits.get_mut(&hit.id) {
        Some(known) if known.score >= hit.score => {}
        Some(known) => *known = hit,
        None => {
            hits.insert(hit.id.clone(), hit);
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
        limit: MOST_EXACT,
        ..RecordQuery::default()
    };
    Ok(tx.records(kind).list(&query).await?.records)
}

fn view(hit: &Hit, record: &Record, asked: &[String]) -> Result<Value, DomainError> {
    let (title, subtitle) = (hit.info.titles)(record)?;
    let snippet = match &hit.note {
        Some(note) => snippet::around(note, asked),
        None => {
            let fields: serde_json::Map<String, Value> = record.parse()?;
            let texts = ["email", "phone", "company", "domain", "industry", "title"];
            let texts = texts.iter().filter_map(|name| fields.get(*name)?.as_str());
            texts.collect::<Vec<_>>().join(" · ")
        }
    };
    Ok(json!({
        "type": hit.info.name,
        "id": record.id,
        "title": title,
        "subtitle": subtitle,
        "snippet": snippet,
        "score": (hit.score * 1_000.0).round() / 1_000.0,
        "updated_at": record.updated_at,
    }))
}
