//! Conversations: a raw mail becomes one, its answers continue it, strangers do not, and the seven tools work on it.

use std::{net::SocketAddr, sync::Arc};

use footbridge_server::{
    config::ConsoleSettings,
    edge::{EdgeSettings, Server, listen},
    operate::sign_in::PasswordCheck,
    store::{Draft, Field},
    web::{self, Web},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::house::{ALL, Rooms, column, lines};
use crate::{
    house::{Post, Reply},
    store::harness::{Place, for_each_engine, run, tenant, write},
};

/// The doors for people outside, open until dropped.
pub(super) struct Outside {
    pub(super) address: SocketAddr,
    _stop: DropGuard,
}

impl Rooms {
    /// Opens the doors for people outside.
    pub(super) fn open_doors(&self) -> Outside {
        self.open_doors_with(EdgeSettings::default())
    }

    pub(super) fn open_doors_with(&self, settings: EdgeSettings) -> Outside {
        let check = Arc::new(PasswordCheck::new(self.store.clone(), 1000));
        let web = Web::new(Arc::clone(&self.house), check, &ConsoleSettings::default())
            .with_workspace(Arc::clone(&self.workspace));
        let server = Server::new(Arc::clone(&self.house), settings).with_router(web::router(web));
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let ends = stop.clone();
        tokio::spawn(async move { server.serve(listener, ends).await.unwrap() });
        Outside {
            address,
            _stop: stop.drop_guard(),
        }
    }

    /// Adds a record as it lies in the store, found by these fields.
    pub(super) async fn put(&self, name: &str, kind: &'static str, id: &str, doc: Value, fields: Vec<Field>) {
        let id = id.to_owned();
        write(&self.store, name, move |tx| {
            Box::pin(async move {
                let mut draft = Draft::of(&doc)?;
                draft.fields = fields;
                tx.records(kind).insert(&id, &draft, "test").await.map(drop)
            })
        })
        .await;
    }

    /// Adds a channel `support` that sends by this adapter to this target.
    pub(super) async fn channel(&self, name: &str, change: Value) -> String {
        let mut doc = json!({
            "name": "Support", "slug": "support", "type": "email", "active": true, "routing": "round_robin",
            "members": ["usr_ben"], "delivery": { "adapter": "smtp", "target": "help@acme.test" },
        });
        for (field, value) in change.as_object().unwrap() {
            doc[field] = value.clone();
        }
        let slug = doc["slug"].as_str().unwrap().to_owned();
        let id = format!("chn_{slug}");
        let fields = vec![
            Field::unique("slug", slug.as_str()),
            Field::unique("name", slug.as_str()),
        ];
        self.put(name, "channel", &id, doc, fields).await;
        id
    }

    /// The path that messages to a channel are brought to.
    pub(super) async fn inbound(&self, name: &str, channel: &str) -> String {
        let made = self
            .workspace
            .new_channel_secret(&tenant(name), channel)
            .await
            .unwrap();
        format!("/in/{}", made.inbound.expose_secret())
    }

    /// The one conversation that is there.
    pub(super) async fn only_conversation(&self, key: &str) -> Value {
        let listed = self.call(key, "list_conversations", json!({})).await;
        let items = listed["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{listed}");
        items[0].clone()
    }
}

/// A house where `acme` takes mail through its channel `support`.
pub(super) struct Mailroom {
    pub(super) rooms: Rooms,
    /// A key with every scope.
    pub(super) key: String,
    /// Where mails are brought.
    pub(super) path: String,
    pub(super) outside: Outside,
}

impl Mailroom {
    /// `change`: how the channel differs from the usual one.
    pub(super) async fn with(place: Place, change: Value) -> Self {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        rooms.channel("acme", change).await;
        let path = rooms.inbound("acme", "support").await;
        let outside = rooms.open_doors();
        Self {
            rooms,
            key,
            path,
            outside,
        }
    }

    /// Brings a mail.
    pub(super) async fn bring(&self, mail: &str) -> Reply {
        bring(&self.outside, &self.path, mail).await
    }

    /// Brings the only mail of a test; the conversation that it begins.
    pub(super) async fn begun_by(&self, mail: &str) -> Value {
        self.bring(mail).await;
        self.rooms.only_conversation(&self.key).await["id"].clone()
    }
}

/// Brings a mail to a channel.
pub(super) async fn bring(outside: &Outside, path: &str, mail: &str) -> Reply {
    Post::to(outside.address, "", mail.replace('\n', "\r\n"))
        .set("content-type", "message/rfc822")
        .path(path)
        .send()
        .await
}

const FIRST: &str = "From: Ada Byron <ada@analytical.test>\nTo: help@acme.test\nSubject: The engine is stuck\n\
    Message-ID: <first@analytical.test>\n\nIt does not turn.\n";

fn answer_of(id: &str, from: &str) -> String {
    format!(
        "From: {from}\nTo: help@acme.test\nSubject: Re: The engine is stuck\nMessage-ID: <second@analytical.test>\n\
         In-Reply-To: <{id}>\n\nNow it turns.\n\nOn 20 Nov 2026 help@acme.test wrote:\n> Oil it.\n"
    )
}

#[test]
fn a_mail_becomes_a_conversation_that_goes_back_and_forth() {
    for_each_engine(|place| async move {
        let room = Mailroom::with(place, json!({})).await;
        let (rooms, key) = (&room.rooms, room.key.as_str());

        let said = room.bring(FIRST).await;
        assert_eq!(said.status, 202, "{said:?}");
        assert_eq!(said.json()["status"], "received");
        // The same mail again, as mail servers send what was not acknowledged.
        assert_eq!(room.bring(FIRST).await.json()["status"], "duplicate");

        let listed = rooms.only_conversation(key).await;
        let id = listed["id"].clone();
        assert_eq!(listed["subject"], "The engine is stuck");
        assert_eq!(
            listed["status"], "assigned",
            "ben is the channel's only member: {listed}"
        );
        assert_eq!(listed["last_message"]["snippet"], "It does not turn.");
        assert_eq!(listed["sla"]["first_response"]["state"], "running");
        let leads = rooms.call(key, "list_leads", json!({})).await;
        assert_eq!(column(&leads, "name"), ["Ada Byron"]);
        assert_eq!(column(&leads, "source"), ["email"]);

        let reply = json!({ "id": id, "body": "Oil it." });
        let asked = rooms.preview(key, "reply_to_conversation", reply.clone()).await;
        let shown = lines(&asked);
        assert!(
            shown.contains(&"create message.body: Oil it.".to_owned()),
            "{shown:#?}"
        );
        assert!(
            shown.contains(&"update conversation.status: assigned → waiting".to_owned()),
            "{shown:#?}"
        );
        assert_eq!(asked["preview"]["effects"][0], "a mail is sent");
        let summary = asked["preview"]["summary"].as_str().unwrap();
        assert!(
            summary.starts_with("Reply by mail to ada@analytical.test"),
            "{summary}"
        );
        let sent = rooms.confirmed(key, "reply_to_conversation", reply).await;
        assert_eq!(sent["conversation"]["status"], "waiting");
        assert_eq!(sent["conversation"]["sla"]["first_response"]["state"], "met");
        assert_eq!(sent["conversation"]["sla"]["resolution"]["state"], "paused");
        assert_eq!(sent["message"]["delivery"]["status"], "queued");
        let mail_id = sent["message"]["mail_id"].as_str().unwrap();
        assert!(mail_id.ends_with("@acme.test"), "{mail_id}");

        let said = room.bring(&answer_of(mail_id, "Ada <ADA@analytical.test>")).await;
        assert_eq!(said.json()["conversation_id"], id, "{said:?}");
        let whole = rooms.call(key, "get_conversation", json!({ "id": id })).await;
        assert_eq!(whole["conversation"]["status"], "assigned");
        assert_eq!(whole["conversation"]["sla"]["resolution"]["state"], "running");
        let messages = whole["messages"].as_array().unwrap();
        let bodies: Vec<_> = messages.iter().map(|message| &message["body"]).collect();
        assert_eq!(bodies, ["It does not turn.", "Oil it.", "Now it turns."]);
        assert_eq!(
            messages[2]["quoted"],
            "On 20 Nov 2026 help@acme.test wrote:\n> Oil it."
        );
    });
}

#[test]
fn naming_a_conversation_is_not_being_in_it() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        rooms.channel("acme", json!({})).await;
        rooms.channel("zeta", json!({})).await;
        let path = rooms.inbound("acme", "support").await;
        let other = rooms.inbound("zeta", "support").await;
        let outside = rooms.open_doors();
        bring(&outside, &path, FIRST).await;
        // Somebody else answers a mail that they saw; and the same sender, in another tenant.
        let forged = bring(
            &outside,
            &path,
            &answer_of("first@analytical.test", "eve@evil.test"),
        )
        .await;
        assert_eq!(forged.json()["new_conversation"], true, "{forged:?}");
        let elsewhere = bring(
            &outside,
            &other,
            &answer_of("first@analytical.test", "ada@analytical.test"),
        )
        .await;
        assert_eq!(elsewhere.json()["new_conversation"], true, "{elsewhere:?}");
        let id = bring(&outside, &path, FIRST).await.json()["conversation_id"].clone();
        let as_json =
            json!({ "from": { "email": "eve@evil.test" }, "body": "me too", "conversation_id": id });
        let said = Post::to(outside.address, "", as_json).path(&path).send().await;
        assert_eq!(said.json()["new_conversation"], true, "{said:?}");
        let whole = rooms.call(&key, "get_conversation", json!({ "id": id })).await;
        assert_eq!(whole["messages"].as_array().unwrap().len(), 1, "{whole}");
        // Another tenant's key finds nothing by the id.
        let stranger = rooms.key("zeta", ALL).await;
        let said = rooms
            .refusal(&stranger, "get_conversation", json!({ "id": id }))
            .await;
        assert!(said.starts_with("404 Not Found: conversation "), "{said}");
    });
}

#[test]
fn what_cannot_be_used_is_answered_before_it_costs_anything() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let channel = rooms.channel("acme", json!({})).await;
        let path = rooms.inbound("acme", &channel).await;
        let mut settings = EdgeSettings::default();
        (settings.body_bytes, settings.mail_bytes) = (64 * 1024, 6_000_000);
        let outside = rooms.open_doors_with(settings);
        let post = |path: &str, kind: &str, body: String| {
            Post::to(outside.address, "", body)
                .set("content-type", kind)
                .path(path)
        };
        let wrong = format!("/in/chs_acme.{}", "0".repeat(64));
        assert_eq!(bring(&outside, &wrong, FIRST).await.status, 404);
        assert_eq!(bring(&outside, "/in/anything", FIRST).await.status, 404);
        for (kind, body, status, says) in [
            ("message/rfc822", String::new(), 400, "RFC 5322"),
            ("message/rfc822", "not a mail".to_owned(), 400, "sender"),
            (
                "message/rfc822",
                "Subject: nobody\r\n\r\nhello".to_owned(),
                400,
                "sender",
            ),
            ("application/json", "{".to_owned(), 400, "not what is expected"),
            (
                "application/json",
                json!({ "from": { "email": "a@b.test" }, "body": "x".repeat(20_001) }).to_string(),
                400,
                "body:",
            ),
            (
                "application/json",
                format!("\"{}\"", "x".repeat(300_000)),
                413,
                "larger",
            ),
            ("text/html", "<p>".to_owned(), 415, "message/rfc822"),
            ("message/rfc822", "x".repeat(6_000_001), 413, "6000000"),
        ] {
            let said = post(&path, kind, body).send().await;
            assert_eq!(said.status, status, "{kind} {says}: {said:?}");
            assert!(said.text().contains(says), "{says}: {said:?}");
        }
        // A large picture passes, and is named.
        let picture = format!("{}\n", "QUJD".repeat(19)).repeat(4_000_000 / 57);
        let mail = format!(
            "From: a@b.test\nSubject: Look\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"cut\"\n\n\
             --cut\nContent-Type: text/html\n\n<script>alert(1)</script><p>See the <b>picture</b></p>\n\
             --cut\nContent-Type: image/png; name=\"engine.png\"\nContent-Disposition: attachment; filename=\"engine.png\"\n\
             Content-Transfer-Encoding: base64\n\n{picture}--cut--\n"
        );
        let said = bring(&outside, &path, &mail).await;
        assert_eq!(said.status, 202, "{said:?}");
        // Programs are not answered, and are told that all is well.
        let away = "From: a@b.test\nAuto-Submitted: auto-replied\nSubject: Away\n\nI am away.\n";
        let said = bring(&outside, &path, away).await;
        assert_eq!((said.status, &said.json()["reason"]), (202, &json!("automatic")));
        let own = "From: help@acme.test\nSubject: Mine\n\nLoop.\n";
        assert_eq!(bring(&outside, &path, own).await.json()["reason"], "loop");

        let only = rooms.only_conversation(&key).await;
        let whole = rooms
            .call(&key, "get_conversation", json!({ "id": only["id"] }))
            .await;
        let message = &whole["messages"][0];
        assert_eq!(message["body"], "See the picture");
        assert_eq!(message["attachments"][0]["name"], "engine.png");
        let bytes = message["attachments"][0]["bytes"].as_u64().unwrap();
        assert!((3_800_000..4_200_000).contains(&bytes), "{bytes}");
        // A new secret ends the old one.
        rooms.inbound("acme", &channel).await;
        assert_eq!(bring(&outside, &path, FIRST).await.status, 404);
    });
}

#[test]
fn notes_assignments_closing_and_escalation_show_what_they_do() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        rooms.add_user("acme", "eve").await;
        let key = rooms.key("acme", ALL).await;
        rooms.channel("acme", json!({ "routing": "manual" })).await;
        let path = rooms.inbound("acme", "support").await;
        let outside = rooms.open_doors();
        bring(&outside, &path, FIRST).await;
        let id = rooms.only_conversation(&key).await["id"].clone();

        let noted = rooms
            .confirmed(
                &key,
                "add_conversation_note",
                json!({ "id": id, "body": "Ask Ben.", "mentions": ["ben"] }),
            )
            .await;
        assert_eq!(
            (&noted["message"]["kind"], &noted["message"]["delivery"]),
            (&json!("note"), &Value::Null)
        );
        let whole = rooms
            .call(
                &key,
                "get_conversation",
                json!({ "id": id, "include_notes": false }),
            )
            .await;
        assert_eq!(whole["messages"].as_array().unwrap().len(), 1);

        let said = rooms
            .refusal(
                &key,
                "assign_conversation",
                json!({ "id": id, "assignee": "eve" }),
            )
            .await;
        assert_eq!(
            said,
            "422 Unprocessable: eve <eve@acme.test> is not in the channel \"Support\"; choose one of its members, or add them with update_channel"
        );
        let given = rooms
            .confirmed(
                &key,
                "assign_conversation",
                json!({ "id": id, "assignee": "ben@acme.test", "note": "Yours." }),
            )
            .await;
        assert_eq!(
            (
                &given["conversation"]["status"],
                &given["conversation"]["assignee"]
            ),
            (&json!("assigned"), &json!("usr_ben"))
        );
        let mine = rooms
            .call(
                &key,
                "list_conversations",
                json!({ "assignee": "ben", "channel": "support" }),
            )
            .await;
        assert_eq!(column(&mine, "id"), std::slice::from_ref(&id));
        let back = rooms
            .confirmed(
                &key,
                "assign_conversation",
                json!({ "id": id, "assignee": "unassigned" }),
            )
            .await;
        assert_eq!(back["conversation"]["status"], "open");

        let wish = json!({ "id": id, "reason": "The axle is broken.", "tell_customer": true });
        let asked = rooms.preview(&key, "escalate_conversation", wish.clone()).await;
        let shown = lines(&asked);
        assert!(
            shown.contains(&"create ticket.title: The engine is stuck".to_owned()),
            "{shown:#?}"
        );
        assert!(
            shown.contains(&"create ticket.priority: high".to_owned()),
            "{shown:#?}"
        );
        let made = rooms.confirmed(&key, "escalate_conversation", wish.clone()).await;
        assert_eq!(
            (&made["ticket"]["number"], &made["conversation"]["ticket_id"]),
            (&json!(1), &made["ticket"]["id"])
        );
        assert_eq!(
            made["ticket"]["sla"]["first_response"]["state"], "met",
            "the customer was told: {made}"
        );
        let said = rooms.refusal(&key, "escalate_conversation", wish).await;
        assert_eq!(said, "409 Conflict: already linked to ticket #1; go on there");
        let half = rooms.key("acme", "conversations:write").await;
        let said = rooms
            .refusal(&half, "escalate_conversation", json!({ "id": id, "reason": "x" }))
            .await;
        assert!(said.contains("tickets:write"), "{said}");

        let closed = rooms
            .confirmed(
                &key,
                "close_conversation",
                json!({ "id": id, "resolution": "New axle." }),
            )
            .await;
        assert_eq!(closed["conversation"]["status"], "resolved");
        let again = rooms
            .confirmed(&key, "close_conversation", json!({ "id": id }))
            .await;
        assert_eq!(again["unchanged"], true);
        let whole = rooms
            .call(&key, "get_conversation", json!({ "id": id, "messages": 2 }))
            .await;
        assert_eq!(whole["ticket"]["number"], 1);
        assert_eq!(whole["messages"][1]["body"], "New axle.");
        let older = json!({ "id": id, "messages": 200, "before": whole["previous_cursor"] });
        let older = rooms.call(&key, "get_conversation", older).await;
        assert_eq!(older["messages"][0]["body"], "It does not turn.");
        assert_eq!(older["previous_cursor"], Value::Null);
    });
}

#[test]
fn a_key_that_may_write_and_not_read_learns_nothing_from_previews() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let reader = rooms.key("acme", ALL).await;
        let writer = rooms.key("acme", "conversations:write").await;
        rooms.channel("acme", json!({})).await;
        let path = rooms.inbound("acme", "support").await;
        let outside = rooms.open_doors();
        bring(&outside, &path, FIRST).await;
        let id = rooms.only_conversation(&reader).await["id"].clone();
        for (tool, mut arguments) in [
            ("reply_to_conversation", json!({ "body": "x" })),
            ("add_conversation_note", json!({ "body": "x" })),
            ("assign_conversation", json!({ "assignee": "unassigned" })),
            ("close_conversation", json!({})),
        ] {
            arguments["id"] = id.clone();
            let asked = rooms.preview(&writer, tool, arguments).await.to_string();
            for secret in ["Ada", "ada@", "engine", "Byron", "analytical"] {
                assert!(!asked.contains(secret), "{tool} shows {secret}: {asked}");
            }
        }
    });
}
