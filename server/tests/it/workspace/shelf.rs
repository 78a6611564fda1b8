//! Customers and articles at the console, and articles as everybody reads them.

use footbridge_server::vocabulary::Role;
use serde_json::json;

use super::{desk::agreed, house::ALL, seed::seeded};
use crate::{
    house::Post,
    store::harness::{Place, for_each_engine, run},
    web::browser::Browser,
};

#[test]
fn customers_are_found_shown_and_changed_in_two_steps() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let rooms = &seeded.rooms;
        let outside = rooms.open_doors();
        let mut browser = rooms.browser(&outside, "acme", Role::Member).await;
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

#[test]
fn an_article_is_written_published_read_by_everybody_and_archived() {
    for_each_engine(|place| async move {
        let seeded = seeded(place).await;
        let rooms = &seeded.rooms;
        let outside = rooms.open_doors();
        let mut browser = rooms.browser(&outside, "acme", Role::Member).await;
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
