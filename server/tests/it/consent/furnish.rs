//! Records for the workspace of a world.

use std::sync::Arc;

use footbridge_server::{catalogue::Edition, store::KeyConfirm};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    house::with,
    world::{Caller, Said, World},
};
use crate::store::harness::tenant;

impl World {
    /// The result of a call that the tool's policy may ask about.
    async fn confirmed(&self, caller: &Caller, name: &str, arguments: Value) -> Value {
        let tools = caller.edition.tools();
        let tool = tools.iter().find(|tool| tool.name.as_str() == name).unwrap();
        let Said::Result(preview) = self.call(caller, tool, &arguments, false, None).await else {
            panic!("{name} {arguments} is not previewed");
        };
        let token = preview["confirmation_token"].as_str().unwrap();
        let said = self
            .call(caller, tool, &with(&arguments, token), false, None)
            .await;
        match said {
            Said::Result(answer) if answer["status"] == "done" => answer["result"].clone(),
            other => panic!("{name} {arguments}: {other:?}"),
        }
    }

    /// A record of each kind that examples of the workspace are about. Not by the examples themselves: what they add cannot
    /// be added again.
    pub(super) async fn furnish(&mut self, edition: &Arc<Edition>) {
        let caller = self.caller(edition, "acme", None, KeyConfirm::Inherit).await;
        self.known.clear();
        for (placeholder, tool, kind, arguments) in [
            (
                "$account",
                "create_account",
                "account",
                json!({ "name": "Analytical" }),
            ),
            (
                "$contact",
                "create_contact",
                "contact",
                json!({ "name": "Charles", "account_id": "$account" }),
            ),
            (
                "$opportunity",
                "create_opportunity",
                "opportunity",
                json!({ "name": "Engine", "account_id": "$account" }),
            ),
            (
                "$lead",
                "create_lead",
                "lead",
                json!({ "name": "Ada", "company": "Notes & Co" }),
            ),
            ("$spare_lead", "create_lead", "lead", json!({ "name": "Spam" })),
            (
                "$ticket",
                "create_ticket",
                "ticket",
                json!({ "title": "Printer" }),
            ),
            (
                "$article",
                "create_knowledge_article",
                "article",
                json!({ "title": "Refunds", "body_markdown": "Soon." }),
            ),
            (
                "$spare_article",
                "create_knowledge_article",
                "article",
                json!({ "title": "Old prices", "body_markdown": "Old.", "status": "published" }),
            ),
            // One that can answer.
            (
                "$channel",
                "create_channel",
                "channel",
                json!({ "name": "Help", "type": "email", "routing": "manual",
                "delivery": { "adapter": "smtp", "target": "help@acme.test" } }),
            ),
        ] {
            let mut text = arguments.to_string();
            for (placeholder, id) in &self.known {
                text = text.replace(placeholder, id);
            }
            let made = self
                .confirmed(&caller, tool, serde_json::from_str(&text).unwrap())
                .await;
            self.known.insert(
                placeholder.to_owned(),
                made[kind]["id"].as_str().unwrap().to_owned(),
            );
        }
        // Nobody inside can begin a conversation.
        let workspace = &self.booted.workspace;
        let secret = workspace
            .new_channel_secret(&tenant("acme"), &self.known["$channel"])
            .await
            .unwrap();
        let knock = workspace.knock(secret.inbound.expose_secret()).await.unwrap();
        let message = json!({ "from": { "email": "ada@analytical.test" }, "subject": "Printer", "body": "It is stuck." });
        let said = knock.unwrap().json(message.to_string().as_bytes()).await.unwrap();
        let id = said["conversation_id"].as_str().unwrap().to_owned();
        self.known.insert("$conversation".to_owned(), id);
    }
}
