//! What is told to others: a webhook that fails, returns and is signed; mails to those who are asked; on both engines.

use std::{sync::Arc, time::Duration};

use footbridge_server::{
    catalogue::ReviewRule,
    operate::{Actor, OperateError, deliveries, invitations},
    outbox::{Courier, Event, Letter, NotificationSettings, Recipients, announce},
    policy::review::{self, Review, ReviewStatus},
    store::{JobState, NewInvitation, NewUser, Store, StoreError},
    vocabulary::{EditionName, Role, TenantId, ToolName, UserId, hexadecimal},
};
use parking_lot::Mutex;
use ring::hmac;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::store::harness::{Place, for_each_engine, read, write};

const SECRET: &str = "a secret of this test";
/// More than any pause between two attempts.
const A_DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What a receiver was sent: a head in lower case, or an envelope, and the body.
pub(crate) type Heard = Arc<Mutex<Vec<(String, String)>>>;

/// A webhook's receiver that answers each request with the next of `statuses`, and then with 200.
pub(crate) async fn receiver(statuses: Vec<&'static str>) -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let heard = Heard::default();
    let mut statuses = statuses.into_iter();
    let log = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let status = statuses.next().unwrap_or("200 OK");
            let request = answer(stream, status).await;
            log.lock().push(request);
        }
    });
    (url, heard)
}

async fn answer(mut stream: TcpStream, status: &str) -> (String, String) {
    let mut reader = BufReader::new(&mut stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        if line == "\r\n" {
            break;
        }
        let line = match line.split_once(':') {
            Some((name, value)) => format!("{}:{value}", name.to_lowercase()),
            None => line,
        };
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    let said = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(said.as_bytes()).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// A mail server that takes everything.
async fn post_office() -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let heard = Heard::default();
    let log = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(take_mail(stream, Arc::clone(&log)));
        }
    });
    (url, heard)
}

async fn take_mail(stream: TcpStream, log: Heard) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 test\r\n").await.unwrap();
    let (mut to, mut body, mut in_body) = (String::new(), String::new(), false);
    while let Ok(Some(line)) = lines.next_line().await {
        let said = match (in_body, line.split([' ', ':']).next().unwrap_or_default()) {
            (true, ".") => {
                in_body = false;
                log.lock().push((to.clone(), std::mem::take(&mut body)));
                "250 taken\r\n"
            }
            (true, _) => {
                body.push_str(&line);
                body.push('\n');
                continue;
            }
            (false, "RCPT") => {
                to = line;
                "250 ok\r\n"
            }
            (false, "DATA") => {
                in_body = true;
                "354 go on\r\n"
            }
            (false, "QUIT") => return,
            (false, _) => "250 ok\r\n",
        };
        writer.write_all(said.as_bytes()).await.unwrap();
    }
}

fn settings(toml: &str) -> NotificationSettings {
    toml::from_str(toml).unwrap()
}

fn hook(url: &str) -> NotificationSettings {
    settings(&format!(
        "webhook = \"{url}\"\nwebhook_secret = \"{SECRET}\"\nallow_private = true"
    ))
}

fn courier(store: &Store, settings: &NotificationSettings) -> Courier {
    Courier::new(store.clone(), settings, "https://mcp.example.com".to_owned()).unwrap()
}

async fn add_user(store: &Store, name: &str, groups: &[&str]) {
    let new = NewUser {
        id: UserId::new(&format!("usr_{name}")).unwrap(),
        email: format!("{name}@example.com"),
        name: name.to_owned(),
        role: Role::Member,
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        password_hash: None,
    };
    write(store, "acme", move |tx| {
        Box::pin(async move { tx.users().insert(&new).await })
    })
    .await;
}

/// A review that Ada asks for and the leads have to answer.
async fn ask_for_review(store: &Store) {
    write(store, "acme", |tx| {
        Box::pin(async move {
            let rule = ReviewRule {
                groups: vec!["leads".to_owned()],
                min_approvals: 1,
                force_groups: Vec::new(),
                jit_seconds: None,
            };
            let call = (
                EditionName::new("desk").unwrap(),
                ToolName::new("ticket_purge").unwrap(),
                UserId::new("usr_ada").unwrap(),
            );
            let review = Review::new(
                "rev_1".to_owned(),
                call,
                "Purge 3 tickets\r\nBcc: x".to_owned(),
                &rule,
                tx.now(),
            );
            review::keep(tx, &review).await
        })
    })
    .await;
}

async fn answer_review(store: &Store, status: ReviewStatus) {
    write(store, "acme", move |tx| {
        Box::pin(async move {
            let (mut review, version) = review::find(tx, "rev_1").await?.unwrap();
            let before = std::mem::replace(&mut review.status, status);
            review::change(tx, &review, before, version, "usr_lea").await
        })
    })
    .await;
}

async fn desk(place: &Place) -> Store {
    let store = place.open_with(&["acme"]).await;
    add_user(&store, "ada", &["leads"]).await;
    add_user(&store, "lea", &["leads"]).await;
    add_user(&store, "max", &["sales"]).await;
    ask_for_review(&store).await;
    store
}

async fn listed(store: &Store, states: &'static [JobState]) -> Vec<deliveries::Delivery> {
    let acme = TenantId::new("acme").unwrap();
    deliveries::list(store, &acme, &Actor::Operator, states)
        .await
        .unwrap()
}

#[test]
fn a_webhook_that_fails_is_told_again_under_the_same_id_and_signed_each_time() {
    for_each_engine(|place| async move {
        let store = desk(&place).await;
        let (url, heard) = receiver(vec!["503 Busy"]).await;
        let courier = courier(&store, &hook(&url));
        assert_eq!(courier.deliver_due().await.unwrap(), 1, "the event is given out");
        assert_eq!(courier.deliver_due().await.unwrap(), 1, "the webhook fails");
        assert_eq!(
            courier.deliver_due().await.unwrap(),
            0,
            "and is left alone for a while"
        );
        let waiting = listed(&store, &[JobState::Queued]).await;
        assert_eq!(
            waiting[0].last_error.as_deref(),
            Some("the webhook answered 503 Service Unavailable")
        );
        assert_eq!((waiting[0].to.as_str(), waiting[0].attempt), ("webhook", 1));
        place.clock.advance(34_000);
        assert_eq!(courier.deliver_due().await.unwrap(), 1);
        assert_eq!(listed(&store, &[JobState::Done]).await.len(), 2);

        let heard = heard.lock().clone();
        assert_eq!(heard.len(), 2);
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let field = |head: &str, name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().to_owned()
        };
        for (head, body) in &heard {
            let signature = field(head, "x-footbridge-signature:");
            let (moment, mac) = signature.split_once(",v1=").unwrap();
            let signed = format!("{}.{body}", moment.strip_prefix("t=").unwrap());
            assert_eq!(mac, hexadecimal(hmac::sign(&key, signed.as_bytes()).as_ref()));
        }
        let bodies: Vec<Value> = heard
            .iter()
            .map(|(_, body)| serde_json::from_str(body).unwrap())
            .collect();
        assert_eq!(bodies[0], bodies[1]);
        assert_eq!(
            field(&heard[0].0, "idempotency-key:"),
            bodies[0]["id"].as_str().unwrap()
        );
        assert_eq!(
            field(&heard[1].0, "idempotency-key:"),
            bodies[0]["id"].as_str().unwrap()
        );
        assert_eq!(bodies[0]["event"], "review.pending");
        assert_eq!(bodies[0]["tenant"], "acme");
        assert_eq!(bodies[0]["url"], "https://mcp.example.com/console/reviews");
        assert_eq!(bodies[0]["data"]["review_id"], "rev_1");
    });
}

#[test]
fn what_nobody_takes_waits_for_a_person_who_sends_it_again() {
    for_each_engine(|place| async move {
        let store = desk(&place).await;
        let (url, heard) = receiver(vec!["500 A"; 6]).await;
        let courier = courier(&store, &hook(&url));
        courier.deliver_due().await.unwrap();
        for _ in 0..6 {
            assert_eq!(courier.deliver_due().await.unwrap(), 1);
            place.clock.advance(A_DAY_MS);
        }
        assert_eq!(courier.deliver_due().await.unwrap(), 0);
        let dead = listed(&store, &JobState::OPEN).await;
        assert_eq!((dead.len(), dead[0].state, dead[0].attempt), (1, "failed", 6));

        let acme = TenantId::new("acme").unwrap();
        let by = Actor::Person(UserId::new("usr_max").unwrap());
        assert!(matches!(
            deliveries::retry(&store, &acme, &by, &dead[0].id).await,
            Err(OperateError::Forbidden(_))
        ));
        assert!(matches!(
            deliveries::list(&store, &acme, &by, &JobState::ALL).await,
            Err(OperateError::Forbidden(_))
        ));
        deliveries::retry(&store, &acme, &Actor::Operator, &dead[0].id)
            .await
            .unwrap();
        assert!(matches!(
            deliveries::retry(&store, &acme, &Actor::Operator, &dead[0].id).await,
            Err(OperateError::Rule(_))
        ));
        assert_eq!(courier.deliver_due().await.unwrap(), 1);
        assert_eq!(heard.lock().len(), 7);
        assert!(listed(&store, &JobState::OPEN).await.is_empty());
        let log = read(&store, "acme", |tx| {
            Box::pin(async move { tx.change_log().list(&Default::default(), None, 10).await })
        })
        .await;
        assert!(log.rows.iter().any(|row| row.record.action == "outbox.retry"));
    });
}

#[test]
fn those_who_are_asked_and_then_the_one_who_asked_are_written_to() {
    for_each_engine(|place| async move {
        let store = desk(&place).await;
        let (url, heard) = post_office().await;
        let settings = settings(&format!(
            "smtp = \"{url}\"\nfrom = \"Footbridge <bridge@example.com>\""
        ));
        let courier = courier(&store, &settings);
        courier.deliver_due().await.unwrap();
        courier.deliver_due().await.unwrap();
        answer_review(&store, ReviewStatus::Approved).await;
        courier.deliver_due().await.unwrap();
        courier.deliver_due().await.unwrap();
        let mails = heard.lock().clone();
        let readers: Vec<_> = mails.iter().map(|(to, _)| to.as_str()).collect();
        assert_eq!(
            readers,
            ["RCPT TO:<lea@example.com>", "RCPT TO:<ada@example.com>"],
            "Max is not asked, and Ada not of her own call"
        );
        assert!(
            mails[0].1.contains("Review asked for: Purge 3 tickets"),
            "{}",
            mails[0].1
        );
        let (head, _) = mails[0].1.split_once("\n\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc:")), "{head}");
        assert!(mails[1].1.contains("Approved: Purge 3 tickets"));
        assert!(mails[1].1.contains("https://mcp.example.com/console/reviews"));
        assert!(listed(&store, &JobState::OPEN).await.is_empty());
    });
}

/// An invitation of Bob by the operator, and the letter about it.
async fn invite_bob(store: &Store) -> String {
    write(store, "acme", |tx| {
        Box::pin(async move {
            let new = NewInvitation {
                id: "inv_1".to_owned(),
                hash: [7; 32],
                email: "bob@example.com".to_owned(),
                role: Role::Member,
                groups: Vec::new(),
                invited_by: None,
                expires_at: tx.now().plus_millis(A_DAY_MS),
            };
            let invitation = tx.invitations().insert(&new).await?;
            let letter = Letter {
                subject: "You are invited".to_owned(),
                text: "Join us.".to_owned(),
                path: "/console/members".to_owned(),
            };
            let to = Recipients::Invited {
                invitation: invitation.id.clone(),
                address: invitation.email,
            };
            let event = Event::new("member.invited", tx.now(), Value::Null, letter, to);
            announce(tx, event).await?;
            Ok(invitation.id)
        })
    })
    .await
}

#[test]
fn an_invitation_is_mailed_with_a_link_that_stands_nowhere_else() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let (hook_url, told) = receiver(vec![]).await;
        let (smtp, mails) = post_office().await;
        let both = format!(
            "webhook = \"{hook_url}\"\nwebhook_secret = \"{SECRET}\"\nallow_private = true\nsmtp = \"{smtp}\"\nfrom = \"a@example.com\""
        );
        let courier = courier(&store, &settings(&both));
        invite_bob(&store).await;
        while courier.deliver_due().await.unwrap() > 0 {}
        assert!(told.lock().is_empty(), "the link is for one person");
        let mail = mails.lock().first().cloned().unwrap();
        assert!(mail.0.contains("bob@example.com"), "{}", mail.0);
        let body = mail.1.replace("=\r\n", "").replace("=\n", "");
        let (_, token) = body
            .split_once("https://mcp.example.com/console/invitation#")
            .unwrap();
        let token = token.split_whitespace().next().unwrap();
        let (_, invitation) = invitations::look(&store, token).await.unwrap();
        assert_eq!(invitation.email, "bob@example.com");
        let deliveries = listed(&store, &JobState::ALL).await;
        assert!(!serde_json::to_string(&deliveries).unwrap().contains(token));
        let jobs = read(&store, "acme", |tx| {
            Box::pin(async move { tx.jobs().list("outbox", JobState::Done, 10).await })
        })
        .await;
        assert!(jobs.len() == 2 && !format!("{jobs:?}").contains(token));
    });
}

#[test]
fn an_invitation_that_was_taken_back_is_not_mailed() {
    for_each_engine(|place| async move {
        let store = place.open_with(&["acme"]).await;
        let (smtp, mails) = post_office().await;
        let courier = courier(
            &store,
            &settings(&format!("smtp = \"{smtp}\"\nfrom = \"a@example.com\"")),
        );
        let id = invite_bob(&store).await;
        write(&store, "acme", move |tx| {
            Box::pin(async move { tx.invitations().revoke(&id).await.map(|_| ()) })
        })
        .await;
        while courier.deliver_due().await.unwrap() > 0 {}
        assert!(mails.lock().is_empty());
        assert!(listed(&store, &JobState::OPEN).await.is_empty());
    });
}

#[test]
fn two_couriers_and_one_that_died_deliver_each_event_under_one_id() {
    for_each_engine(|place| async move {
        let store = desk(&place).await;
        let (url, heard) = receiver(Vec::new()).await;
        let (one, two) = (courier(&store, &hook(&url)), courier(&store, &hook(&url)));
        assert_eq!(one.deliver_due().await.unwrap(), 1, "the event is given out");
        // Somebody leases the webhook and is never heard of again.
        let lost = store
            .system_write(|tx| Box::pin(async move { tx.jobs().lease("outbox", "gone", 60_000, 10).await }));
        assert_eq!(lost.await.map_err(|e: StoreError| e).unwrap().len(), 1);
        assert_eq!(one.deliver_due().await.unwrap(), 0);
        place.clock.advance(60_001);
        let (a, b) = tokio::join!(one.deliver_due(), two.deliver_due());
        assert_eq!(a.unwrap() + b.unwrap(), 1);
        assert_eq!(heard.lock().len(), 1);
    });
}

#[test]
fn a_redirect_is_no_delivery_and_a_private_address_needs_leave() {
    for_each_engine(|place| async move {
        let store = desk(&place).await;
        let (url, _) = receiver(vec!["302 Found\r\nlocation: /elsewhere"]).await;
        let courier = courier(&store, &hook(&url));
        courier.deliver_due().await.unwrap();
        courier.deliver_due().await.unwrap();
        let waiting = listed(&store, &[JobState::Queued]).await;
        assert!(waiting[0].last_error.as_deref().unwrap().contains("redirect"));
        let inside = settings(&format!("webhook = \"{url}\"\nwebhook_secret = \"{SECRET}\""));
        assert!(
            inside
                .check()
                .unwrap_err()
                .to_string()
                .contains("http is spoken to private addresses only")
        );
    });
}

#[test]
fn settings_that_cannot_work_are_named() {
    for (toml, said) in [
        ("webhook = \"nowhere\"", "notifications.webhook is no address"),
        (
            "webhook = \"https://example.com\"",
            "notifications.webhook_secret must be set",
        ),
        (
            "webhook = \"https://example.com\"\nwebhook_secret = \"short\"",
            "at least 16 characters",
        ),
        (
            "webhook = \"https://10.0.0.1\"\nwebhook_secret = \"sixteen letters!\"",
            "10.0.0.1 is not a public address",
        ),
        (
            "smtp = \"smtps://mail.example.com\"",
            "notifications.from must be",
        ),
        (
            "smtp = \"mail.example.com\"\nfrom = \"a@example.com\"",
            "notifications.smtp must be like",
        ),
    ] {
        let error = settings(toml).check().unwrap_err().to_string();
        assert!(error.contains(said), "{toml}: {error}");
    }
    assert!(settings("").check().is_ok());
}

#[tokio::test]
async fn a_running_courier_delivers_what_is_queued_and_stops_when_told() {
    let place = Place::sqlite();
    let store = place.open_with(&["acme"]).await;
    add_user(&store, "ada", &[]).await;
    let (url, heard) = receiver(Vec::new()).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(Arc::new(courier(&store, &hook(&url))).run(stop.clone()));
    ask_for_review(&store).await;
    while heard.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    running.await.unwrap();
}
