//! The four kinds: what each is called, how it is listed, and what of it a form asks for.

use serde_json::{Map, Value};

use super::{
    super::{
        inputs::{Entry, Input, money},
        making::Making,
        records::{Cell, Choice, Filter, List, Row},
        teammate::Team,
        text::{shown, spaced},
    },
    MENU,
};

const STAGES: [&str; 4] = ["prospect", "active", "at_risk", "churned"];
const LEAD_STATES: [&str; 5] = ["new", "working", "qualified", "disqualified", "converted"];
const DEAL_STAGES: [&str; 5] = ["qualification", "proposal", "negotiation", "won", "lost"];
const SIBLINGS: &[(&str, &str)] = &[
    ("/console/accounts", "Accounts"),
    ("/console/contacts", "Contacts"),
    ("/console/leads", "Leads"),
    ("/console/opportunities", "Opportunities"),
];
const OWNER: Entry = Entry::new("owner", "Whose", Input::Person);
const TAGS: Entry = Entry::new("tags", "Tags", Input::Words).hint("With commas between them.");
const ACCOUNT: Entry = Entry::new("account_id", "Account", Input::Text)
    .needed()
    .when_new()
    .hint("Its name, domain or id.");
/// Money that may come in, and in what.
const CURRENCY: Entry = Entry::new("currency", "Currency", Input::Text).hint("Three letters, such as USD.");

/// One kind of record.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) get: &'static str,
    pub(super) update: &'static str,
    pub(super) making: Making,
    pub(super) list: List,
    /// What can be begun from its page: where that leads, up to the id, and what it is called.
    pub(super) begins: &'static [(&'static str, &'static str)],
    pub(super) row: fn(&Map<String, Value>, &Team) -> Row,
}

pub(super) static ACCOUNTS: Kind = Kind {
    name: "account",
    get: "get_account",
    update: "update_account",
    making: Making {
        menu: MENU,
        title: "New account",
        path: "/console/accounts/new",
        back: "/console/accounts",
        tool: "create_account",
        kind: "account",
        entries: &[
            Entry::new("name", "Name", Input::Text).needed(),
            Entry::new("domain", "Domain", Input::Text),
            Entry::new("website", "Website", Input::Text),
            Entry::new("industry", "Industry", Input::Text),
            Entry::new("lifecycle_stage", "Stage", Input::OneOf(&STAGES)),
            Entry::new("health_score", "Health, 0 to 100", Input::Whole(100)),
            OWNER,
            TAGS,
        ],
        always: &[],
    },
    begins: &[
        ("/console/contacts/new?account_id=", "Add a contact"),
        ("/console/opportunities/new?account_id=", "Add a deal"),
        ("/console/tickets/new?account_id=", "Open a ticket"),
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
        new: Some(("/console/accounts/new", "Add an account")),
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
    making: Making {
        menu: MENU,
        title: "New contact",
        path: "/console/contacts/new",
        back: "/console/contacts",
        tool: "create_contact",
        kind: "contact",
        entries: &[
            Entry::new("name", "Name", Input::Text).needed(),
            ACCOUNT,
            Entry::new("email", "E-mail address", Input::Text),
            Entry::new("phone", "Telephone", Input::Text),
            Entry::new("title", "Position", Input::Text),
            OWNER,
            TAGS,
        ],
        always: &[],
    },
    begins: &[("/console/tickets/new?requester=", "Open a ticket")],
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
        new: Some(("/console/contacts/new", "Add a contact")),
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
    making: Making {
        menu: MENU,
        title: "New lead",
        path: "/console/leads/new",
        back: "/console/leads",
        tool: "create_lead",
        kind: "lead",
        entries: &[
            Entry::new("name", "Name", Input::Text).needed(),
            Entry::new("email", "E-mail address", Input::Text),
            Entry::new("phone", "Telephone", Input::Text),
            Entry::new("company", "Company", Input::Text),
            Entry::new("title", "Position", Input::Text),
            Entry::new("status", "State", Input::OneOf(&LEAD_STATES)).when_changed(),
            Entry::new("value_cents", "Worth", Input::Money),
            CURRENCY,
            OWNER,
            TAGS,
            Entry::new("note", "Note", Input::Long).when_new(),
        ],
        always: &[("source", "manual")],
    },
    begins: &[],
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
        new: Some(("/console/leads/new", "Add a lead")),
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

pub(super) static OPPORTUNITIES: Kind = Kind {
    name: "opportunity",
    get: "get_opportunity",
    update: "update_opportunity",
    making: Making {
        menu: MENU,
        title: "New deal",
        path: "/console/opportunities/new",
        back: "/console/opportunities",
        tool: "create_opportunity",
        kind: "opportunity",
        entries: &[
            Entry::new("name", "Name", Input::Text).needed(),
            ACCOUNT,
            Entry::new("contact_ids", "People", Input::Words)
                .when_new()
                .hint("Their e-mail addresses, with commas between them."),
            Entry::new("stage", "Stage", Input::OneOf(&DEAL_STAGES)),
            Entry::new("amount_cents", "Amount", Input::Money),
            CURRENCY,
            Entry::new("probability", "Likely, in percent", Input::Whole(100)),
            Entry::new("close_date", "Closes", Input::Day),
            OWNER,
            Entry::new("lost_reason", "Why it was lost", Input::Text).when_changed(),
        ],
        always: &[],
    },
    begins: &[],
    list: List {
        menu: MENU,
        title: "Opportunities",
        intro: "Deals with accounts, from the first talk to won or lost.",
        path: "/console/opportunities",
        tool: "list_opportunities",
        filters: &[
            Filter::many("stage", "Stage", &DEAL_STAGES),
            Filter::new("account_id", "Account", Choice::Words),
            Filter::new("owner", "Whose", Choice::Person),
        ],
        heads: &["Deal", "Stage", "Amount", "Whose"],
        empty: "Deals are added here or by assistants with create_opportunity, and when a lead is converted.",
        new: Some(("/console/opportunities/new", "Add a deal")),
        siblings: SIBLINGS,
    },
    row: |map, team| Row {
        link: link("opportunities", map),
        title: part(map, "name"),
        sub: part(map, "close_date"),
        cells: vec![
            stage(map, "stage"),
            amount(map, "amount_cents").into(),
            team.name(word(map, "owner")).into(),
        ],
    },
};

/// An amount with its currency; empty when there is none.
pub(super) fn amount(map: &Map<String, Value>, name: &str) -> String {
    match map.get(name) {
        Some(cents) => format!("{} {}", money(cents), part(map, "currency")),
        None => String::new(),
    }
}

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
