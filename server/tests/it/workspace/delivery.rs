//! Replies on their way out: a mail server receives a confirmed one, a webhook gets it signed and exactly once, and the message
//! says how far it is.

use footbridge_server::{
    outbox::{Courier, NotificationSettings},
    store::Job,
    vocabulary::hexadecimal,
};
use ring::hmac;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    house::{ALL, Rooms},
    post_office::PostOffice,
    talk::Mailroom,
};
use crate::{
    outbox::receiver,
    store::harness::{Place, for_each_engine, run, tenant},
};

/// More than any pause between two attempts.
const A_DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Rooms {
    /// What delivers, with a mail server at this address.
    fn courier(&self, smtp: &str) -> Courier {
        let settings: NotificationSettings = toml::from_str(&format!(
            "smtp = \"{smtp}\"\nfrom = \"Desk <desk@house.test>\"\nallow_private = true"
        ))
        .unwrap();
        Courier::new(self.store.clone(), &settings, "https://desk.test".to_owned())
            .unwrap()
            .on_behalf_of(self.workspace.dispatcher())
    }

    /// The delivery of the newest message of the one conversation.
    async fn newest_delivery(&self, key: &str, id: &Value) -> Value {
        let whole = self
            .call(key, "get_conversation", json!({ "id": id, "messages": 1 }))
            .await;
        whole["messages"][0]["delivery"].clone()
    }
}

fn mail_from(address: &str) -> String {
    format!(
        "From: Ada <{address}>\nTo: help@acme.test\nSubject: Stuck\nMessage-ID: <m1@analytical.test>\n\nHelp.\n"
    )
}

#[test]
fn a_confirmed_reply_reaches_a_mail_server_and_its_answer_comes_back() {
    for_each_engine(|place| async move {
        let room = Mailroom::with(place, json!({})).await;
        let (rooms, key) = (&room.rooms, room.key.as_str());
        let office = PostOffice::open().await;
        let courier = rooms.courier(&office.url);
        let id = room.begun_by(&mail_from("ada@analytical.test")).await;
        let reply = json!({ "id": id, "body": "Oil it.\n.\nTwice." });
        rooms.preview(key, "reply_to_conversation", reply.clone()).await;
        courier.deliver_due().await.unwrap();
        assert_eq!(office.taken().len(), 0, "a preview sends nothing");
        rooms.confirmed(key, "reply_to_conversation", reply).await;
        assert_eq!(rooms.newest_delivery(key, &id).await["status"], "queued");
        courier.deliver_due().await.unwrap();
        courier.deliver_due().await.unwrap();

        let taken = office.taken();
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert_eq!(taken[0].from, "help@acme.test");
        assert_eq!(taken[0].to, ["ada@analytical.test"]);
        let mail = &taken[0].mail;
        for line in [
            "From: Support <help@acme.test>",
            "Subject: Re: Stuck",
            "In-Reply-To: <m1@analytical.test>",
            "References: <m1@analytical.test>",
            "Oil it.",
            "Twice.",
        ] {
            assert!(
                mail.lines().any(|there| there.replace('"', "") == line),
                "{line} in {mail}"
            );
        }
        assert_eq!(
            rooms.newest_delivery(key, &id).await,
            json!({ "adapter": "smtp", "status": "sent", "attempts": 1 })
        );

        // What the customer's program answers to what arrived continues the conversation.
        let sent_id = mail
            .lines()
            .find_map(|line| line.strip_prefix("Message-ID: "))
            .unwrap();
        let answer = format!(
            "From: ada@analytical.test\nTo: help@acme.test\nSubject: Re: Re: Stuck\nIn-Reply-To: {sent_id}\n\nThanks.\n"
        );
        assert_eq!(room.bring(&answer).await.json()["conversation_id"], id);
        // And a note that it could not be delivered ends on the message.
        let bounce = format!(
            "From: mailer-daemon@post.test\nReturn-Path: <>\nSubject: Undelivered\nIn-Reply-To: {sent_id}\n\nNo such box.\n"
        );
        assert_eq!(room.bring(&bounce).await.json()["reason"], "bounce");
        let whole = rooms.call(key, "get_conversation", json!({ "id": id })).await;
        assert_eq!(whole["messages"][1]["delivery"]["status"], "failed", "{whole}");
    });
}

#[test]
fn what_no_mail_server_takes_fails_after_six_attempts() {
    run(async {
        let room = Mailroom::with(Place::sqlite(), json!({})).await;
        let (rooms, key) = (&room.rooms, room.key.as_str());
        let office = PostOffice::open().await;
        let courier = rooms.courier(&office.url);
        let id = room.begun_by(&mail_from("ada@elsewhere.example")).await;
        rooms
            .confirmed(
                key,
                "reply_to_conversation",
                json!({ "id": id, "body": "Oil it." }),
            )
            .await;
        for attempt in 1..=6 {
            courier.deliver_due().await.unwrap();
            let delivery = rooms.newest_delivery(key, &id).await;
            let status = if attempt < 6 { "queued" } else { "failed" };
            assert_eq!(
                (&delivery["status"], &delivery["attempts"]),
                (&json!(status), &json!(attempt))
            );
            assert!(delivery["error"].as_str().unwrap().contains("550"), "{delivery}");
            rooms.clock.advance(A_DAY_MS);
        }
        courier.deliver_due().await.unwrap();
        assert_eq!(rooms.newest_delivery(key, &id).await["attempts"], 6);
        assert_eq!(office.taken().len(), 0);
    });
}

#[test]
fn a_reply_in_markdown_is_shown_as_it_is_meant_and_text_stays_text() {
    run(async {
        let room = Mailroom::with(Place::sqlite(), json!({})).await;
        let (rooms, key) = (&room.rooms, room.key.as_str());
        let office = PostOffice::open().await;
        let courier = rooms.courier(&office.url);
        let id = room.begun_by(&mail_from("ada@analytical.test")).await;
        for format in ["markdown", "text"] {
            let body = "Turn it **twice**.\n\n<script>spin()</script>";
            let reply = json!({ "id": id, "body": body, "format": format });
            rooms.confirmed(key, "reply_to_conversation", reply).await;
            courier.deliver_due().await.unwrap();
            let taken = office.taken();
            let mail = &taken.last().unwrap().mail;
            // As it was written for programs that show no HTML.
            assert!(mail.contains("Turn it **twice**."), "{mail}");
            let html = mail.contains("Content-Type: text/html") && mail.contains("<strong>twice</strong>");
            assert_eq!(html, format == "markdown", "{mail}");
            assert_eq!(mail.contains("&lt;script&gt;"), html, "{mail}");
        }
    });
}

/// A server that is killed while it sends leaves the job leased to nobody who lives.
#[test]
fn what_was_lost_on_its_way_each_time_is_said_to_have_failed() {
    for_each_engine(|place| async move {
        let room = Mailroom::with(place, json!({})).await;
        let (rooms, key) = (&room.rooms, room.key.as_str());
        let id = room.begun_by(&mail_from("ada@analytical.test")).await;
        let reply = json!({ "id": id, "body": "Oil it." });
        rooms.confirmed(key, "reply_to_conversation", reply).await;
        for _ in 0..6 {
            let leased = rooms.store.system_write(|tx| {
                Box::pin(async move { tx.jobs().lease("outbox", "a worker that dies", 1_000, 10).await })
            });
            let leased: Vec<Job> = leased.await.unwrap();
            assert_eq!(leased.len(), 1);
            rooms.clock.advance(A_DAY_MS);
        }
        assert_eq!(rooms.newest_delivery(key, &id).await["status"], "queued");
        let office = PostOffice::open().await;
        let courier = rooms.courier(&office.url);
        courier.deliver_due().await.unwrap();
        let delivery = rooms.newest_delivery(key, &id).await;
        assert_eq!(
            (&delivery["status"], &delivery["attempts"]),
            (&json!("failed"), &json!(6)),
            "{delivery}"
        );
        assert!(
            delivery["error"].as_str().unwrap().contains("may have arrived"),
            "{delivery}"
        );
        assert_eq!(office.taken().len(), 0, "what may have arrived is not sent again");
        rooms.clock.advance(A_DAY_MS);
        assert_eq!(courier.deliver_due().await.unwrap(), 0);
    });
}

#[test]
fn a_channels_webhook_is_posted_signed_until_it_takes_it_and_then_no_more() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let (url, heard) = receiver(vec!["503 Busy", "302 Found"]).await;
        let delivery = json!({ "adapter": "webhook", "target": url });
        rooms
            .channel("acme", json!({ "type": "api", "delivery": delivery }))
            .await;
        let made = rooms
            .workspace
            .new_channel_secret(&tenant("acme"), "support")
            .await
            .unwrap();
        let path = format!("/in/{}", made.inbound.expose_secret());
        let outside = rooms.open_doors();
        let message = json!({ "from": { "id": "u-7", "name": "Ada" }, "body": "Stuck." });
        let said = crate::house::Post::to(outside.address, "", message)
            .path(&path)
            .send()
            .await;
        assert_eq!(said.status, 202, "{said:?}");
        let id = said.json()["conversation_id"].clone();
        rooms
            .confirmed(
                &key,
                "reply_to_conversation",
                json!({ "id": id, "body": "Oil it." }),
            )
            .await;
        let courier = rooms.courier("smtp://127.0.0.1:1");
        for expected in ["queued", "queued", "delivered", "delivered"] {
            courier.deliver_due().await.unwrap();
            assert_eq!(rooms.newest_delivery(&key, &id).await["status"], expected);
            rooms.clock.advance(A_DAY_MS);
        }
        let heard = heard.lock().clone();
        assert_eq!(heard.len(), 3);
        for (head, body) in &heard {
            let header = |name: &str| {
                head.lines()
                    .find_map(|line| line.strip_prefix(name))
                    .unwrap()
                    .trim()
                    .to_owned()
            };
            let signature = header("x-footbridge-signature:");
            let (moment, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
            let secret = hmac::Key::new(hmac::HMAC_SHA256, made.signing.expose_secret().as_bytes());
            let expected = hmac::sign(&secret, format!("{moment}.{body}").as_bytes());
            assert_eq!(mac, hexadecimal(expected.as_ref()));
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["event"], "message.outbound");
            assert_eq!(body["tenant"], "acme");
            assert_eq!(body["data"]["message"]["body"], "Oil it.");
            assert_eq!(body["data"]["to"]["external_id"], "u-7");
            assert_eq!(body["id"], header("idempotency-key:"));
        }
    });
}

#[test]
fn a_channel_that_cannot_send_says_so_in_the_preview() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        rooms
            .channel(
                "acme",
                json!({ "type": "api", "delivery": { "adapter": "none" } }),
            )
            .await;
        let path = rooms.inbound("acme", "support").await;
        let outside = rooms.open_doors();
        let post = |message: Value| crate::house::Post::to(outside.address, "", message).path(&path);
        let said = post(json!({ "from": { "id": "u-7" }, "body": "Stuck." }))
            .send()
            .await;
        let id = said.json()["conversation_id"].clone();
        let said = rooms
            .refusal(&key, "reply_to_conversation", json!({ "id": id, "body": "x" }))
            .await;
        assert!(
            said.starts_with("422 Unprocessable: channel cannot send"),
            "{said}"
        );
        rooms
            .channel("acme", json!({ "slug": "mail", "name": "Mail" }))
            .await;
        let path = rooms.inbound("acme", "mail").await;
        let message = json!({ "from": { "id": "u-8" }, "body": "Stuck." });
        let said = crate::house::Post::to(outside.address, "", message)
            .path(&path)
            .send()
            .await;
        let id = said.json()["conversation_id"].clone();
        let said = rooms
            .refusal(&key, "reply_to_conversation", json!({ "id": id, "body": "x" }))
            .await;
        assert_eq!(
            said,
            "422 Unprocessable: contact has no address; add an e-mail address with update_contact"
        );
    });
}
