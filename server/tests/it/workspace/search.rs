//! `search_crm`: what is exact outranks what is said.

use serde_json::{Value, json};

use super::{house::ALL, house::Rooms, house::column};
use crate::store::harness::for_each_engine;

#[test]
fn addresses_numbers_and_domains_come_before_words() {
    for_each_engine(|place| async move {
        let rooms = Rooms::with(place).await;
        let key = rooms.key("acme", ALL).await;
        let account = json!({ "name": "Engines", "domain": "engines.test" });
        rooms.confirmed(&key, "create_account", account).await;
        let person = json!({ "name": "Grace Hopper", "account_id": "engines.test", "email": "grace@engines.test", "phone": "+49 30 123 456" });
        rooms.confirmed(&key, "create_contact", person).await;
        for lead in [
            json!({ "name": "Somebody who knows grace@engines.test and engines.test", "company": "engines.test engines.test" }),
            json!({ "name": "Call 4930123456 again", "company": "4930123456" }),
            json!({ "name": "Graceland Tours", "note": "Wants the blue brochure." }),
        ] {
            rooms.confirmed(&key, "create_lead", lead).await;
        }
        let found = async |arguments: Value| rooms.call(&key, "search_crm", arguments).await;
        for (query, first) in [
            ("GRACE@engines.test", "Grace Hopper"),
            ("+49 (30) 123-456", "Grace Hopper"),
            ("engines.test", "Engines"),
        ] {
            let all = found(json!({ "query": query })).await;
            assert_eq!(column(&all, "title")[0], first, "{query}: {all}");
            // Others say it, too, and come after.
            let others = column(&all, "title").len();
            assert!(others > 1 || query.starts_with('+'), "{query}: {all}");
        }
        // The last word may only be begun; kinds can be chosen; notes count.
        let both = column(&found(json!({ "query": "grac" })).await, "title");
        assert!(
            both.contains(&json!("Grace Hopper")) && both.contains(&json!("Graceland Tours")),
            "{both:?}"
        );
        let leads = found(json!({ "query": "grac", "types": ["lead"] })).await;
        assert!(
            column(&leads, "type").iter().all(|kind| kind == "lead"),
            "{leads}"
        );
        let noted = found(json!({ "query": "blue broch" })).await;
        assert_eq!(column(&noted, "title"), ["Graceland Tours"]);
        assert_eq!(column(&noted, "snippet"), ["Wants the blue brochure."]);
        // Pages follow each other.
        let first = found(json!({ "query": "grac", "limit": 1 })).await;
        let second = json!({ "query": "grac", "limit": 1, "cursor": first["next_cursor"] });
        assert_ne!(column(&found(second).await, "id"), column(&first, "id"));
        assert_eq!(
            found(json!({ "query": "nothing at all" })).await["items"],
            json!([])
        );
    });
}
