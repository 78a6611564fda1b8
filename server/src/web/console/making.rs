//! Pages of new records: a form, what it would make, and the yes.

use askama::Template;
use axum::{
    Router,
    extract::RawQuery,
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde_json::Value;

use super::{
    Fields, Frame, PageError, Posted,
    consent::{self, Place, Proposal, Taken},
    inputs::{self, Entry, Field},
    render,
    teammate::Teammate,
};
use crate::web::Web;

/// How records of a kind are made.
pub(super) struct Making {
    pub(super) menu: &'static str,
    pub(super) title: &'static str,
    /// Where the form stands, and the list behind it.
    pub(super) path: &'static str,
    pub(super) back: &'static str,
    pub(super) tool: &'static str,
    /// The record's kind.
    pub(super) kind: &'static str,
    pub(super) entries: &'static [Entry],
    /// What whoever fills the form in is not asked, by the tool's argument.
    pub(super) always: &'static [(&'static str, &'static str)],
}

#[derive(Template)]
#[template(path = "console/making.html")]
struct MakingPage {
    frame: Frame,
    making: &'static Making,
    fields: Vec<Field>,
    problem: String,
}

pub(super) fn router(making: &'static Making) -> Router<Web> {
    Router::new().route(
        making.path,
        get(move |by, query| blank(making, by, query)).post(move |posted| make(making, posted)),
    )
}

async fn page(
    by: &Teammate,
    making: &'static Making,
    sent: &Fields,
    problem: String,
) -> Result<MakingPage, PageError> {
    let own = by.own_fields(making.kind).await?;
    let fields = inputs::fields(making.entries, &own, None, &by.team().await?);
    Ok(MakingPage {
        frame: Frame::new(by, making.menu, None),
        making,
        fields: inputs::again(fields, sent),
        problem,
    })
}

/// An empty form, or one that a link began to fill in.
async fn blank(
    making: &'static Making,
    by: Teammate,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    by.must_act()?;
    let begun = Fields::read(query.unwrap_or_default().as_bytes());
    let page = page(&by, making, &begun, String::new()).await?;
    Ok(render(&page)?.into_response())
}

async fn make(making: &'static Making, posted: Posted<Teammate>) -> Result<Response, PageError> {
    let Posted { by, fields } = posted;
    let own = by.own_fields(making.kind).await?;
    let place = Place {
        menu: making.menu,
        path: making.path,
        back: making.back,
        list: making.back,
        makes: Some(making.kind),
    };
    let proposal = (fields.get("act") == "save").then(|| {
        let mut arguments = inputs::arguments(making.entries, &own, None, &fields);
        let always = making.always.iter();
        arguments.extend(always.map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
        Proposal {
            tool: making.tool,
            arguments: Value::Object(arguments),
            done: "created",
        }
    });
    match consent::take(&by, &place, &fields, proposal).await? {
        Taken::Answer(response) => Ok(response),
        Taken::Again(problem) => {
            let page = page(&by, making, &fields, problem).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
        }
    }
}
