//! Members, channels, bots and widgets, as owners, admins and members may touch them.

use std::time::Duration;

use footbridge_server::{
    operate::{invitations, people},
    store::{Draft, Field, JobState, KeyLimits, RecordQuery},
    vocabulary::{Role, UserId},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::house::{ALL, Rooms, column, lines};
use crate::store::harness::{Place, for_each_engine, read, run, tenant, write};

async fn set_role(rooms: &Rooms, user: &str, role: Role) {
    let id = UserId::new(user).unwrap();
    write(&rooms.store, "acme", move |tx| {
        Box::pin(async move { tx.users().set_role(&id, role).await.map(drop) })
    })
    .await;
}

/// Puts a record in as the engine would.
async fn put(rooms: &Rooms, kind: &'static str, id: &'static str, doc: Value, fields: Vec<Field>) {
    write(&rooms.store, "acme", move |tx| {
        Box::pin(async move {
            let mut draft = Draft::of(&doc)?;
            draft.fields = fields;
            tx.records(kind).insert(id, &draft, "test").await.map(drop)
        })
    })
    .await;
}

async fn docs(rooms: &Rooms, kind: &'static str) -> Vec<Value> {
    let page = read(&rooms.store, "acme", move |tx| {
        Box::pin(async move { tx.records(kind).list(&RecordQuery::default()).await })
    })
    .await;
    page.records
        .iter()
        .map(|record| serde_json::from_str(&record.doc).unwrap())
        .collect()
}

async fn conversation(rooms: &Rooms, id: &'static str, channel: &str, assignee: &str) {
    let doc = json!({ "channel_id": channel, "status": "assigned", "assignee": assignee });
    let fields = vec![
        Field::new("channel_id", channel),
        Field::new("status", "assigned"),
        Field::new("assignee", assignee),
    ];
    put(rooms, "conversation", id, doc, fields).await;
}

#[test]
fn somebody_is_invited_by_mail_and_arrives_in_their_channels() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        rooms
            .confirmed(
                &key,
                "create_channel",
                json!({ "name": "Key accounts", "type": "email" }),
            )
            .await;
        let wish = json!({ "email": "grace@acme.test", "name": "Grace", "channels": ["key-accounts"], "expires_in_days": 3 });
        let asked = rooms.preview(&key, "invite_member", wish.clone()).await;
        assert_eq!(
            asked["preview"]["effects"],
            json!(["a mail with a link that is good for 3 days is sent to grace@acme.test"])
        );
        let invited = rooms.confirmed(&key, "invite_member", wish).await;
        assert_eq!(
            (&invited["member"]["status"], &invited["delivery"]["status"]),
            (&json!("invited"), &json!("queued"))
        );
        assert!(
            !invited.to_string().contains("fbi_") && !invited.to_string().contains("http"),
            "{invited}"
        );
        let listed = rooms
            .call(&key, "list_members", json!({ "status": "invited" }))
            .await;
        assert_eq!(column(&listed, "email"), ["grace@acme.test"]);
        let mails = read(&rooms.store, "acme", |tx| {
            Box::pin(async move { tx.jobs().list("outbox", JobState::Queued, 10).await })
        })
        .await;
        let event = &mails[0].payload["event"];
        assert_eq!(event["to"]["invited"]["address"], "grace@acme.test");
        assert!(!mails[0].payload.to_string().contains("fbi_"));
        // The mail makes a link of its own; here the test is the mail.
        let token = footbridge_server::outbox::InvitationToken::new().unwrap();
        let (id, hash) = (invited["member"]["id"].as_str().unwrap().to_owned(), token.hash());
        write(&rooms.store, "acme", move |tx| {
            Box::pin(async move { tx.invitations().renew(&id, &hash).await.map(drop) })
        })
        .await;
        let password = SecretString::from("a long pass phrase of hers");
        let (_, user) = invitations::accept(&rooms.store, token.text(), "Grace H.", password)
            .await
            .unwrap();
        let channel = docs(&rooms, "channel").await.remove(0);
        assert_eq!(channel["members"], json!([user.id.as_str()]));
        let listed = rooms.call(&key, "list_members", json!({ "q": "grace" })).await;
        assert_eq!(
            (column(&listed, "status"), column(&listed, "channels")),
            (vec![json!("active")], vec![json!(["Key accounts"])])
        );
        let refused = rooms
            .refusal(&key, "invite_member", json!({ "email": "GRACE@acme.test" }))
            .await;
        assert!(
            refused.starts_with("409 Conflict: GRACE@acme.test is a member already"),
            "{refused}"
        );
    });
}

#[test]
fn members_are_listed_in_pages_with_their_load() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        rooms.add_user("acme", "zoe").await;
        conversation(&rooms, "cnv_1", "chn_x", "usr_ben").await;
        let first = rooms
            .call(&key, "list_members", json!({ "role": "member", "limit": 1 }))
            .await;
        assert_eq!(
            (column(&first, "email"), column(&first, "open_load")),
            (vec![json!("ben@acme.test")], vec![json!(1)])
        );
        let next = json!({ "role": "member", "limit": 1, "cursor": first["next_cursor"] });
        let second = rooms.call(&key, "list_members", next).await;
        assert_eq!(
            (column(&second, "email"), &second["next_cursor"]),
            (vec![json!("zoe@acme.test")], &Value::Null)
        );
        let other = json!({ "q": "ben", "cursor": first["next_cursor"] });
        let refused = rooms.refusal(&key, "list_members", other).await;
        assert!(
            refused.contains("cursor does not belong to this query"),
            "{refused}"
        );
    });
}

#[test]
fn a_member_who_leaves_hands_their_work_over_and_their_keys_open_nothing() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        rooms.follow_people();
        let key = rooms.key("acme", ALL).await;
        rooms.add_user("acme", "zoe").await;
        let bens = rooms
            .limited_key("acme", Some("ben@acme.test"), "crm:read", KeyLimits::default())
            .await;
        conversation(&rooms, "cnv_1", "chn_x", "usr_ben").await;
        let leave = json!({ "id": "ben@acme.test", "status": "deactivated" });
        let refused = rooms.refusal(&key, "update_member", leave).await;
        assert!(
            refused.starts_with(
                "422 Unprocessable: ben <ben@acme.test> has 1 open conversations and tickets; name who takes"
            ),
            "{refused}"
        );
        let leave = json!({ "id": "ben@acme.test", "status": "deactivated", "reassign_to": "zoe@acme.test" });
        let asked = rooms.preview(&key, "update_member", leave.clone()).await;
        assert!(lines(&asked).contains(&"update member.status: active → deactivated".to_owned()));
        let done = rooms.confirmed(&key, "update_member", leave).await;
        assert_eq!(done["reassigned"], json!({ "conversations": 1, "tickets": 0 }));
        assert_eq!(
            (&done["keys_narrowed"], &done["member"]["status"]),
            (&json!(1), &json!("deactivated"))
        );
        assert_eq!(docs(&rooms, "conversation").await[0]["assignee"], "usr_zoe");
        // The key of somebody who is gone opens nothing within a second.
        while rooms.try_principal(&bens).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let back = rooms
            .confirmed(
                &key,
                "update_member",
                json!({ "id": "ben@acme.test", "status": "active" }),
            )
            .await;
        assert_eq!(back["member"]["status"], "active");
    });
}

#[test]
fn roles_are_given_and_taken_by_the_rules() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        rooms.follow_people();
        let owner = rooms.key("acme", ALL).await;
        rooms.add_user("acme", "zoe").await;
        set_role(&rooms, "usr_zoe", Role::Admin).await;
        let admin = rooms
            .limited_key(
                "acme",
                Some("zoe@acme.test"),
                "admin:members",
                KeyLimits::default(),
            )
            .await;
        let me = rooms.principal(&owner).await.facts().user.to_string();
        for (key, change, said) in [
            (
                &owner,
                json!({ "id": "me", "role": "member" }),
                "you cannot change your own role",
            ),
            (
                &owner,
                json!({ "id": "me", "status": "deactivated" }),
                "the last owner cannot be demoted or deactivated",
            ),
            (
                &admin,
                json!({ "id": me, "role": "member" }),
                "only an owner makes, changes or deactivates an owner",
            ),
            (
                &admin,
                json!({ "id": "ben", "role": "owner" }),
                "only an owner makes, changes or deactivates an owner",
            ),
            (
                &owner,
                json!({ "id": "ben", "reassign_to": "ben" }),
                "reassign_to: must be somebody else",
            ),
        ] {
            let refused = rooms.refusal(key, "update_member", change).await;
            assert_eq!(refused, format!("422 Unprocessable: {said}"));
        }
        let raised = rooms
            .confirmed(
                &admin,
                "update_member",
                json!({ "id": "ben", "role": "admin", "out_of_office": true }),
            )
            .await;
        assert_eq!(
            (
                &raised["member"]["role"],
                &raised["member"]["out_of_office"],
                &raised["keys_narrowed"]
            ),
            (&json!("admin"), &json!(true), &json!(0))
        );
        let user = people::find_user(
            &rooms.store,
            &footbridge_server::operate::Actor::Operator,
            &tenant("acme"),
            "usr_ben",
        )
        .await
        .unwrap();
        assert_eq!(user.role, Role::Admin);
        // Who is no admin any more sees and calls none of it.
        set_role(&rooms, "usr_zoe", Role::Member).await;
        while rooms.try_call(&admin, "list_members", &json!({})).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let refused = rooms.refusal(&admin, "list_members", json!({})).await;
        assert!(
            refused.starts_with("403 Forbidden: missing scope admin:members"),
            "{refused}"
        );
    });
}

#[test]
fn channels_are_added_and_changed_without_showing_their_secret() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let wish = json!({
            "name": "Key accounts", "type": "email", "members": ["ben@acme.test"],
            "business_hours": { "time_zone": "Europe/Berlin", "weekly": { "mon": ["09:00-17:00"] } },
        });
        let made = rooms.confirmed(&key, "create_channel", wish.clone()).await;
        let channel = &made["channel"];
        assert_eq!(
            (&channel["slug"], &channel["active"], &channel["members"]),
            (&json!("key-accounts"), &json!(true), &json!(["usr_ben"]))
        );
        let reveal = made["inbound"]["reveal_command"].as_str().unwrap();
        assert!(
            reveal.starts_with("footbridge-server channel secret chn_"),
            "{reveal}"
        );
        assert!(channel.get("secret_hash").is_none());
        let refused = rooms.refusal(&key, "create_channel", wish).await;
        assert!(
            refused.starts_with("409 Conflict: a channel is called \"Key accounts\" already"),
            "{refused}"
        );
        for (more, said) in [
            (
                json!({ "delivery": { "adapter": "pigeon" } }),
                "delivery.adapter: must be one of webhook, smtp, none",
            ),
            (
                json!({ "delivery": { "adapter": "smtp", "target": "nobody" } }),
                "delivery.target: must be the address",
            ),
            (
                json!({ "members": ["nobody@acme.test"] }),
                "member nobody@acme.test",
            ),
            (
                json!({ "business_hours": { "time_zone": "Mars/Base", "weekly": { "mon": ["09:00-17:00"] } } }),
                "business_hours: `Mars/Base` is no time zone",
            ),
            (
                json!({ "business_hours": { "time_zone": "UTC", "weekly": { "mon": ["17:00-09:00"] } } }),
                "business_hours: `17:00-09:00` is no window",
            ),
            (
                json!({ "sla": { "urgent": { "first_response_minutes": "soon", "resolution_minutes": 480 } } }),
                "sla: urgent: first_response_minutes: invalid type: string \"soon\", expected a whole number from 0 on; write",
            ),
            (
                json!({ "sla": { "whenever": {} } }),
                "sla: whenever: unknown variant `whenever`",
            ),
        ] {
            let mut wish = json!({ "name": "Other", "type": "api" });
            wish.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let refused = rooms.refusal(&key, "create_channel", wish).await;
            assert!(refused.contains(said), "{refused}");
        }
        let id = channel["id"].as_str().unwrap().to_owned();
        for wish in [
            json!({ "business_hours": { "time_zone": "UTC", "weekly": {} } }),
            json!({ "sla": { "low": { "first_response_minutes": 5 } } }),
        ] {
            let mut change = json!({ "id": id });
            change
                .as_object_mut()
                .unwrap()
                .extend(wish.as_object().unwrap().clone());
            let refused = rooms.refusal(&key, "update_channel", change).await;
            assert!(refused.starts_with("400 Bad Request: "), "{wish}: {refused}");
        }
        // An empty object takes a channel's own hours away: the tenant's hold.
        let none = json!({ "id": id, "business_hours": {} });
        let changed = rooms.confirmed(&key, "update_channel", none).await;
        assert_eq!(changed["changed"], json!(["business_hours"]));
        conversation(&rooms, "cnv_1", &id, "usr_ben").await;
        let refused = rooms
            .refusal(
                &key,
                "update_channel",
                json!({ "id": "key-accounts", "active": false }),
            )
            .await;
        assert!(
            refused.starts_with("409 Conflict: the channel has 1 open conversation;"),
            "{refused}"
        );
        let other = rooms
            .confirmed(&key, "create_channel", json!({ "name": "Rest", "type": "web" }))
            .await;
        let close = json!({ "id": "key-accounts", "active": false, "move_to": "rest" });
        let closed = rooms.confirmed(&key, "update_channel", close).await;
        assert_eq!(closed["changed"], json!(["active"]));
        assert_eq!(
            docs(&rooms, "conversation").await[0]["channel_id"],
            other["channel"]["id"]
        );
        let stale = json!({ "id": "rest", "greeting": "Hello", "if_version": 9 });
        let refused = rooms.refusal(&key, "update_channel", stale).await;
        assert!(refused.starts_with("409 Conflict"), "{refused}");
        let listed = rooms.call(&key, "list_channels", json!({ "active": true })).await;
        assert_eq!(column(&listed, "name"), ["Rest"]);
    });
}

#[test]
fn bots_and_widgets_are_changed_within_their_rules() {
    run(async {
        let rooms = Rooms::with(Place::sqlite()).await;
        let key = rooms.key("acme", ALL).await;
        rooms
            .confirmed(&key, "create_channel", json!({ "name": "Web", "type": "web" }))
            .await;
        let bot = json!({ "name": "Helper", "enabled": false, "handoff": { "after_unanswered": 2, "keywords": [] } });
        put(
            &rooms,
            "bot",
            "bot_1",
            bot,
            vec![Field::unique("name", "helper"), Field::new("enabled", false)],
        )
        .await;
        let widget = json!({ "name": "Site", "active": true, "channel_id": "chn_x" });
        put(
            &rooms,
            "widget",
            "wgt_1",
            widget,
            vec![Field::unique("name", "site"), Field::new("active", true)],
        )
        .await;
        let change = json!({
            "id": "helper", "enabled": true, "channels": ["web"], "directives": [{ "when": "refund", "do": "handoff" }],
            "handoff": { "after_unanswered": 1, "keywords": ["angry"], "to_channel": "web" }, "answer_threshold": 0.5,
        });
        let changed = rooms.confirmed(&key, "update_bot", change).await;
        let channel = changed["bot"]["channels"][0].clone();
        assert!(channel.as_str().unwrap().starts_with("chn_"), "{changed}");
        assert_eq!(changed["bot"]["handoff"]["to_channel"], channel);
        for (more, said) in [
            (
                json!({ "handoff": { "after_unanswered": 11 } }),
                "handoff.after_unanswered: must be at most 10",
            ),
            (
                json!({ "directives": [{ "when": "refund" }] }),
                "directives.0.do: is required",
            ),
            (
                json!({ "channels": ["nowhere"] }),
                "404 Not Found: channel nowhere",
            ),
        ] {
            let mut change = json!({ "id": "bot_1" });
            change
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let refused = rooms.refusal(&key, "update_bot", change).await;
            assert!(refused.contains(said), "{refused}");
        }
        let handled = json!({ "channel_id": channel, "status": "open", "bot_handled": true });
        put(
            &rooms,
            "conversation",
            "cnv_1",
            handled,
            vec![Field::new("status", "open")],
        )
        .await;
        let bots = rooms.call(&key, "list_bots", json!({ "enabled": true })).await;
        assert_eq!(
            (column(&bots, "answered_30d"), column(&bots, "handed_off_30d")),
            (vec![json!(1)], vec![json!(0)])
        );
        let change = json!({ "id": "site", "channel_id": "web", "allowed_origins": ["https://Shop.example/"], "ask_email": true });
        let changed = rooms.confirmed(&key, "update_widget", change).await;
        assert_eq!(
            (
                &changed["widget"]["allowed_origins"],
                &changed["widget"]["channel_id"]
            ),
            (&json!(["https://shop.example"]), &channel)
        );
        for bad in [
            "http://shop.example",
            "https://*.example",
            "https://shop.example/x",
        ] {
            let refused = rooms
                .refusal(
                    &key,
                    "update_widget",
                    json!({ "id": "wgt_1", "allowed_origins": [bad] }),
                )
                .await;
            assert!(
                refused.starts_with("422 Unprocessable: allowed_origins: "),
                "{refused}"
            );
        }
        let widgets = rooms.call(&key, "list_widgets", json!({})).await;
        assert_eq!(column(&widgets, "id"), ["wgt_1"]);
    });
}
