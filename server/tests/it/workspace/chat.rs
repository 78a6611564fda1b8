//! The chat window's endpoints, and the bot behind them.

use footbridge_server::store::Field;
use serde_json::{Value, json};

use super::{
    house::{ALL, Rooms},
    talk::Outside,
};
use crate::{
    house::{Post, Reply},
    store::harness::{Place, run, write},
};

const SITE: &str = "https://shop.acme.test";

impl Rooms {
    /// A web channel with a chat window for [`SITE`]; gives the window's path.
    async fn chat(&self) -> String {
        let delivery = json!({ "adapter": "none" });
        let channel = self
            .channel(
                "acme",
                json!({ "slug": "chat", "name": "Chat", "type": "web", "delivery": delivery }),
            )
            .await;
        let widget = json!({
            "name": "Shop chat", "active": true, "channel_id": channel, "allowed_origins": [SITE],
            "welcome_message": "Hello!", "theme": { "color": "#123456" }, "ask_email": true,
        });
        self.put(
            "acme",
            "widget",
            "wgt_1",
            widget,
            vec![Field::unique("name", "shop chat")],
        )
        .await;
        "/widget/acme/wgt_1".to_owned()
    }

    /// A bot for the chat, and a public article with its words in the index.
    async fn bot(&self) {
        let bot = json!({
            "name": "Bridget", "enabled": true, "channels": ["chn_chat"], "answer_threshold": 0.35,
            "directives": [{ "when": "opening hours", "do": "Nine to five." }],
            "handoff": { "after_unanswered": 2, "keywords": ["human"] },
        });
        let fields = vec![Field::new("enabled", true), Field::new("channel", "chn_chat")];
        self.put("acme", "bot", "bot_1", bot, fields).await;
        for (id, title, visibility, body) in [
            ("art_1", "Refund policy", "public", "A refund takes five days."),
            (
                "art_2",
                "Internal refund margins",
                "internal",
                "Margins are secret: refund 40 percent.",
            ),
        ] {
            let doc = json!({ "title": title, "slug": id, "body_markdown": body, "status": "published", "visibility": visibility });
            let words = (title.to_lowercase(), body.to_lowercase().replace(['.', ':'], ""));
            write(&self.store, "acme", move |tx| {
                Box::pin(async move {
                    let draft = footbridge_server::store::Draft::of(&doc)?.with_words(&words.0, &words.1);
                    tx.records("article").insert(id, &draft, "test").await.map(drop)
                })
            })
            .await;
        }
    }
}

async fn ask(outside: &Outside, method: &'static str, path: &str, token: &str, body: Value) -> Reply {
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut post = Post::to(outside.address, token, text)
        .path(path)
        .header("origin", SITE);
    post = post.header("sec-fetch-site", "cross-site");
    post.method = method;
    post.send().await
}

#[test]
fn a_visitor_writes_reads_and_is_no_other_visitor() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let path = rooms.chat().await;
        let outside = rooms.open_doors();
        let messages = format!("{path}/messages");
        let look = ask(&outside, "GET", &path, "", Value::Null).await;
        assert_eq!(
            (look.status, &look.json()["welcome_message"]),
            (200, &json!("Hello!"))
        );
        assert_eq!(look.header("access-control-allow-origin"), Some(SITE));
        let preflight = ask(&outside, "OPTIONS", &messages, "", Value::Null).await;
        assert_eq!(preflight.status, 204);
        assert_eq!(
            preflight.header("access-control-allow-headers"),
            Some("authorization, content-type")
        );

        let first = json!({ "text": "<b>Help</b>", "email": "ada@analytical.test" });
        let first = ask(&outside, "POST", &messages, "", first).await;
        assert_eq!(first.status, 201, "{first:?}");
        let token = first.json()["visitor"].as_str().unwrap().to_owned();
        let second = ask(&outside, "POST", &messages, &token, json!({ "text": "Please." })).await;
        assert_eq!(second.json().get("visitor"), None);

        let only = rooms.only_conversation(&key).await;
        assert!(
            !only.to_string().contains(&token) && only.get("visitor").is_none(),
            "{only}"
        );
        let id = only["id"].clone();
        rooms
            .confirmed(
                &key,
                "add_conversation_note",
                json!({ "id": id, "body": "Rude." }),
            )
            .await;
        let asked = rooms
            .preview(
                &key,
                "reply_to_conversation",
                json!({ "id": id, "body": "Here." }),
            )
            .await;
        assert_eq!(
            asked["preview"]["effects"][0],
            "it appears in the visitor's chat window"
        );
        rooms
            .confirmed(
                &key,
                "reply_to_conversation",
                json!({ "id": id, "body": "Here." }),
            )
            .await;

        let said = ask(&outside, "GET", &messages, &token, Value::Null).await.json();
        let texts: Vec<_> = said["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["text"])
            .collect();
        assert_eq!(
            texts,
            ["<b>Help</b>", "Please.", "Here."],
            "notes are not for visitors"
        );
        // Nobody else, and nobody without a token, sees or continues it.
        let stranger = format!("vis_{}", "0".repeat(64));
        for token in ["", stranger.as_str()] {
            assert_eq!(
                ask(&outside, "GET", &messages, token, Value::Null).await.json(),
                json!({ "messages": [] })
            );
        }
        let other = ask(
            &outside,
            "POST",
            &messages,
            "",
            json!({ "text": "Me too", "email": "ada@analytical.test" }),
        )
        .await;
        let other = other.json()["visitor"].as_str().unwrap().to_owned();
        let seen = ask(&outside, "GET", &messages, &other, Value::Null).await.json();
        assert_eq!(
            seen["messages"].as_array().unwrap().len(),
            1,
            "an address is no token: {seen}"
        );
    });
}

#[test]
fn other_sites_closed_windows_floods_and_large_texts_are_refused() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let path = rooms.chat().await;
        let outside = rooms.open_doors();
        let messages = format!("{path}/messages");
        for origin in [
            "https://evil.test",
            "null",
            "https://shop.acme.test.evil.test",
            "http://shop.acme.test",
        ] {
            let post = Post::to(outside.address, "", json!({ "text": "x" }))
                .path(&messages)
                .header("origin", origin);
            let said = post.send().await;
            assert_eq!(
                (said.status, said.header("access-control-allow-origin")),
                (403, None),
                "{origin}"
            );
        }
        let without = Post::to(outside.address, "", json!({ "text": "x" }))
            .path(&messages)
            .send()
            .await;
        assert_eq!(without.status, 403);
        for missing in [
            "/widget/acme/wgt_2",
            "/widget/zeta/wgt_1",
            "/widget/No Tenant/wgt_1",
        ] {
            let missing = missing.replace(' ', "%20");
            assert_eq!(
                ask(&outside, "GET", &missing, "", Value::Null).await.status,
                404,
                "{missing}"
            );
        }
        for (body, status) in [
            (json!({ "text": "" }), 400),
            (json!({ "text": "x".repeat(20_001) }), 400),
            (json!({ "text": "x".repeat(200_000) }), 413),
            (json!({ "text": "x", "email": "nobody" }), 400),
            (json!({ "text": "x", "role": "admin" }), 400),
        ] {
            let said = ask(&outside, "POST", &messages, "", body).await;
            assert_eq!(said.status, status, "{said:?}");
            assert_eq!(
                said.header("access-control-allow-origin"),
                Some(SITE),
                "the page can read why"
            );
        }
        let token = ask(&outside, "POST", &messages, "", json!({ "text": "x" }))
            .await
            .json();
        let token = token["visitor"].as_str().unwrap().to_owned();
        let mut refused = 0;
        for _ in 0..25 {
            let said = ask(&outside, "POST", &messages, &token, json!({ "text": "x" })).await;
            refused += usize::from(said.status == 429 && said.header("retry-after").is_some());
        }
        assert!(refused >= 5, "{refused}");
        // Another visitor is not held up by it.
        assert_eq!(
            ask(&outside, "POST", &messages, "", json!({ "text": "x" }))
                .await
                .status,
            201
        );
        // A token that was made up is none: its holder gets another, and is counted with all who begin.
        let made_up = |n: usize| format!("vis_{n:064x}");
        let said = ask(&outside, "POST", &messages, &made_up(0), json!({ "text": "x" })).await;
        assert_eq!(said.status, 201, "{said:?}");
        let given = said.json()["visitor"].as_str().map(str::to_owned);
        assert!(given.is_some_and(|token| token != made_up(0)), "{said:?}");
        let mut refused = 0;
        for n in 1..200 {
            let said = ask(&outside, "POST", &messages, &made_up(n), json!({ "text": "x" })).await;
            refused += usize::from(said.status == 429);
        }
        assert!(refused >= 5, "{refused}");
        let mut script = Post::to(outside.address, "", "").path("/widget.js");
        script.method = "GET";
        let script = script.send().await;
        assert_eq!(
            script.header("cross-origin-resource-policy"),
            Some("cross-origin")
        );
        assert_eq!(
            script.header("content-type"),
            Some("text/javascript; charset=utf-8")
        );
    });
}

#[test]
fn the_bot_answers_from_public_articles_and_knows_when_to_stop() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        let path = rooms.chat().await;
        rooms.bot().await;
        let outside = rooms.open_doors();
        let messages = format!("{path}/messages");
        let mut token = String::new();
        let mut say = async |text: &str| {
            let said = ask(&outside, "POST", &messages, &token, json!({ "text": text }))
                .await
                .json();
            if let Some(new) = said["visitor"].as_str() {
                token = new.to_owned();
            }
            let said = ask(&outside, "GET", &messages, &token, Value::Null).await.json();
            let last = said["messages"].as_array().unwrap().last().unwrap().clone();
            (
                last["from"].as_str().unwrap().to_owned(),
                last["text"].as_str().unwrap().to_owned(),
            )
        };
        let team = |text: &str| ("team".to_owned(), text.to_owned());
        assert_eq!(say("What are your opening hours?").await, team("Nine to five."));
        let (from, text) = say("How long does a refund take?").await;
        assert_eq!(
            (from.as_str(), text.as_str()),
            (
                "team",
                "> A refund takes five days.\n\nFrom \"Refund policy\": http://desk.test/kb/acme/art_1"
            )
        );
        let now = rooms.only_conversation(&key).await;
        assert_eq!(
            (&now["bot_handled"], &now["assignee"], &now["status"]),
            (&json!(true), &Value::Null, &json!("waiting"))
        );
        assert_eq!(now["sla"]["first_response"]["state"], "met");
        let (_, text) = say("Tell me your margins percent").await;
        assert!(
            !text.contains("40") && text.starts_with("I did not find"),
            "{text}"
        );
        let (from, _) = say("Margins percent, I said").await;
        assert_eq!(from, "visitor", "after two it is left to people");
        let now = rooms.only_conversation(&key).await;
        assert_eq!(
            (&now["bot_handled"], &now["assignee"]),
            (&json!(false), &json!("usr_ben")),
            "{now}"
        );
        assert_eq!(
            say("And the opening hours?").await.0,
            "visitor",
            "people have taken over"
        );
    });
}
