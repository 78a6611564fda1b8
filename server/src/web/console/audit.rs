//! The audit page: who changed what, and whether the chains are whole.

use askama::Template;
use axum::{
    Router,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::FutureExt;
use serde_json::Value;

use super::{
    Frame, PageError, Posted, ReaderPerson,
    asking::{Asking, Field},
    calls, keys, render, text,
};
use crate::{
    operate::logs::{self, From},
    store::{AuditHead, AuditVerdict, ChangeRecord, StoreError},
    web::Web,
};

const PATH: &str = "/console/audit";

/// Rows on one page.
const PER_PAGE: u32 = 50;
/// Longest value that a row shows; the export has the whole.
const SHOWN: usize = 300;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/audit", get(page))
        .route("/console/audit/verify", post(verify))
}

struct Row {
    id: String,
    when: String,
    who: String,
    through: &'static str,
    action: String,
    object: String,
    before: String,
    after: String,
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    frame: Frame,
    verdicts: Vec<(&'static str, String)>,
    calls_head: String,
    changes_head: String,
    rows: Vec<Row>,
    filtered: bool,
    paged: bool,
    newest: String,
    older: String,
    fields: Vec<Field>,
    problem: String,
}

async fn page(
    State(web): State<Web>,
    person: ReaderPerson,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let asking = Asking::read::<ChangeRecord>(PATH, query.as_deref());
    let page = audit_page(&web, &person, &asking, Vec::new()).await?;
    Ok(render(&page)?.into_response())
}

async fn audit_page(
    web: &Web,
    person: &ReaderPerson,
    asking: &Asking,
    verdicts: Vec<(&'static str, String)>,
) -> Result<AuditPage, PageError> {
    let names = keys::names(web, person).await?;
    let who =
        |id: Option<String>| id.map_or_else(|| "–".to_owned(), |id| names.get(&id).cloned().unwrap_or(id));
    let (store, tenant) = (web.store(), person.tenant());
    let (calls_head, changes_head) = store
        .read(tenant, |tx| {
            async move {
                let calls_head = tx.audit_log().head().await?;
                Ok::<_, StoreError>((calls_head, tx.change_log().head().await?))
            }
            .boxed()
        })
        .await?;
    let (by, from) = (person.actor(), From::Newest(asking.before()));
    let found = match asking.filter::<ChangeRecord>(web.house().clock().now()) {
        Ok(filter) => logs::page::<ChangeRecord>(store, &by, tenant, filter, from, PER_PAGE).await,
        Err(error) => Err(error),
    };
    let (changes, older, problem) = match found {
        Ok(page) => {
            let older = page.more.then(|| asking.link(Some(&page.go_on)));
            (page.rows, older, String::new())
        }
        Err(error) if error.is_for_the_caller() => (Vec::new(), None, error.to_string()),
        Err(error) => return Err(error.into()),
    };
    Ok(AuditPage {
        frame: Frame::new(person, "Audit", None),
        verdicts,
        calls_head: head(&calls_head),
        changes_head: head(&changes_head),
        filtered: asking.is_filtered(),
        paged: asking.before().is_some(),
        newest: asking.link(None),
        older: older.unwrap_or_default(),
        fields: asking.fields::<ChangeRecord>(|name| match name {
            "user" => Some(text::sorted(&names)),
            _ => Some(Vec::new()),
        }),
        problem,
        rows: changes
            .into_iter()
            .map(|entry| Row {
                id: entry.id,
                when: text::when_exactly(entry.record.ts),
                who: who(entry.record.actor.user_id.map(|id| id.to_string())),
                through: calls::kind(entry.record.actor.scope_kind),
                action: entry.record.action,
                object: format!("{} {}", entry.record.object_kind, entry.record.object_id),
                before: shown(entry.record.before),
                after: shown(entry.record.after),
            })
            .collect(),
    })
}

fn shown(value: Option<Value>) -> String {
    let text = value.map_or(String::new(), |value| value.to_string());
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

fn head(head: &AuditHead) -> String {
    if head.seq == 0 {
        return "empty".to_owned();
    }
    format!("{} rows, head {}:{}", head.seq, head.seq, head.hash)
}

async fn verify(State(web): State<Web>, posted: Posted<ReaderPerson>) -> Result<Response, PageError> {
    let person = posted.by;
    let (calls, changes) = web
        .store()
        .read(person.tenant(), |tx| {
            async move {
                let calls = tx.audit_log().verify(None).await?;
                Ok::<_, StoreError>((calls, tx.change_log().verify(None).await?))
            }
            .boxed()
        })
        .await?;
    let verdicts = vec![verdict("Call log", &calls), verdict("Change log", &changes)];
    let page = audit_page(&web, &person, &Asking::read::<ChangeRecord>(PATH, None), verdicts).await?;
    Ok(render(&page)?.into_response())
}

fn verdict(log: &str, verdict: &AuditVerdict) -> (&'static str, String) {
    match &verdict.fault {
        None => (
            "good",
            format!(
                "{log}: whole. Every one of its {} rows fits its neighbours.",
                verdict.rows
            ),
        ),
        Some(fault) => (
            "bad",
            format!(
                "{log}: broken at row {}: {}. Compare it with a backup, and find out who could write to the store.",
                fault.seq, fault.what
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::AuditFault;

    #[test]
    fn a_broken_chain_is_named_with_its_row() {
        let mut found = AuditVerdict {
            rows: 3,
            head: AuditHead {
                seq: 3,
                hash: "ab".into(),
            },
            fault: None,
        };
        assert_eq!(verdict("Call log", &found).0, "good");
        found.fault = Some(AuditFault {
            seq: 2,
            what: "its hash does not fit",
        });
        let (class, text) = verdict("Call log", &found);
        assert!(
            class == "bad" && text.contains("broken at row 2: its hash does not fit"),
            "{text}"
        );
    }

    #[test]
    fn long_values_are_cut_between_letters() {
        assert_eq!(shown(None), "");
        assert_eq!(shown(Some(json!({ "a": 1 }))), "{\"a\":1}");
        let long = shown(Some(json!("ä".repeat(1000))));
        assert_eq!(long.chars().count(), SHOWN + 1);
    }
}
