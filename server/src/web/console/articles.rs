//! Articles of the knowledge base: listed, read as their readers see them, in any revision, and written, published and
//! archived in two steps.

use askama::Template;
use axum::{
    Router,
    extract::{Path, RawQuery},
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Fields, Frame, PageError, Posted,
    consent::{self, Place, Proposal, Taken},
    records::{self, Cell, Choice, Filter, List, Row},
    render,
    teammate::{Refusal, Team, Teammate},
    text,
    tickets::with_version,
};
use crate::{
    domain::workspace::page_html,
    vocabulary::Timestamp,
    web::{Query, Web},
};

const MENU: &str = "Articles";
const READERS: [&str; 2] = ["internal", "public"];
const NEW: &str = "/console/articles/new";

static LIST: List = List {
    menu: MENU,
    title: "Articles",
    intro: "The knowledge base. Published public articles answer the bot and the chat window, and everybody can read them.",
    path: "/console/articles",
    tool: "list_knowledge_articles",
    filters: &[
        Filter {
            any: "published",
            ..Filter::new("status", "State", Choice::OneOf(&["draft", "archived"]))
        },
        Filter::new("visibility", "Read by", Choice::OneOf(&READERS)),
        Filter::new("collection", "Collection", Choice::Words),
        Filter::new("author", "Author", Choice::Person),
    ],
    heads: &["Article", "State", "Read by", "Author", "Changed"],
    empty: "No published article yet. Drafts are listed when they are asked for.",
    new: Some((NEW, "Write an article")),
    siblings: &[],
};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/console/articles", get(list))
        .route(NEW, get(blank).post(create))
        .route("/console/articles/{id}", get(show).post(act))
        .route("/console/articles/{id}/edit", get(edit))
}

/// An article, as the tools answer it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Article {
    id: String,
    title: String,
    slug: String,
    body_markdown: String,
    collection: Option<String>,
    status: String,
    visibility: String,
    revision: u32,
    author: String,
    change_note: Option<String>,
    redirect_to: Option<String>,
    updated_at: Option<Timestamp>,
    version: i64,
}

impl Article {
    fn link(&self) -> String {
        format!("/console/articles/{}", self.id)
    }

    fn state(&self) -> Cell {
        let class = match self.status.as_str() {
            "published" => "good",
            "draft" => "warn",
            _ => "",
        };
        Cell::state(self.status.clone(), class)
    }

    fn row(&self, team: &Team) -> Row {
        Row {
            link: self.link(),
            title: self.title.clone(),
            sub: self.collection.clone().unwrap_or_default(),
            cells: vec![
                self.state(),
                readers(&self.visibility).to_owned().into(),
                team.name(Some(&self.author)).into(),
                self.updated_at.map(text::when).unwrap_or_default().into(),
            ],
        }
    }

    fn is_public(&self) -> bool {
        self.status == "published" && self.visibility == "public"
    }
}

fn readers(visibility: &str) -> &'static str {
    if visibility == "public" {
        "everybody"
    } else {
        "the team"
    }
}

async fn list(by: Teammate, RawQuery(query): RawQuery) -> Result<Response, PageError> {
    records::show(&by, &LIST, query.as_deref(), |article: Article, team| {
        article.row(team)
    })
    .await
}

#[derive(Debug, Deserialize)]
struct Revision {
    revision: u32,
    status: String,
    change_note: Option<String>,
}

/// What `get_knowledge_article` answers.
#[derive(Debug, Deserialize)]
struct Whole {
    article: Article,
    #[serde(default)]
    revisions: Vec<Revision>,
}

async fn find(by: &Teammate, id: &str, revision: Option<u32>) -> Result<Whole, Refusal> {
    let mut arguments = json!({ "id": id });
    if let (Some(map), Some(revision)) = (arguments.as_object_mut(), revision) {
        map.insert("revision".to_owned(), revision.into());
    }
    by.read("get_knowledge_article", &arguments).await
}

#[derive(Template)]
#[template(path = "console/article.html")]
struct ArticlePage {
    frame: Frame,
    body: String,
    state: Cell,
    readers: &'static str,
    author: String,
    changed: String,
    outside: String,
    article: Article,
    revisions: Vec<Revision>,
    /// An earlier revision is shown.
    earlier: bool,
    problem: String,
    may_act: bool,
}

async fn page(by: &Teammate, whole: Whole, done: &str, problem: String) -> Result<ArticlePage, PageError> {
    let team = by.team().await?;
    let Whole { article, revisions } = whole;
    let newest = revisions.first().map_or(article.revision, |first| first.revision);
    let outside = if article.is_public() {
        format!("/kb/{}/{}", by.tenant(), article.slug)
    } else {
        String::new()
    };
    Ok(ArticlePage {
        frame: Frame::new(by, MENU, Some(done)),
        body: page_html(&article.body_markdown),
        state: article.state(),
        readers: readers(&article.visibility),
        author: team.name(Some(&article.author)),
        changed: article.updated_at.map(text::when).unwrap_or_default(),
        earlier: article.revision != newest,
        may_act: by.may_act(),
        outside,
        article,
        revisions,
        problem,
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ShowQuery {
    done: String,
    revision: Option<u32>,
}

async fn show(
    by: Teammate,
    Path(id): Path<String>,
    Query(query): Query<ShowQuery>,
) -> Result<Response, PageError> {
    let whole = find(&by, &id, query.revision).await?;
    let page = page(&by, whole, &query.done, String::new()).await?;
    Ok(render(&page)?.into_response())
}

#[derive(Template)]
#[template(path = "console/article_edit.html")]
struct EditPage {
    frame: Frame,
    /// Where the form goes.
    path: String,
    back: String,
    is_new: bool,
    article: Article,
    note: String,
    problem: String,
}

impl EditPage {
    fn new(by: &Teammate, article: Article) -> Self {
        let is_new = article.id.is_empty();
        Self {
            frame: Frame::new(by, MENU, None),
            path: if is_new { NEW.to_owned() } else { article.link() },
            back: if is_new {
                LIST.path.to_owned()
            } else {
                article.link()
            },
            is_new,
            article,
            note: String::new(),
            problem: String::new(),
        }
    }

    /// The same with what was sent, and why that cannot be.
    fn again(mut self, fields: &Fields, problem: String) -> Self {
        let article = &mut self.article;
        fields.get("title").clone_into(&mut article.title);
        fields.get("slug").clone_into(&mut article.slug);
        fields.get("visibility").clone_into(&mut article.visibility);
        article.collection = Some(fields.get("collection").to_owned());
        article.body_markdown = body(fields);
        article.version = fields.get("version").parse().unwrap_or(article.version);
        fields.get("change_note").clone_into(&mut self.note);
        self.problem = problem;
        self
    }
}

fn body(fields: &Fields) -> String {
    fields.exact("body").replace("\r\n", "\n")
}

async fn blank(by: Teammate) -> Result<Response, PageError> {
    by.must_act()?;
    Ok(render(&EditPage::new(&by, Article::default()))?.into_response())
}

async fn edit(by: Teammate, Path(id): Path<String>) -> Result<Response, PageError> {
    let whole = find(&by, &id, None).await?;
    by.must_act()?;
    Ok(render(&EditPage::new(&by, whole.article))?.into_response())
}

async fn create(posted: Posted<Teammate>) -> Result<Response, PageError> {
    let Posted { by, fields } = posted;
    let place = Place {
        menu: MENU,
        path: NEW,
        back: LIST.path,
        list: LIST.path,
        makes: Some("article"),
    };
    match consent::take(&by, &place, &fields, making(&fields)).await? {
        Taken::Answer(response) => Ok(response),
        Taken::Again(problem) => {
            let page = EditPage::new(&by, Article::default()).again(&fields, problem);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
        }
    }
}

/// What the form of a new article asks for.
fn making(fields: &Fields) -> Option<Proposal<'static>> {
    if fields.get("act") != "save" {
        return None;
    }
    let mut arguments = Map::new();
    arguments.insert("title".to_owned(), fields.get("title").into());
    arguments.insert("body_markdown".to_owned(), body(fields).into());
    for name in ["slug", "collection", "visibility"] {
        if !fields.get(name).is_empty() {
            arguments.insert(name.to_owned(), fields.get(name).into());
        }
    }
    Some(Proposal {
        tool: "create_knowledge_article",
        arguments: Value::Object(arguments),
        done: "created",
    })
}

/// What a button asks for.
fn proposal(article: &Article, fields: &Fields) -> Option<Proposal<'static>> {
    let id = article.id.as_str();
    let update = |arguments: Value| Proposal {
        tool: "update_knowledge_article",
        arguments: with_version(arguments, fields),
        done: "changed",
    };
    match fields.get("act") {
        "save" => {
            let mut arguments = Map::from_iter([("id".to_owned(), Value::from(id))]);
            let was = article.collection.as_deref().unwrap_or_default();
            let text = body(fields);
            let given = [
                ("title", fields.get("title"), article.title.as_str()),
                ("slug", fields.get("slug"), article.slug.as_str()),
                (
                    "visibility",
                    fields.get("visibility"),
                    article.visibility.as_str(),
                ),
                ("collection", fields.get("collection"), was),
                ("body_markdown", text.as_str(), article.body_markdown.as_str()),
                ("change_note", fields.get("change_note"), ""),
            ];
            for (name, given, was) in given {
                if given != was {
                    arguments.insert(name.to_owned(), given.into());
                }
            }
            Some(update(Value::Object(arguments)))
        }
        "publish" => Some(update(json!({ "id": id, "status": "published" }))),
        "draft" => Some(update(json!({ "id": id, "status": "draft" }))),
        "archive" => {
            let mut arguments = json!({ "id": id });
            let to = fields.get("redirect_to");
            if !to.is_empty()
                && let Some(map) = arguments.as_object_mut()
            {
                map.insert("redirect_to".to_owned(), to.into());
            }
            Some(Proposal {
                tool: "archive_knowledge_article",
                arguments,
                done: "archived",
            })
        }
        _ => None,
    }
}

async fn act(Path(id): Path<String>, posted: Posted<Teammate>) -> Result<Response, PageError> {
    let Posted { by, fields } = posted;
    let whole = find(&by, &id, None).await?;
    let path = whole.article.link();
    let proposal = proposal(&whole.article, &fields);
    match consent::take(&by, &Place::of(MENU, &path), &fields, proposal).await? {
        Taken::Answer(response) => Ok(response),
        Taken::Again(problem) => {
            let shown = if fields.get("act") == "save" {
                render(&EditPage::new(&by, whole.article).again(&fields, problem))?
            } else {
                render(&page(&by, whole, "", problem).await?)?
            };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, shown).into_response())
        }
    }
}
