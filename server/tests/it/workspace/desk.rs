//! The workspace's pages of the console: what they show, what is done there in two steps, and for whom not.

use footbridge_server::{
    operate::{
        Actor,
        people::{self, NewPerson},
        sessions,
    },
    store::SignInKind,
    vocabulary::Role,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    generated::NOT_OURS,
    house::{ALL, Rooms},
    seed::{Seeded, seeded},
    talk::Outside,
};
use crate::{
    house::Reply,
    store::harness::{Place, for_each_engine, run, tenant},
    web::{LIFETIME, browser::Browser},
};

/// Markup where people write names.
const MARKUP: &str = "<img src=x onerror=alert(1)>\u{202e}\r\nX-Evil: 1";

impl Rooms {
    /// A browser of somebody of a tenant who is signed in with this role.
    pub(super) async fn browser(&self, outside: &Outside, name: &str, role: Role) -> Browser {
        let tenant = tenant(name);
        let email = format!("{}@desk.test", role.as_str());
        let known = people::users(&self.store, &Actor::Operator, &tenant)
            .await
            .unwrap();
        let user = match known.into_iter().find(|user| user.email == email) {
            Some(user) => user,
            None => {
                let person = NewPerson {
                    email,
                    name: format!("Some {}", role.as_str()),
                    role,
                    groups: Vec::new(),
                };
                people::add_user(&self.store, &Actor::Operator, &tenant, person)
                    .await
                    .unwrap()
            }
        };
        let opened = sessions::open(&self.store, &tenant, &user.id, SignInKind::Browser, LIFETIME)
            .await
            .unwrap();
        Browser::at(outside.address).signed_in(opened.secret.expose_secret())
    }
}

/// Somebody of `acme` with this role, at the pages of a house with records in it.
pub(super) async fn at_desk(place: Place, role: Role) -> (Seeded, Outside, Browser) {
    let seeded = seeded(place).await;
    let outside = seeded.rooms.open_doors();
    let browser = seeded.rooms.browser(&outside, "acme", role).await;
    (seeded, outside, browser)
}

/// The value of a hidden field of a page.
pub(super) fn hidden(page: &str, name: &str) -> String {
    let begin = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().unwrap().to_owned()
}

/// Sends a form, reads what it would do, and says yes from that page; gives both answers.
pub(super) async fn agreed(
    browser: &mut Browser,
    page: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> (String, Reply) {
    let shown = browser.submit(page, path, fields).await;
    assert_eq!(shown.status, 200, "{path}: {}", shown.text());
    let shown = shown.text();
    let reply = say_yes(browser, path, &shown).await;
    (shown, reply)
}

async fn say_yes(browser: &mut Browser, path: &str, shown: &str) -> Reply {
    let field = |name: &str| hidden(shown, name);
    let (tool, token, done) = (field("tool"), field("token"), field("done"));
    let fields = [
        ("act", "confirm"),
        ("tool", tool.as_str()),
        ("token", token.as_str()),
        ("done", done.as_str()),
    ];
    browser.form(path, &fields, &field("form")).send().await
}

async fn ticket(seeded: &Seeded) -> (Value, String) {
    let key = seeded.rooms.key("acme", ALL).await;
    let found = seeded
        .rooms
        .call(&key, "get_ticket", json!({ "id": seeded.ids["$ticket"] }))
        .await;
    (found, key)
}

#[test]
fn a_ticket_is_found_shown_and_changed_in_two_steps() {
    for_each_engine(|place| async move {
        let (seeded, _outside, mut browser) = at_desk(place, Role::Member).await;
        let path = format!("/console/tickets/{}", seeded.ids["$ticket"]);
        for (query, there) in [
            ("", true),
            (
                "?status=open&assignee=unassigned&priority=medium&sla=ok&q=Printer",
                true,
            ),
            ("?status=closed", false),
            ("?status=all", true),
            ("?assignee=me", false),
            ("?priority=%27+OR+1%3D1&colour=red", true),
        ] {
            let list = browser.get(&format!("/console/tickets{query}")).await;
            assert_eq!(list.status, 200);
            assert_eq!(list.text().contains(&path), there, "{query}: {}", list.text());
        }
        let short = browser.get("/console/tickets?q=P").await.text();
        assert!(short.contains("role=\"alert\""), "{short}");

        let assign = [("act", "assign"), ("assignee", "me")];
        let token = browser.token(&path).await;
        let shown = browser.form(&path, &assign, &token).send().await.text();
        assert!(
            shown.contains("ticket assignee") && shown.contains("Some member"),
            "{shown}"
        );
        let (before, _) = ticket(&seeded).await;
        assert_eq!(
            before["ticket"].get("assignee"),
            None,
            "a preview changes nothing"
        );
        let done = say_yes(&mut browser, &path, &shown).await;
        assert_eq!(done.status, 303, "{}", done.text());
        assert_eq!(
            done.header("location"),
            Some(format!("{path}?done=assigned").as_str())
        );
        let page = browser.get(&format!("{path}?done=assigned")).await.text();
        assert!(
            page.contains("It is assigned.") && page.contains("Some member"),
            "{page}"
        );
        // Said once, done once.
        let again = say_yes(&mut browser, &path, &shown).await;
        assert_eq!(again.status, 303, "{}", again.text());

        for fields in [
            vec![("act", "comment"), ("body", "I can\r\nreproduce it.")],
            vec![
                ("act", "change"),
                ("priority", "urgent"),
                ("status", "in_progress"),
            ],
            vec![("act", "closed"), ("resolution", "New toner.")],
        ] {
            let (_, done) = agreed(&mut browser, &path, &path, &fields).await;
            assert_eq!(done.status, 303, "{fields:?}: {}", done.text());
        }
        let (after, _) = ticket(&seeded).await;
        assert_eq!(after["ticket"]["status"], "closed");
        assert_eq!(after["ticket"]["priority"], "urgent");
        assert_eq!(after["ticket"]["resolution"], "New toner.");
        assert_eq!(after["comments"][0]["body"], "I can\nreproduce it.");
        assert_eq!(after["comments"][0]["author"]["name"], "Some member");
        // What cannot be is said beside the form, with what was written.
        let nothing = browser
            .submit(&path, &path, &[("act", "answer"), ("body", "")])
            .await;
        assert_eq!(nothing.status, 422);
        // The calls stand in the log as the console's.
        let calls = browser.get("/console/calls").await.text();
        assert!(
            calls.contains("assign_ticket") && calls.contains("console"),
            "{calls}"
        );
    });
}

#[test]
fn who_changes_a_ticket_meanwhile_is_not_overruled() {
    for_each_engine(|place| async move {
        let (seeded, _outside, mut browser) = at_desk(place, Role::Member).await;
        let path = format!("/console/tickets/{}", seeded.ids["$ticket"]);
        let close = [("act", "closed"), ("resolution", "Mine.")];
        let shown = browser.submit(&path, &path, &close).await.text();
        let (_, key) = ticket(&seeded).await;
        let urgent = json!({ "id": seeded.ids["$ticket"], "priority": "urgent" });
        seeded.rooms.confirmed(&key, "update_ticket", urgent).await;
        let changed = say_yes(&mut browser, &path, &shown).await;
        assert_eq!(changed.status, 409);
        let changed = changed.text();
        assert!(changed.contains("changed by somebody else"), "{changed}");
        assert_eq!(ticket(&seeded).await.0["ticket"]["status"], "open");
        assert_eq!(say_yes(&mut browser, &path, &changed).await.status, 303);
        assert_eq!(ticket(&seeded).await.0["ticket"]["status"], "closed");
    });
}

#[test]
fn a_conversation_is_answered_given_and_ended_in_two_steps() {
    for_each_engine(|place| async move {
        let (seeded, _outside, mut browser) = at_desk(place, Role::Member).await;
        let id = seeded.ids["$conversation"].as_str();
        let path = format!("/console/inbox/{id}");
        let key = seeded.rooms.key("acme", ALL).await;
        let conversation = async || {
            let whole = seeded
                .rooms
                .call(&key, "get_conversation", json!({ "id": id }))
                .await;
            (whole["conversation"].clone(), whole["messages"].clone())
        };
        let (before, _) = conversation().await;

        let take = [("act", "take")];
        let shown = browser.submit(&path, &path, &take).await.text();
        assert!(
            shown.contains("Nothing has been changed yet.") && shown.contains("Some member"),
            "{shown}"
        );
        assert_eq!(conversation().await.0, before, "a preview changes nothing");
        let done = say_yes(&mut browser, &path, &shown).await;
        let to = format!("{path}?done=assigned");
        assert_eq!(done.header("location"), Some(to.as_str()), "{}", done.text());
        assert_ne!(conversation().await.0["assignee"], before["assignee"]);

        for (fields, word) in [
            (
                vec![("act", "reply"), ("body", "It is\r\non its way.")],
                "It is\non its way.",
            ),
            (vec![("act", "note"), ("body", "Sounds cross.")], "Sounds cross."),
            (vec![("act", "assign"), ("assignee", "unassigned")], "to nobody"),
            (
                vec![
                    ("act", "escalate"),
                    ("reason", "A part is missing."),
                    ("priority", "urgent"),
                ],
                "A part is missing.",
            ),
            (vec![("act", "reply-and-resolve"), ("body", "Done.")], "Done."),
        ] {
            let (shown, done) = agreed(&mut browser, &path, &path, &fields).await;
            assert!(shown.contains(word), "{fields:?}: {shown}");
            assert_eq!(done.status, 303, "{fields:?}: {}", done.text());
        }
        let (after, messages) = conversation().await;
        assert_eq!(after["status"], "resolved");
        assert!(after["ticket_id"].is_string(), "{after}");
        let said: Vec<_> = messages.as_array().unwrap().iter().rev().take(3).collect();
        assert_eq!(said[0]["body"], "Done.");
        assert_eq!(said[1]["kind"], "note");
        assert_eq!(said[2]["body"], "It is\non its way.");
        assert_eq!(said[2]["author"]["name"], "Some member");
        // What cannot be is said beside the form, with what was written.
        let nobody = [("act", "assign"), ("assignee", "grace"), ("body", "Kept.")];
        let refused = browser.submit(&path, &path, &nobody).await;
        assert_eq!(refused.status, 404, "{}", refused.text());
        let empty = browser
            .submit(&path, &path, &[("act", "reply"), ("body", "")])
            .await;
        assert_eq!(empty.status, 422);
        let calls = browser.get("/console/calls").await.text();
        assert!(calls.contains("reply_to_conversation"), "{calls}");
    });
}

/// Every page of a record with one of its forms.
fn pages(seeded: &Seeded) -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    let page = |place: &str, placeholder: &str, fields: &[(&'static str, &'static str)]| {
        (
            format!("/console/{place}/{}", seeded.ids[placeholder]),
            fields.to_vec(),
        )
    };
    let note = [("act", "note"), ("body", "Called.")];
    vec![
        page("tickets", "$ticket", &[("act", "assign"), ("assignee", "me")]),
        page("accounts", "$account", &note),
        page("contacts", "$contact", &note),
        page("leads", "$lead", &note),
        page("opportunities", "$opportunity", &note),
        page("articles", "$article", &[("act", "draft")]),
        page("inbox", "$conversation", &note),
    ]
}

#[test]
fn pages_are_for_their_own_tenant_and_changes_for_those_who_may() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let outside = seeded.rooms.open_doors();
        let mut stranger = seeded.rooms.browser(&outside, "zeta", Role::Owner).await;
        let mut auditor = seeded.rooms.browser(&outside, "acme", Role::Auditor).await;
        let mut member = seeded.rooms.browser(&outside, "acme", Role::Member).await;
        for (path, fields) in pages(&seeded) {
            assert_eq!(stranger.get(&path).await.status, 404, "{path}");
            let token = stranger.token("/console/connect").await;
            assert_eq!(
                stranger.form(&path, &fields, &token).send().await.status,
                404,
                "{path}"
            );
            let read = auditor.get(&path).await;
            assert_eq!(read.status, 200, "{path}");
            assert!(
                !read.text().contains("name=\"act\""),
                "{path} offers an auditor changes"
            );
            let token = auditor.token("/console/connect").await;
            let before = seeded.rooms.dump(&NOT_OURS).await.len();
            assert_eq!(
                auditor.form(&path, &fields, &token).send().await.status,
                403,
                "{path}"
            );
            let token = member.token(&path).await;
            // Another's token, none, and another site's page.
            for wrong in ["", "x", &stranger.token("/console/connect").await] {
                assert_eq!(
                    member.form(&path, &fields, wrong).send().await.status,
                    403,
                    "{path}"
                );
            }
            let foreign = member
                .form(&path, &fields, &token)
                .set("origin", "https://evil.example");
            assert_eq!(foreign.send().await.status, 403, "{path}");
            assert_eq!(seeded.rooms.dump(&NOT_OURS).await.len(), before, "{path}");
            assert_eq!(
                member.form(&path, &fields, &token).send().await.status,
                200,
                "{path}"
            );
            let mut nobody = Browser::at(outside.address);
            assert_eq!(nobody.get(&path).await.status, 303, "{path}");
        }
    });
}

#[test]
fn what_people_write_is_shown_and_never_obeyed() {
    run(async {
        let seeded = seeded(Place::sqlite()).await;
        let outside = seeded.rooms.open_doors();
        let key = seeded.rooms.key("acme", ALL).await;
        let confirmed =
            async |tool: &str, arguments: Value| seeded.rooms.confirmed(&key, tool, arguments).await;
        let ticket = json!({ "title": MARKUP, "description": MARKUP, "requester": seeded.ids["$contact"] });
        let ticket = confirmed("create_ticket", ticket).await;
        let account = confirmed("create_account", json!({ "name": MARKUP, "industry": MARKUP })).await;
        let lead = json!({ "name": MARKUP, "company": MARKUP, "note": MARKUP });
        let lead = confirmed("create_lead", lead).await;
        let article = json!({ "title": MARKUP, "body_markdown": MARKUP, "status": "published", "visibility": "public" });
        let article = confirmed("create_knowledge_article", article).await;
        let at = |place: &str, made: &Value, kind: &str| {
            format!("/console/{place}/{}", made[kind]["id"].as_str().unwrap())
        };
        let path = at("tickets", &ticket, "ticket");
        let mut browser = seeded.rooms.browser(&outside, "acme", Role::Owner).await;
        let close = [("act", "closed"), ("resolution", MARKUP)];
        let mut replies = vec![browser.submit(&path, &path, &close).await];
        for page in [
            "/console/tickets",
            "/console/accounts",
            "/console/leads",
            "/console/articles",
            &path,
            &at("accounts", &account, "account"),
            &at("leads", &lead, "lead"),
            &at("articles", &article, "article"),
            &format!("/kb/acme/{}", article["article"]["slug"].as_str().unwrap()),
        ] {
            let reply = browser.get(page).await;
            assert_eq!(reply.status, 200, "{page}");
            replies.push(reply);
        }
        for reply in replies {
            assert_eq!(reply.header("x-evil"), None);
            let text = reply.text();
            assert!(!text.contains("<img src=x"), "{text}");
            assert!(
                text.contains("&#60;img src=x") || text.contains("&lt;img src=x"),
                "{text}"
            );
        }
    });
}

#[test]
fn a_person_chooses_which_tools_an_assistant_is_shown() {
    run(async {
        let (_seeded, _outside, mut browser) = at_desk(Place::sqlite(), Role::Member).await;
        let new = "/console/keys/new";
        let mut fields = vec![
            ("edition", "workspace"),
            ("name", "Tickets"),
            ("days", "30"),
            ("scope", "crm:read"),
            ("scope", "tickets:read"),
            ("toolset", "tickets"),
        ];
        let minted = browser.submit(new, new, &fields).await;
        assert_eq!(minted.status, 200, "{}", minted.text());
        let minted = minted.text();
        let (_, id) = minted.split_once("/console/connect?key=").unwrap();
        let id = id.split('"').next().unwrap();
        let seen = browser.get(&format!("/console/editions?key={id}")).await.text();
        let row = |tool: &str| {
            let (_, rest) = seen.split_once(&format!("<code>{tool}</code>")).unwrap();
            rest.split("</tr>").next().unwrap().to_owned()
        };
        assert!(row("list_tickets").contains(">yes<"), "{}", row("list_tickets"));
        assert!(row("list_leads").contains("not listed"), "{}", row("list_leads"));
        assert!(row("create_lead").contains(">no<"), "{}", row("create_lead"));

        let at = |query: &str| format!("/console/connect?key={id}&{query}");
        let shown = browser
            .get(&at("toolset=crm&toolset=tickets&toolset=%22x"))
            .await
            .text();
        assert!(shown.contains("?toolsets=crm,tickets"), "{shown}");
        let shown = browser.get(&at("discover=yes")).await.text();
        assert!(shown.contains("?mode=discover"), "{shown}");
        let plain = browser.get(&at("toolset=nothing")).await.text();
        assert!(!plain.contains("?toolsets="), "{plain}");
        fields[5].1 = "nothing";
        let refused = browser.submit(new, new, &fields).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
    });
}
