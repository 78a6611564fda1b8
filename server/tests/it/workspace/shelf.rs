//! Customers and articles at the console, and articles as everybody reads them.

use footbridge_server::vocabulary::Role;
use serde_json::{Value, json};

use super::{
    desk::{agreed, at_desk},
    house::{ALL, with},
    seed::seeded,
};
use crate::{
    house::Post,
    process,
    store::harness::{Place, for_each_engine, run, tenant},
    web::browser::Browser,
};

#[test]
fn customers_are_found_shown_and_changed_in_two_steps() {
    for_each_engine(|place| async move {
        let (seeded, _outside, mut browser) = at_desk(place, Role::Member).await;
        let rooms = &seeded.rooms;
        let key = rooms.key("acme", ALL).await;
        let at = |kind: &str| format!("/console/{kind}s/{}", seeded.ids[format!("${kind}").as_str()]);
        for (list, path) in [
            (
                "/console/accounts?lifecycle_stage=prospect&q=Analytical",
                at("account"),
            ),
            ("/console/contacts?account_id=analytical.test", at("contact")),
            ("/console/leads?status=new&q=Ada", at("lead")),
        ] {
            let text = browser.get(list).await.text();
            assert!(text.contains(&path), "{list}: {text}");
        }
        let account = browser.get(&at("account")).await.text();
        for part in [
            "Charles Babbage",
            "Engine",
            "1000.00",
            "Printer",
            &at("contact"),
            &at("ticket"),
        ] {
            assert!(account.contains(part), "{part} in {account}");
        }
        let contact = browser.get(&at("contact")).await.text();
        assert!(
            contact.contains("Analytical Ltd") && contact.contains("Printer"),
            "{contact}"
        );

        let path = at("account");
        let owner = rooms
            .call(&key, "get_account", json!({ "id": seeded.ids["$account"] }))
            .await;
        let owner = owner["account"]["owner"].as_str().unwrap().to_owned();
        let change = [
            ("act", "change"),
            ("name", "Analytical Ltd"),
            ("domain", "analytical.test"),
            ("lifecycle_stage", "at_risk"),
            ("health_score", "35"),
            ("owner", owner.as_str()),
        ];
        let (shown, done) = agreed(&mut browser, &path, &path, &change).await;
        assert!(
            shown.contains("account lifecycle stage") && !shown.contains("account domain"),
            "{shown}"
        );
        assert_eq!(done.status, 303, "{}", done.text());
        let note = [("act", "note"), ("body", "They may leave.")];
        assert_eq!(agreed(&mut browser, &path, &path, &note).await.1.status, 303);
        let now = rooms
            .call(&key, "get_account", json!({ "id": seeded.ids["$account"] }))
            .await;
        assert_eq!(now["account"]["lifecycle_stage"], "at_risk");
        assert_eq!(now["account"]["health_score"], 35);
        assert_eq!(now["notes"][0]["body"], "They may leave.");
        let wrong = [
            &change[..4],
            &[("health_score", "well"), ("owner", owner.as_str())],
        ]
        .concat();
        let refused = browser.submit(&path, &path, &wrong).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
    });
}

/// Fills the form of a new record in, and says yes; gives the page of the plan and the address of the record.
async fn made(browser: &mut Browser, list: &str, fields: &[(&str, &str)]) -> (String, String) {
    let new = format!("/console/{list}/new");
    let fields = [&[("act", "save")], fields].concat();
    let (shown, done) = agreed(browser, &new, &new, &fields).await;
    assert_eq!(done.status, 303, "{}", done.text());
    let path = done.header("location").unwrap().strip_suffix("?done=created");
    (shown, path.unwrap().to_owned())
}

#[test]
fn records_are_made_in_two_steps_with_the_tenants_own_fields() {
    for_each_engine(|place| async move {
        let (seeded, _outside, mut browser) = at_desk(place, Role::Member).await;
        let rooms = &seeded.rooms;
        let key = rooms.key("acme", ALL).await;
        let tiers = vec!["gold".to_owned(), "silver".to_owned()];
        for (kind, name, wanted, choices) in [
            ("lead", "tier", "choice", tiers),
            ("lead", "seats", "number", Vec::new()),
            ("ticket", "serial", "text", Vec::new()),
        ] {
            rooms
                .workspace
                .add_own_field(&tenant("acme"), kind, name, wanted, choices)
                .await
                .unwrap();
        }
        let stored = async |tool: &str, path: &str, kind: &str| {
            let id = path.rsplit('/').next().unwrap();
            rooms.call(&key, tool, json!({ "id": id })).await[kind].clone()
        };

        let grace = [
            ("name", "Grace Hopper"),
            ("email", "grace@compiler.test"),
            ("value_cents", "1200.50"),
            ("currency", "EUR"),
            ("owner", "me"),
            ("tags", "fair, big"),
            ("note", "Met her\r\nat the fair."),
            ("custom.tier", "gold"),
            ("custom.seats", "7"),
        ];
        let (shown, lead) = made(&mut browser, "leads", &grace).await;
        assert!(
            shown.contains("Grace Hopper") && shown.contains("gold"),
            "{shown}"
        );
        let found = stored("get_lead", &lead, "lead").await;
        for (field, value) in [
            ("value_cents", json!(120_050)),
            ("tags", json!(["fair", "big"])),
            ("source", json!("manual")),
            ("custom", json!({ "tier": "gold", "seats": 7 })),
        ] {
            assert_eq!(found[field], value, "{found}");
        }
        // Nobody is made twice by chance; what was written stays in the form.
        let again = [&[("act", "save")], &grace[..]].concat();
        let again = browser
            .submit("/console/leads/new", "/console/leads/new", &again)
            .await;
        assert_eq!(again.status, 422);
        let again = again.text();
        assert!(
            again.contains("has the email") && again.contains("value=\"1200.50\""),
            "{again}"
        );
        // Own fields change like the others, and nothing takes one away.
        let change = [("act", "change"), ("custom.tier", "silver"), ("custom.seats", "")];
        let (shown, done) = agreed(&mut browser, &lead, &lead, &change).await;
        assert_eq!(done.status, 303, "{shown}");
        let found = stored("get_lead", &lead, "lead").await;
        assert_eq!(found["custom"], json!({ "tier": "silver" }));
        let change = [("act", "change"), ("custom.tier", "bronze")];
        let refused = browser.submit(&lead, &lead, &change).await;
        assert_eq!(refused.status, 422);
        assert!(
            refused.text().contains("must be one of gold, silver"),
            "{}",
            refused.text()
        );

        let (_, account) = made(&mut browser, "accounts", &[("name", "Compiler Corp")]).await;
        let account_id = account.rsplit('/').next().unwrap();
        let begun = browser
            .get(&format!("/console/contacts/new?account_id={account_id}&x=%22%3E"))
            .await
            .text();
        assert!(begun.contains(&format!("value=\"{account_id}\"")), "{begun}");
        let contact = [
            ("name", "Jean"),
            ("account_id", account_id),
            ("email", "jean@compiler.test"),
        ];
        let (_, contact) = made(&mut browser, "contacts", &contact).await;
        let ticket = [
            ("title", "It does not compile"),
            ("requester", "jean@compiler.test"),
            ("priority", "high"),
            ("due_at", "2027-01-31"),
            ("custom.serial", "A-1"),
        ];
        let (_, ticket) = made(&mut browser, "tickets", &ticket).await;
        let found = stored("get_ticket", &ticket, "ticket").await;
        assert_eq!(found["account_id"], account_id);
        assert_eq!(found["custom"], json!({ "serial": "A-1" }));
        assert!(browser.get(&contact).await.text().contains("It does not compile"));
        let page = browser.get(&ticket).await.text();
        assert!(
            page.contains("A-1") && page.contains("value=\"2027-01-31\""),
            "{page}"
        );
    });
}

#[test]
fn a_lead_is_converted_and_records_are_deleted_in_two_steps() {
    for_each_engine(|place| async move {
        let (seeded, _outside, mut browser) = at_desk(place, Role::Member).await;
        let key = seeded.rooms.key("acme", ALL).await;
        let path = format!("/console/leads/{}", seeded.ids["$lead"]);
        let lead = async || {
            let whole = json!({ "id": seeded.ids["$lead"] });
            seeded.rooms.call(&key, "get_lead", whole).await["lead"].clone()
        };
        // What cannot be is said beside the form.
        let nowhere = [("act", "convert"), ("account", "nowhere.test")];
        assert_eq!(browser.submit(&path, &path, &nowhere).await.status, 404);

        let before = lead().await;
        let convert = [("act", "convert"), ("deal", "yes")];
        let shown = browser.submit(&path, &path, &convert).await.text();
        assert!(
            shown.contains("Notes &#38; Co") && shown.contains("opportunity"),
            "{shown}"
        );
        assert_eq!(lead().await, before, "a plan changes nothing");
        let (_, done) = agreed(&mut browser, &path, &path, &convert).await;
        let converted = format!("{path}?done=converted");
        assert_eq!(
            done.header("location"),
            Some(converted.as_str()),
            "{}",
            done.text()
        );
        let after = lead().await;
        assert_eq!(after["status"], "converted");
        let contact = format!("/console/contacts/{}", after["converted_to"].as_str().unwrap());
        let page = browser.get(&converted).await.text();
        assert!(
            page.contains("The lead is a contact now.") && page.contains(&contact),
            "{page}"
        );
        assert!(!page.contains("value=\"convert\""), "{page}");

        // A contact with a deal stays.
        let delete = [("act", "delete"), ("reason", "Asked for it.")];
        assert_eq!(browser.submit(&contact, &contact, &delete).await.status, 422);
        let deals = json!({ "account_id": "Notes & Co" });
        let deals = seeded.rooms.call(&key, "list_opportunities", deals).await;
        let deal = format!(
            "/console/opportunities/{}",
            deals["items"][0]["id"].as_str().unwrap()
        );
        for (path, list) in [
            (&deal, "/console/opportunities"),
            (&contact, "/console/contacts"),
            (&path, "/console/leads"),
        ] {
            let (shown, done) = agreed(&mut browser, path, path, &delete).await;
            assert!(shown.contains("Delete"), "{shown}");
            let gone = format!("{list}?done=deleted");
            assert_eq!(done.header("location"), Some(gone.as_str()), "{}", done.text());
            let page = browser.get(&gone).await.text();
            assert!(
                page.contains("It is deleted.") && !page.contains(path.as_str()),
                "{page}"
            );
            assert_eq!(browser.get(path).await.status, 404);
        }
    });
}

#[test]
fn whoever_changes_nothing_is_shown_no_form_of_a_new_record() {
    for_each_engine(|place| async move {
        let (seeded, _outside, mut browser) = at_desk(place, Role::Auditor).await;
        let article = format!("/console/articles/{}/edit", seeded.ids["$article"]);
        let lists = [
            "accounts",
            "contacts",
            "leads",
            "opportunities",
            "tickets",
            "articles",
        ];
        let new = lists.iter().map(|list| format!("/console/{list}/new"));
        for path in new.chain([article]) {
            let page = browser.get(&path).await;
            assert_eq!(page.status, 403, "{path}");
            let page = page.text();
            assert!(
                page.contains("needs the role owner, admin or member") && !page.contains("name=\"act\""),
                "{page}"
            );
        }
    });
}

#[test]
fn a_deal_is_made_found_and_lost_at_the_console() {
    for_each_engine(|place| async move {
        let (seeded, _outside, mut browser) = at_desk(place, Role::Member).await;
        let deal = [
            ("name", "Second site"),
            ("account_id", "analytical.test"),
            ("amount_cents", "4500"),
            ("close_date", "2027-01-31"),
        ];
        let (shown, path) = made(&mut browser, "opportunities", &deal).await;
        assert!(shown.contains("450000"), "{shown}");
        let list = browser
            .get("/console/opportunities?stage=qualification")
            .await
            .text();
        assert!(list.contains(&path) && list.contains("4500.00 USD"), "{list}");
        let account = browser
            .get(&format!("/console/accounts/{}", seeded.ids["$account"]))
            .await
            .text();
        assert!(account.contains(&path), "{account}");

        let lost = [("act", "change"), ("stage", "lost"), ("lost_reason", "")];
        let refused = browser.submit(&path, &path, &lost).await;
        assert_eq!(refused.status, 422);
        let refused = refused.text();
        assert!(
            refused.contains("ost_reason is required") && refused.contains("value=\"lost\" selected"),
            "{refused}"
        );
        let lost = [("act", "change"), ("stage", "lost"), ("lost_reason", "Too dear.")];
        assert_eq!(agreed(&mut browser, &path, &path, &lost).await.1.status, 303);
        let list = browser.get("/console/opportunities?stage=lost").await.text();
        assert!(
            list.contains("1 deal: 4500.00 USD in all, 0.00 USD by how likely"),
            "{list}"
        );
        let list = browser.get("/console/opportunities").await.text();
        assert!(list.contains("2 deals: 5500.00 USD in all"), "{list}");
        let page = browser.get(&path).await.text();
        for part in [
            "Too dear.",
            "qualification → lost",
            "Analytical Ltd",
            "2027-01-31",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    });
}

#[test]
fn an_article_is_written_published_read_by_everybody_and_archived() {
    for_each_engine(|place| async move {
        let (seeded, outside, mut browser) = at_desk(place, Role::Member).await;
        let rooms = &seeded.rooms;
        let mut anybody = Browser::at(outside.address);
        let new = "/console/articles/new";
        let written = [
            ("act", "save"),
            ("title", "Delivery times"),
            ("visibility", "public"),
            (
                "body",
                "# How long\r\n\r\n*Two* days.\r\n\r\n<script>alert(1)</script>\r\n",
            ),
        ];
        let (_, done) = agreed(&mut browser, new, new, &written).await;
        assert_eq!(done.status, 303, "{}", done.text());
        let path = done
            .header("location")
            .unwrap()
            .split('?')
            .next()
            .unwrap()
            .to_owned();
        let public = "/kb/acme/delivery-times";
        assert_eq!(anybody.get(public).await.status, 404, "a draft is nobody's");

        let page = browser.get(&path).await.text();
        assert!(
            page.contains("<em>Two</em>") && !page.contains("<script>alert"),
            "{page}"
        );
        let publish = [("act", "publish")];
        assert_eq!(agreed(&mut browser, &path, &path, &publish).await.1.status, 303);
        let read = anybody.get(public).await;
        assert_eq!(read.status, 200);
        assert!(read.text().contains("<h2>How long</h2>") && !read.text().contains("<script"));
        assert_eq!(read.header("cache-control"), Some("public, max-age=300"));
        let policy = read.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(read.cookies.is_empty());
        let mut again = Post::to(outside.address, "", "").path(public);
        again.method = "GET";
        let again = again
            .header("if-none-match", read.header("etag").unwrap())
            .send()
            .await;
        assert_eq!((again.status, again.body.len()), (304, 0));

        // What the tools say of it is this address.
        let key = rooms.key("acme", ALL).await;
        let found = rooms
            .call(&key, "search_knowledge", json!({ "query": "delivery times" }))
            .await;
        assert_eq!(found["items"][0]["url"], format!("http://desk.test{public}"));

        let edit = [
            ("act", "save"),
            ("title", "Delivery times"),
            ("slug", "delivery-times"),
            ("visibility", "public"),
            ("body", "Three days."),
            ("change_note", "The post is slow"),
        ];
        let form = format!("{path}/edit");
        assert_eq!(agreed(&mut browser, &form, &path, &edit).await.1.status, 303);
        let earlier = browser.get(&format!("{path}?revision=1")).await.text();
        assert!(earlier.contains("<em>Two</em>"), "{earlier}");
        assert!(browser.get(&path).await.text().contains("The post is slow"));

        let to = rooms
            .call(
                &key,
                "get_knowledge_article",
                json!({ "id": seeded.ids["$article"] }),
            )
            .await;
        let to = to["article"]["slug"].as_str().unwrap().to_owned();
        let archive = [("act", "archive"), ("redirect_to", to.as_str())];
        assert_eq!(agreed(&mut browser, &path, &path, &archive).await.1.status, 303);
        assert_eq!(
            anybody.get(public).await.status,
            404,
            "it leads to an internal one"
        );
        let open = json!({ "id": seeded.ids["$article"], "visibility": "public" });
        rooms.confirmed(&key, "update_knowledge_article", open).await;
        let moved = anybody.get(public).await;
        assert_eq!(moved.status, 307);
        assert_eq!(moved.header("location"), Some(format!("/kb/acme/{to}").as_str()));
    });
}

#[test]
fn nobody_reads_what_is_not_for_everybody() {
    run(async {
        let seeded = seeded(Place::sqlite()).await;
        let outside = seeded.rooms.open_doors();
        let mut anybody = Browser::at(outside.address);
        for path in [
            "/kb/acme/refund-policy",
            "/kb/acme/nothing",
            "/kb/nobody/refund-policy",
            "/kb/acme/%2e%2e%2fconsole",
            "/kb/%0d%0aX-Evil:1/refund-policy",
        ] {
            let reply = anybody.get(path).await;
            assert_eq!(reply.status, 404, "{path}");
            assert_eq!(reply.header("x-evil"), None, "{path}");
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        }
    });
}

/// The port is the system's choice: no configuration knows it.
#[test]
fn an_article_is_found_where_the_server_really_listens() {
    let place = process::Place::new();
    std::fs::write(place.config(), "[server]\neditions = [\"workspace\"]\n").unwrap();
    let minted = place.ok(&[
        "key",
        "mint",
        "--edition",
        "workspace",
        "--scopes",
        "knowledge:read,knowledge:write",
        "--json",
    ]);
    let minted: Value = serde_json::from_str(&minted).unwrap();
    let key = minted["key"].as_str().unwrap();
    let server = place.serve();
    let call = |tool: &str, arguments: &Value| {
        let params = json!({ "name": tool, "arguments": arguments });
        let reply = server.legacy_at("/workspace/mcp", key, "tools/call", params);
        let answer = reply["result"]["structuredContent"].clone();
        assert!(answer.is_object(), "{tool}: {reply}");
        answer
    };
    let article = json!({
        "title": "Delivery times",
        "body_markdown": "Two days.",
        "status": "published",
        "visibility": "public",
    });
    let asked = call("create_knowledge_article", &article);
    let done = call("create_knowledge_article", &with(&article, &asked));
    assert_eq!(done["status"], "done", "{done}");
    let found = call("search_knowledge", &json!({ "query": "delivery" }));
    let url = found["items"][0]["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", server.address));
    let page = server.request("GET", path.unwrap_or_else(|| panic!("{url}")), &[], "");
    assert!(page.status == 200 && page.body.contains("Two days."), "{page:?}");
}
