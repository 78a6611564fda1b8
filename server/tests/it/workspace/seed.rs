//! A workspace in which the placeholders of the catalogue's examples stand for something.

use std::collections::BTreeMap;

use footbridge_server::operate::{Actor, flows};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::house::{ALL, Rooms};
use crate::store::harness::{self, Place};

/// What the placeholders of examples stand for.
type Ids = BTreeMap<&'static str, String>;

/// A house with two tenants, each with the same few records.
pub(crate) struct Seeded {
    pub(crate) rooms: Rooms,
    /// The records of `acme`.
    pub(crate) ids: Ids,
    /// The records of `zeta`.
    pub(crate) others: Ids,
}

/// Makes it.
pub(crate) async fn seeded(place: Place) -> Seeded {
    let rooms = Rooms::with(place).await;
    let others = records(&rooms, "zeta").await;
    let ids = records(&rooms, "acme").await;
    Seeded { rooms, ids, others }
}

/// Makes a tenant's records.
async fn records(rooms: &Rooms, tenant: &str) -> Ids {
    let mut ids = BTreeMap::new();
    let key = rooms.key(tenant, ALL).await;
    let id = |answer: &Value, kind: &str| answer[kind]["id"].as_str().unwrap().to_owned();
    let account = json!({ "name": "Analytical Ltd", "domain": "analytical.test" });
    let account = id(&rooms.confirmed(&key, "create_account", account).await, "account");
    let contact =
        json!({ "name": "Charles Babbage", "email": "charles@analytical.test", "account_id": account });
    let contact = id(&rooms.confirmed(&key, "create_contact", contact).await, "contact");
    let deal = json!({ "name": "Engine", "account_id": account, "amount_cents": 100_000 });
    let deal = id(
        &rooms.confirmed(&key, "create_opportunity", deal).await,
        "opportunity",
    );
    let lead = json!({ "name": "Ada Lovelace", "company": "Notes & Co", "email": "ada@notes.test" });
    let lead = id(&rooms.confirmed(&key, "create_lead", lead).await, "lead");
    let spare = id(
        &rooms
            .confirmed(&key, "create_lead", json!({ "name": "Spam" }))
            .await,
        "lead",
    );
    let contact_id = contact.clone();
    for (placeholder, id) in [
        ("$account", account),
        ("$contact", contact),
        ("$opportunity", deal),
        ("$lead", lead),
        ("$spare_lead", spare),
    ] {
        ids.insert(placeholder, id);
    }
    let ticket = json!({ "title": "Printer", "requester": contact_id });
    let ticket = id(&rooms.confirmed(&key, "create_ticket", ticket).await, "ticket");
    ids.insert("$ticket", ticket);
    let name = harness::tenant(tenant);
    rooms.workspace.prepare(&name).await.unwrap();
    let help =
        json!({ "slug": format!("help-{tenant}"), "name": "Help", "routing": "manual", "members": [] });
    let help = rooms.channel(tenant, help).await;
    ids.insert("$channel", help.clone());
    let made = rooms.workspace.new_channel_secret(&name, &help).await.unwrap();
    let knock = rooms.workspace.knock(made.inbound.expose_secret()).await.unwrap();
    let message = json!({ "from": { "email": "charles@analytical.test" }, "subject": "Printer", "body": "It is stuck." });
    let said = knock.unwrap().json(message.to_string().as_bytes()).await.unwrap();
    let conversation = said["conversation_id"].as_str().unwrap().to_owned();
    let mine = json!({ "id": conversation, "assignee": "me" });
    rooms.confirmed(&key, "assign_conversation", mine).await;
    ids.insert("$conversation", conversation);
    let flow = flows::switch(&rooms.store, &Actor::Operator, &name, "Urgent tickets", true).await;
    ids.insert("$flow_name", flow.unwrap().id);
    for (placeholder, title) in [("$article", "Refund policy"), ("$spare_article", "Old prices")] {
        let article = json!({
            "title": title,
            "status": "published",
            "body_markdown": "# Refunds\n\nA refund takes five working days.\n\n## Exceptions\n\nGifts.\n",
        });
        let made = rooms.confirmed(&key, "create_knowledge_article", article).await;
        ids.insert(placeholder, id(&made, "article"));
    }
    ids
}

impl Seeded {
    /// An example's arguments with its placeholders standing for records of `acme`.
    pub(crate) fn fill(&self, arguments: &toml::Table) -> Value {
        Self::fill_with(&self.ids, arguments)
    }

    /// The same for `zeta`.
    pub(crate) fn fill_others(&self, arguments: &toml::Table) -> Value {
        Self::fill_with(&self.others, arguments)
    }

    fn fill_with(ids: &Ids, arguments: &toml::Table) -> Value {
        let mut text = serde_json::to_string(arguments).unwrap();
        for (placeholder, id) in ids {
            text = text.replace(&format!("\"{placeholder}\""), &format!("\"{id}\""));
        }
        assert!(!text.contains("\"$"), "a placeholder nobody knows: {text}");
        serde_json::from_str(&text).unwrap()
    }
}
