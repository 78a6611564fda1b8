//! Lists of records: one table of filters for each list, one page for all of them.

use askama::Template;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Fields, Frame, PageError,
    asking::{Asking, Field},
    inputs::money,
    render,
    teammate::{Team, Teammate},
};

/// Records on one page.
const ON_A_PAGE: u32 = 50;
/// The name of the place in a list's address.
const TURN: &str = "after";

/// What a filter may ask for.
#[derive(Clone, Copy)]
pub(super) enum Choice {
    /// Any text.
    Words,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Somebody of the team.
    Person,
    /// Somebody of the team, or nobody.
    PersonOrNobody,
}

/// One filter of a list.
pub(super) struct Filter {
    /// In the address, and as the tool's argument.
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) choice: Choice,
    /// Whether the tool takes several at once.
    pub(super) many: bool,
    /// What is asked for when nothing is chosen.
    pub(super) any: &'static str,
}

impl Filter {
    pub(super) const fn new(name: &'static str, label: &'static str, choice: Choice) -> Self {
        Self {
            name,
            label,
            choice,
            many: false,
            any: "any",
        }
    }

    /// A choice of one word of many that the tool takes.
    pub(super) const fn many(
        name: &'static str,
        label: &'static str,
        words: &'static [&'static str],
    ) -> Self {
        Self {
            many: true,
            ..Self::new(name, label, Choice::OneOf(words))
        }
    }
}

/// A list of records.
pub(super) struct List {
    /// Its place in the menu.
    pub(super) menu: &'static str,
    pub(super) title: &'static str,
    pub(super) intro: &'static str,
    pub(super) path: &'static str,
    pub(super) tool: &'static str,
    pub(super) filters: &'static [Filter],
    pub(super) heads: &'static [&'static str],
    /// What is said where there is nothing at all.
    pub(super) empty: &'static str,
    /// Where a new one is made, and what that is called.
    pub(super) new: Option<(&'static str, &'static str)>,
    /// Lists beside this one, by address and name.
    pub(super) siblings: &'static [(&'static str, &'static str)],
}

/// One cell of a row.
#[derive(Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// The colour of a state; `None`: it is no state.
    pub(super) state: Option<&'static str>,
    /// A second state beside it.
    pub(super) also: &'static str,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}

impl Cell {
    pub(super) fn state(text: String, class: &'static str) -> Self {
        Self {
            text,
            state: Some(class),
            also: "",
        }
    }
}

/// One row.
pub(super) struct Row {
    pub(super) link: String,
    pub(super) title: String,
    pub(super) sub: String,
    pub(super) cells: Vec<Cell>,
}

#[derive(Template)]
#[template(path = "console/records.html")]
struct RecordsPage {
    frame: Frame,
    list: &'static List,
    fields: Vec<Field>,
    problem: String,
    rows: Vec<Row>,
    totals: String,
    filtered: bool,
    may_act: bool,
    next: String,
}

/// What a list's tool answers.
#[derive(Deserialize)]
struct Found<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
    totals: Option<Totals>,
}

/// What all deals that match come to, however many of them stand on the page.
#[derive(Deserialize)]
struct Totals {
    count: u64,
    #[serde(flatten)]
    sums: Sums,
    /// Where they are in several currencies: what they come to in each.
    #[serde(default)]
    by_currency: Vec<Sums>,
    /// They are more than are added up.
    #[serde(default)]
    at_least: bool,
}

/// Amounts in one currency.
#[derive(Deserialize)]
struct Sums {
    amount_cents: Value,
    weighted_cents: Value,
    #[serde(default)]
    currency: String,
}

impl Totals {
    fn shown(&self) -> String {
        let parts = match self.by_currency.as_slice() {
            [] => std::slice::from_ref(&self.sums),
            several => several,
        };
        let part = |sums: &Sums| {
            let amount = |cents| {
                format!("{} {}", money(cents), sums.currency)
                    .trim_end()
                    .to_owned()
            };
            let (all, weighted) = (amount(&sums.amount_cents), amount(&sums.weighted_cents));
            format!("{all} in all, {weighted} by how likely they are")
        };
        format!(
            "{}{} {}: {}.",
            if self.at_least { "At least " } else { "" },
            self.count,
            if self.count == 1 { "deal" } else { "deals" },
            parts.iter().map(part).collect::<Vec<_>>().join("; "),
        )
    }
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            next_cursor: None,
            totals: None,
        }
    }
}

/// Shows the page of a list that its address asks for.
///
/// # Errors
/// When the list cannot be read.
pub(super) async fn show<T: for<'de> Deserialize<'de>>(
    by: &Teammate,
    list: &'static List,
    query: Option<&str>,
    row: impl Fn(T, &Team) -> Row,
) -> Result<Response, PageError> {
    let names = list.filters.iter().map(|filter| filter.name);
    let asking = Asking::of(list.path, query, &names, TURN);
    let team = by.team().await?;
    let arguments = arguments(list, &asking);
    // What is wrong with a filter is said on the page that has it.
    let (found, problem) = match by.read::<Found<T>>(list.tool, &arguments).await {
        Ok(found) => (found, String::new()),
        Err(refusal) => (Found::default(), refusal.mendable()?),
    };
    let next = found.next_cursor.as_ref();
    let page = RecordsPage {
        frame: Frame::new(
            by,
            list.menu,
            Some(Fields::read(query.unwrap_or_default().as_bytes()).get("done")),
        ),
        list,
        fields: fields(list, &asking, &team),
        problem,
        rows: found.items.into_iter().map(|item| row(item, &team)).collect(),
        totals: found.totals.as_ref().map(Totals::shown).unwrap_or_default(),
        filtered: asking.is_filtered(),
        may_act: by.may_act(),
        next: next.map_or_else(String::new, |next| asking.link(Some(next))),
    };
    Ok(render(&page)?.into_response())
}

fn arguments(list: &List, asking: &Asking) -> Value {
    let mut arguments = Map::new();
    arguments.insert("limit".to_owned(), ON_A_PAGE.into());
    for filter in list.filters {
        let value = match (asking.get(filter.name), filter.choice, filter.many) {
            ("", ..) => continue,
            ("all", Choice::OneOf(words), true) => json!(words),
            (word, Choice::OneOf(words), _) if !words.contains(&word) => continue,
            (value, _, true) => json!([value]),
            (value, ..) => value.into(),
        };
        arguments.insert(filter.name.to_owned(), value);
    }
    if let Some(cursor) = &asking.place {
        arguments.insert("cursor".to_owned(), cursor.as_str().into());
    }
    Value::Object(arguments)
}

fn fields(list: &List, asking: &Asking, team: &Team) -> Vec<Field> {
    let pair = |value: &str, text: &str| (value.to_owned(), text.to_owned());
    let field = |filter: &Filter| Field {
        name: filter.name,
        label: filter.label.to_owned(),
        value: asking.get(filter.name).to_owned(),
        kind: "text",
        options: match filter.choice {
            Choice::Words => Vec::new(),
            Choice::OneOf(words) => {
                let words = words.iter().map(|word| pair(word, &super::text::spaced(word)));
                let all = (filter.any != "any").then(|| pair("all", "all"));
                words.chain(all).collect()
            }
            Choice::Person | Choice::PersonOrNobody => {
                let mut choices = vec![pair("me", "me")];
                if let Choice::PersonOrNobody = filter.choice {
                    choices.push(pair("unassigned", "nobody"));
                }
                choices.extend(team.choices());
                choices
            }
        },
        any: filter.any,
    };
    list.filters.iter().map(field).collect()
}
