//! `search_knowledge`: published articles by their words, each with the section that says most.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use crate::{
    domain::{
        Call, HandlerResult, Outcome,
        context::words::words,
        workspace::{
            engine::Desk,
            kinds::article::{Article, ArticleStatus, Section, Visibility},
            listing,
            record::{Kind, Stored, fold},
            shelf, snippet,
        },
    },
    store::{Condition, Matching, TenantTx},
    vocabulary::TenantId,
};

/// Articles that are ranked.
const MOST_HITS: u32 = 200;

#[derive(Debug, Deserialize)]
struct SearchArguments {
    query: String,
    visibility: String,
    collection: Option<String>,
}

/// Finds published articles, those with all the words before those with some.
pub(super) async fn search(desk: &Desk, tx: &mut TenantTx<'_>, call: Call) -> HandlerResult {
    let arguments: SearchArguments = call.arguments.clone().parse()?;
    let all = listing::question(&arguments.query);
    let mut any = all.clone();
    any.matching = Matching::Any;
    let mut hits = tx.records(Article::NAME).text_candidates(&all, MOST_HITS).await?;
    let least = hits.last().map_or(f64::INFINITY, |hit| hit.rank);
    for mut hit in tx.records(Article::NAME).text_candidates(&any, MOST_HITS).await? {
        if !hits.iter().any(|known| known.row_id == hit.row_id) {
            hit.rank = hit.rank.min(least);
            hits.push(hit);
        }
    }
    let rows: Vec<i64> = hits.iter().map(|hit| hit.row_id).collect();
    let ranks: HashMap<i64, f64> = hits.iter().map(|hit| (hit.row_id, hit.rank)).collect();
    // By their entries: of the many that hold the words, only the articles of the page are read.
    let mut conditions = vec![Condition::is("status", ArticleStatus::Published.as_str())];
    match arguments.visibility.as_str() {
        "public" => conditions.push(Condition::is("visibility", Visibility::Public.as_str())),
        "internal" => conditions.push(Condition::is("visibility", Visibility::Internal.as_str())),
        _ => {}
    }
    if let Some(collection) = &arguments.collection {
        conditions.push(Condition::is("collection", fold(collection)));
    }
    let found = tx.records(Article::NAME).meeting(&conditions, &rows).await?;
    let (page, next_cursor) = listing::ranked(desk, &call, found)?;
    let mut articles = Vec::with_capacity(page.len());
    for record in tx.records(Article::NAME).find_rows(&page).await? {
        let score = ranks.get(&record.row_id).copied().unwrap_or_default();
        articles.push((score, Stored::<Article>::of(&record)?));
    }
    let asked = words(&arguments.query);
    let (base, tenant) = (&desk.settings.base_url, call.permit.principal().tenant());
    let mut ids = Vec::new();
    let items: Vec<_> = articles
        .into_iter()
        .map(|(score, article)| {
            let fields = article.fields();
            let sections = fields.sections();
            // The first of those that say most; of articles without text, none.
            let best = sections.iter().rev().max_by_key(|section| {
                snippet::count(section.heading, &asked) * 2 + snippet::count(section.text, &asked)
            });
            let empty = Section {
                heading: "",
                text: "",
            };
            let best = best.unwrap_or(&empty);
            ids.push(article.id.clone());
            json!({
                "id": article.id,
                "title": fields.title,
                "slug": fields.slug,
                "section": best.heading,
                "snippet": snippet::around(best.text, &asked),
                "score": (score * 1_000.0).round() / 1_000.0,
                "url": format!("{base}{}", address(&article, tenant)),
                "updated_at": article.updated_at,
            })
        })
        .collect();
    let out = json!({ "items": items, "next_cursor": next_cursor });
    Ok(Outcome::structured(&out)?.touching(ids))
}

/// Where an article is read: by everybody, or by the team at the console.
fn address(article: &Stored<Article>, tenant: &TenantId) -> String {
    if article.fields().is_quotable() {
        shelf::path(tenant, &article.fields().slug)
    } else {
        format!("/console/articles/{}", article.id)
    }
}
