//! The three kinds: what each is called, how it is listed, and what of it a page changes.

use serde_json::{Map, Value};

use super::{
    super::{
        records::{Cell, Choice, Filter, List, Row},
        teammate::Team,
        text::{shown, spaced},
    },
    MENU,
};

const STAGES: [&str; 4] = ["prospect", "active", "at_risk", "churned"];
const LEAD_STATES: [&str; 5] = ["new", "working", "qualified", "disqualified", "converted"];
const SIBLINGS: &[(&str, &str)] = &[
    ("/console/accounts", "Accounts"),
    ("/console/contacts", "Contacts"),
    ("/console/leads", "Leads"),
];

/// How a field is changed on its page.
pub(super) enum Entry {
    Text,
    Number,
    OneOf(&'static [&'static str]),
    Person,
}

/// One kind of record.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) get: &'static str,
    pub(super) update: &'static str,
    /// What of it can be changed, by the tool's arguments.
    pub(super) entries: &'static [(&'static str, &'static str, Entry)],
    pub(super) list: List,
    pub(super) row: fn(&Map<String, Value>, &Team) -> Row,
}

pub(super) static ACCOUNTS: Kind = Kind {
    name: "account",
    get: "get_account",
    update: "update_account",
    entries: &[
        ("name", "Name", Entry::Text),
        ("domain", "Domain", Entry::Text),
        ("website", "Website", Entry::Text),
        ("industry", "Industry", Entry::Text),
        ("lifecycle_stage", "Stage", Entry::OneOf(&STAGES)),
        ("health_score", "Health, 0 to 100", Entry::Number),
        ("owner", "Whose", Entry::Person),
    ],
    list: List {
        menu: MENU,
        title: "Accounts",
        intro: "Companies, with their people, deals and tickets.",
        path: "/console/accounts",
        tool: "list_accounts",
        filters: &[
            Filter::many("lifecycle_stage", "Stage", &STAGES),
            Filter::new("owner", "Whose", Choice::Person),
            Filter::new("q", "Words", Choice::Words),
        ],
        heads: &["Account", "Stage", "Health", "Whose"],
        empty: "Assistants add companies with create_account, and when a lead is converted.",
        new: None,
        siblings: SIBLINGS,
    },
    row: |map, team| Row {
        link: link("accounts", map),
        title: part(map, "name"),
        sub: part(map, "domain"),
        cells: vec![
            stage(map, "lifecycle_stage"),
            part(map, "health_score").into(),
            team.name(word(map, "owner")).into(),
        ],
    },
};

pub(super) static CONTACTS: Kind = Kind {
    name: "contact",
    get: "get_contact",
    update: "update_contact",
    entries: &[
        ("name", "Name", Entry::Text),
        ("email", "E-mail address", Entry::Text),
        ("phone", "Telephone", Entry::Text),
        ("title", "Position", Entry::Text),
        ("owner", "Whose", Entry::Person),
    ],
    list: List {
        menu: MENU,
        title: "Contacts",
        intro: "People of accounts.",
        path: "/console/contacts",
        tool: "list_contacts",
        filters: &[
            Filter::new("account_id", "Account", Choice::Words),
            Filter::new("owner", "Whose", Choice::Person),
            Filter::new("q", "Words", Choice::Words),
        ],
        heads: &["Contact", "Position", "Telephone", "Whose"],
        empty: "Assistants add people with create_contact, and when a lead is converted.",
        new: None,
        siblings: SIBLINGS,
    },
    row: |map, team| Row {
        link: link("contacts", map),
        title: part(map, "name"),
        sub: part(map, "email"),
        cells: vec![
            part(map, "title").into(),
            part(map, "phone").into(),
            team.name(word(map, "owner")).into(),
        ],
    },
};

pub(super) static LEADS: Kind = Kind {
    name: "lead",
    get: "get_lead",
    update: "update_lead",
    entries: &[
        ("name", "Name", Entry::Text),
        ("email", "E-mail address", Entry::Text),
        ("phone", "Telephone", Entry::Text),
        ("company", "Company", Entry::Text),
        ("title", "Position", Entry::Text),
        ("status", "State", Entry::OneOf(&LEAD_STATES)),
        ("owner", "Whose", Entry::Person),
    ],
    list: List {
        menu: MENU,
        title: "Leads",
        intro: "People who may become customers.",
        path: "/console/leads",
        tool: "list_leads",
        filters: &[
            Filter::many("status", "State", &LEAD_STATES),
            Filter::new("owner", "Whose", Choice::Person),
            Filter::new("q", "Words", Choice::Words),
        ],
        heads: &["Lead", "Company", "State", "Whose"],
        empty: "Strangers who write become leads; assistants add them with create_lead.",
        new: None,
        siblings: SIBLINGS,
    },
    row: |map, team| Row {
        link: link("leads", map),
        title: part(map, "name"),
        sub: part(map, "email"),
        cells: vec![
            part(map, "company").into(),
            stage(map, "status"),
            team.name(word(map, "owner")).into(),
        ],
    },
};

pub(super) fn word<'m>(map: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    map.get(name)?.as_str()
}

pub(super) fn part(map: &Map<String, Value>, name: &str) -> String {
    map.get(name).map(shown).unwrap_or_default()
}

pub(super) fn link(place: &str, map: &Map<String, Value>) -> String {
    format!("/console/{place}/{}", part(map, "id"))
}

pub(super) fn stage(map: &Map<String, Value>, name: &str) -> Cell {
    let word = part(map, name);
    let class = match word.as_str() {
        "active" | "qualified" | "converted" | "won" => "good",
        "at_risk" => "warn",
        "churned" | "lost" => "bad",
        _ => "",
    };
    Cell::state(spaced(&word), class)
}
