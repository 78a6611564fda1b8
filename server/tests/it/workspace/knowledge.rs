//! Articles: revisions, slugs, and finding the right section.

use serde_json::{Value, json};

use super::house::{ALL, Rooms, column};
use crate::store::harness::for_each_engine;

async fn publish(rooms: &Rooms, key: &str, title: &str, body: &str) -> Value {
    let article =
        json!({ "title": title, "body_markdown": body, "status": "published", "visibility": "public" });
    rooms.confirmed(key, "create_knowledge_article", article).await["article"].clone()
}

#[test]
fn the_right_article_comes_first_with_the_right_section() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let policy = "We are generous.\n\n# Deadlines\n\nAsk within thirty days.\n\n# Payment\n\nMoney comes back in five days.\n";
        publish(&rooms, &key, "Refund policy", policy).await;
        publish(
            &rooms,
            &key,
            "Shipping",
            "# Cost\n\nFree. A refund policy does not cover shipping costs.\n",
        )
        .await;
        publish(
            &rooms,
            &key,
            "Returns",
            "# Refund policy for gifts\n\nGifts are exchanged.\n",
        )
        .await;
        let draft = json!({ "title": "Refund policy, next year", "body_markdown": "refund policy" });
        rooms.confirmed(&key, "create_knowledge_article", draft).await;
        let found = rooms
            .call(&key, "search_knowledge", json!({ "query": "refund policy" }))
            .await;
        assert_eq!(
            column(&found, "title"),
            ["Refund policy", "Returns", "Shipping"],
            "title before heading before text, and no drafts"
        );
        let found = rooms
            .call(&key, "search_knowledge", json!({ "query": "refund money days" }))
            .await;
        assert_eq!(column(&found, "title")[0], "Refund policy");
        assert_eq!(column(&found, "section")[0], "Payment");
        assert_eq!(column(&found, "snippet")[0], "Money comes back in five days.");
        let inside = json!({ "query": "refund policy", "visibility": "internal" });
        assert_eq!(
            rooms.call(&key, "search_knowledge", inside).await["items"],
            json!([])
        );
    });
}

#[test]
fn every_save_is_a_revision_that_can_be_read_again() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        publish(&rooms, &key, "Opening hours", "Nine to five.").await;
        let change =
            json!({ "id": "opening-hours", "body_markdown": "Ten to six.", "change_note": "Winter" });
        let done = rooms.confirmed(&key, "update_knowledge_article", change).await;
        assert_eq!(done["article"]["revision"], 2);
        let now = rooms
            .call(&key, "get_knowledge_article", json!({ "id": "opening-hours" }))
            .await;
        assert_eq!(now["article"]["body_markdown"], "Ten to six.");
        let revisions: Vec<&Value> = now["revisions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| &r["revision"])
            .collect();
        assert_eq!(revisions, [2, 1]);
        let old = json!({ "id": "opening-hours", "revision": 1 });
        let old = rooms.call(&key, "get_knowledge_article", old).await;
        assert_eq!(old["article"]["body_markdown"], "Nine to five.");
        let none = json!({ "id": "opening-hours", "revision": 7 });
        let text = rooms.refusal(&key, "get_knowledge_article", none).await;
        assert!(text.starts_with("404 Not Found: revision 7"), "{text}");
        let list = rooms.call(&key, "list_knowledge_articles", json!({})).await;
        assert_eq!(
            list["items"][0].get("body_markdown"),
            None,
            "lists have no bodies"
        );
    });
}

#[test]
fn a_slug_belongs_to_one_article_and_archived_ones_are_not_found() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        publish(&rooms, &key, "Refunds", "Old.").await;
        let second = publish(&rooms, &key, "Refunds", "New.").await;
        assert_eq!(second["slug"], "refunds-2");
        let taken = json!({ "id": "refunds-2", "slug": "refunds" });
        let text = rooms.refusal(&key, "update_knowledge_article", taken).await;
        assert_eq!(text, "409 Conflict: slug \"refunds\" is used; choose another");
        let archive = json!({ "id": "refunds", "redirect_to": "refunds-2" });
        let done = rooms
            .confirmed(&key, "archive_knowledge_article", archive.clone())
            .await;
        assert_eq!(done["article"]["status"], "archived");
        assert_eq!(done["article"]["redirect_to"], second["id"]);
        let found = rooms
            .call(&key, "search_knowledge", json!({ "query": "refunds" }))
            .await;
        assert_eq!(column(&found, "slug"), ["refunds-2"]);
        // Where nobody can read what it leads to, whoever archives hears of it first.
        let back = json!({ "id": "refunds-2", "redirect_to": done["article"]["id"] });
        let asked = rooms.preview(&key, "archive_knowledge_article", back).await;
        assert_eq!(
            asked["preview"]["warnings"],
            json!([
                "article \"Refunds\" is not published for everybody: whoever follows the old address finds nothing"
            ])
        );
        let again = rooms.refusal(&key, "archive_knowledge_article", archive).await;
        assert_eq!(
            again,
            "409 Conflict: the article is archived already; update_knowledge_article with status draft brings it back"
        );
    });
}
