//! Reading and writing articles. Every save is a revision, kept in the record's history.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    domain::{
        Apply, Call, DomainError, HandlerResult, Outcome, Plan, PlanCall, Reader, ToolResult,
        context::words::words,
        workspace::{
            kinds::article::{Article, ArticleStatus},
            listing::{Filter, Filters},
            record::{self, Document, Kind, Stored},
            refs,
            write::{self, Carried, object},
        },
    },
    store::{ReadTx, TenantTx},
};

/// What articles are filtered by.
pub(super) const FILTERS: Filters = &[
    ("status", "status", Filter::Word),
    ("visibility", "visibility", Filter::Word),
    ("collection", "collection", Filter::Text),
    ("author", "author", Filter::Person),
];
/// Revisions named beside an article.
const REVISIONS: usize = 10;
/// Revisions back to which one can be read.
const READABLE: u32 = 1_000;
/// Longest slug that is made of a title.
const LONGEST_SLUG: usize = 80;
/// Slugs tried before a title is called used up.
const TRIED: u32 = 50;

#[derive(Debug, Deserialize)]
struct GetArguments {
    id: String,
    revision: Option<u32>,
}

/// One article, as it is or as it was.
pub(super) async fn get(tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments: GetArguments = call.arguments.parse()?;
    let article: Stored<Article> = refs::get(&mut tx.reading(), &arguments.id, true).await?;
    let mut revisions = vec![article.clone()];
    for row in tx.records(Article::NAME).history(&article.id, READABLE).await? {
        let Some(before) = &row.before else { continue };
        let doc: Document<Article> = serde_json::from_str(before).map_err(DomainError::internal)?;
        // A change that is no save, such as a deletion brought back, has the revision of the one before.
        if revisions
            .last()
            .is_none_or(|last| last.fields().revision != doc.fields.revision)
        {
            revisions.push(Stored {
                version: row.version.saturating_sub(1),
                updated_at: row.at,
                doc,
                ..article.clone()
            });
        }
    }
    let shown = match arguments.revision {
        None => &article,
        Some(wanted) => revisions
            .iter()
            .find(|revision| revision.fields().revision == wanted)
            .ok_or_else(|| {
                DomainError::not_found("revision", format!("{wanted} of \"{}\"", article.fields().title))
            })?,
    };
    let mut out = object(Article::NAME, shown.view()?);
    let named: Vec<Value> = revisions.iter().take(REVISIONS).map(revision).collect();
    out.insert("revisions".to_owned(), named.into());
    Ok(Outcome::structured(&out)?.touching([article.id.clone()]))
}

fn revision(stored: &Stored<Article>) -> Value {
    let fields = stored.fields();
    json!({
        "revision": fields.revision,
        "title": fields.title,
        "status": fields.status,
        "change_note": fields.change_note,
    })
}

/// A slug for a title: its words with dashes between them.
fn slug_of(title: &str) -> String {
    let slug = words(title).join("-");
    let end = slug.floor_char_boundary(LONGEST_SLUG);
    let slug = slug.get(..end).unwrap_or_default().trim_matches('-').to_owned();
    if slug.is_empty() {
        "article".to_owned()
    } else {
        slug
    }
}

/// Whether another article has the slug.
async fn is_used(tx: &mut ReadTx<'_>, slug: &str, own: Option<&str>) -> Result<bool, DomainError> {
    let holder = tx
        .records(Article::NAME)
        .find_unique("slug", &slug.into())
        .await?;
    Ok(holder.is_some_and(|holder| own != Some(holder.id.as_str())))
}

fn used(slug: &str) -> DomainError {
    DomainError::Conflict(format!("slug \"{slug}\" is used; choose another"))
}

/// Plans an article.
pub(super) async fn plan_create(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let text = |name: &str| call.arguments.as_map().get(name).and_then(Value::as_str);
    let slug = match text("slug") {
        Some(slug) => slug.to_owned(),
        None => {
            let plain = slug_of(text("title").unwrap_or_default());
            let mut slug = plain.clone();
            let mut number = 1;
            while number < TRIED && is_used(tx, &slug, None).await? {
                number += 1;
                slug = format!("{plain}-{number}");
            }
            slug
        }
    };
    let author = call.principal().facts().user.to_string();
    let writing = write::create_with::<Article>(tx, &call, |doc| {
        doc.fields.slug.clone_from(&slug);
        doc.fields.author = author;
    })
    .await?;
    if !writing.is_replay() && is_used(tx, &slug, None).await? {
        return Err(used(&slug));
    }
    let published = writing.doc.fields.status == ArticleStatus::Published;
    let verb = if published { "Publish" } else { "Draft" };
    let summary = format!(
        "{verb} the {} {}",
        writing.doc.fields.visibility,
        writing.doc.fields.label()
    );
    writing.plan(&summary, &())
}

/// Plans a revision.
pub(super) async fn plan_update(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before = write::named::<Article>(tx, &call).await?;
    let id = before.id.clone();
    let note = call.arguments.as_map().get("change_note").and_then(Value::as_str);
    let note = note.map(str::to_owned);
    let writing = write::update_with(tx, &call, before, |doc| doc.fields.change_note = note).await?;
    if is_used(tx, &writing.doc.fields.slug, Some(&id)).await? {
        return Err(used(&writing.doc.fields.slug));
    }
    let label = writing
        .before
        .as_ref()
        .map(|before| before.fields().label())
        .unwrap_or_default();
    let note = &writing.doc.fields.change_note;
    let note = note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
    let summary = format!("Change {}{note}", writing.reader.text(&label));
    writing.plan(&summary, &())
}

/// Plans to take an article out of use.
pub(super) async fn plan_archive(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before = write::named::<Article>(tx, &call).await?;
    if before.fields().status == ArticleStatus::Archived {
        return Err(DomainError::Conflict(
            "the article is archived already; update_knowledge_article with status draft brings it back"
                .to_owned(),
        ));
    }
    let reason = call.arguments.as_map().get("reason").and_then(Value::as_str);
    let reason = reason.map(str::to_owned);
    let own = before.id.clone();
    let writing = write::update_with(tx, &call, before, |doc| {
        doc.fields.status = ArticleStatus::Archived;
        doc.fields.change_note = reason;
    })
    .await?;
    if writing.doc.fields.redirect_to.as_deref() == Some(own.as_str()) {
        return Err(DomainError::argument("redirect_to: must be another article"));
    }
    let label = writing
        .before
        .as_ref()
        .map(|before| before.fields().label())
        .unwrap_or_default();
    let summary = format!("Archive {}", writing.reader.text(&label));
    let blind = blind_redirect(tx, &writing.doc.fields, &writing.reader).await?;
    let mut plan = writing.plan(&summary, &())?;
    if let Some(warning) = blind {
        plan = plan.with_warning(warning);
    }
    Ok(plan.with_effect("readers and the bot do not find it any more"))
}

/// What to say where whoever follows the old address would come to an article that is not for them.
async fn blind_redirect(
    tx: &mut ReadTx<'_>,
    archived: &Article,
    reader: &Reader,
) -> Result<Option<String>, DomainError> {
    let Some(id) = &archived.redirect_to else {
        return Ok(None);
    };
    let target: Stored<Article> = record::get(tx, id).await?;
    Ok((!target.fields().is_quotable()).then(|| {
        format!(
            "{} is not published for everybody: whoever follows the old address finds nothing",
            reader.text(&target.fields().label())
        )
    }))
}

/// Archives it.
pub(super) async fn archive(tx: &mut TenantTx<'_>, apply: Apply) -> Result<ToolResult, DomainError> {
    let carried: Carried = apply.plan.payload()?;
    let article = carried.write::<Article>(tx, &apply, carried.doc()?).await?;
    carried
        .answer(tx, object(Article::NAME, article.view()?), [article.id])
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_made_of_words() {
        for (title, slug) in [
            ("Refund policy", "refund-policy"),
            ("  What's new in 2.0?  ", "what-s-new-in-2-0"),
            ("Rückgabe", "ruckgabe"),
            ("!!!", "article"),
        ] {
            assert_eq!(slug_of(title), slug);
        }
        assert!(slug_of(&"word ".repeat(100)).len() <= LONGEST_SLUG);
    }
}
