//! What a list costs: groups of tools, and three tools in place of all.

use std::fmt::Write as _;

use footbridge_server::{
    catalogue::{Catalogue, NamedText},
    store::{AuditFilter, KeyConfirm, KeyLimits, StoreError},
    vocabulary::{Listing, TenantId},
};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::house::House;

const LEGACY: &str = "2025-11-25";

fn names(answer: &Value) -> Vec<String> {
    let tools = answer["result"]["tools"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn list(house: &House, key: &str, path: &str) -> Value {
    house
        .modern(key, "tools/list", json!({}))
        .path(path)
        .send()
        .await
        .json()
}

/// Calls one of the three through a URL that asks for them, as an older client.
async fn call(house: &House, key: &str, tool: &str, arguments: Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    let post = house.legacy(key, LEGACY, "tools/call", params);
    post.path("/mcp?mode=discover").send().await.json()
}

/// A catalogue of so many tools in five groups.
fn large(count: usize, discover: bool) -> String {
    let mut text = format!(
        "format = 1\n[edition]\nname = \"test\"\ntitle = \"Large\"\ninstructions = \"Many tools.\"\nkey_prefix = \"test_\"\n\
         bare_path = \"/mcp\"\ndiscover = {discover}\n[scopes.\"t:read\"]\ntitle = \"Read\"\n"
    );
    for number in 0..count {
        let kind = ["ticket", "invoice", "lead", "article", "channel"][number % 5];
        write!(
            text,
            "[[tool]]\nname = \"{kind}_action_{number}\"\ndescription = \"Does number {number} to one {kind}.\"\n\
             scope = \"t:read\"\neffect = \"read\"\ntoolset = \"{kind}\"\nhandler = \"tests::plain\"\n\
             [[tool.example]]\ntitle = \"x\"\n"
        )
        .unwrap();
    }
    text
}

#[tokio::test]
async fn more_tools_than_a_page_cost_no_more_than_three() {
    let house = House::serving(&large(600, true)).await;
    let key = house.key("t:read").await;
    let reply = house.modern(&key, "tools/list", json!({})).send().await;
    // An estimated token is four bytes (design.md D13).
    assert!(reply.body.len() / 4 < 1_200, "{} bytes", reply.body.len());
    assert_eq!(
        names(&reply.json()),
        ["search_tools", "describe_tool", "call_tool"]
    );
    assert!(reply.text().contains("600 tools"));
    let found = call(&house, &key, "search_tools", json!({ "query": "invoice 421" })).await;
    let found = &found["result"]["structuredContent"];
    assert_eq!(found["tools"][0]["name"], "invoice_action_421", "{found}");
    assert_eq!(found["tools"].as_array().unwrap().len(), 10);
    assert_eq!(found["total"], 120);
    let described = call(
        &house,
        &key,
        "describe_tool",
        json!({ "name": "invoice_action_421" }),
    )
    .await;
    let tool = &described["result"]["structuredContent"]["tool"];
    assert_eq!(tool["inputSchema"]["type"], "object", "{described}");
    let called = call(&house, &key, "call_tool", json!({ "name": "invoice_action_421" })).await;
    assert_eq!(
        called["result"]["structuredContent"],
        json!({ "ok": true }),
        "{called}"
    );
}

#[test]
fn only_an_edition_that_is_searched_has_more_tools_than_a_page() {
    let text = large(513, false);
    let file = NamedText {
        name: "large.toml",
        text: &text,
    };
    let refused = Catalogue::load(&[&[file]]).unwrap_err().to_string();
    assert!(refused.contains("513 tools; at most 512"), "{refused}");
}

#[tokio::test]
async fn a_url_and_a_key_narrow_the_list_and_not_the_rights() {
    let house = House::serving(&large(20, false)).await;
    let key = house.key("t:read").await;
    assert_eq!(names(&list(&house, &key, "/mcp").await).len(), 20);
    let two = names(&list(&house, &key, "/mcp?toolsets=ticket,lead").await);
    assert_eq!(two.len(), 8);
    assert!(
        two.iter()
            .all(|name| name.starts_with("ticket") || name.starts_with("lead"))
    );
    let unknown = list(&house, &key, "/mcp?toolsets=ticket,nothing").await;
    assert_eq!(unknown["error"]["code"], -32602);
    let text = unknown["error"]["message"].as_str().unwrap();
    assert!(
        text.contains("`nothing`") && text.contains("article, channel"),
        "{text}"
    );
    let of_key = |toolsets: &[&str], discover| KeyLimits {
        listing: Listing {
            toolsets: toolsets.iter().map(|name| (*name).to_owned()).collect(),
            discover,
        },
        ..KeyLimits::default()
    };
    let narrow = house
        .limited_key("t:read", of_key(&["lead", "article"], false))
        .await;
    assert_eq!(names(&list(&house, &narrow, "/mcp").await).len(), 8);
    assert_eq!(
        names(&list(&house, &narrow, "/mcp?toolsets=lead,ticket").await).len(),
        4
    );
    let hidden = house
        .call(&narrow, "ticket_action_0", json!({}))
        .send()
        .await
        .json();
    assert_eq!(
        hidden["result"]["structuredContent"],
        json!({ "ok": true }),
        "{hidden}"
    );
    let searching = house.limited_key("t:read", of_key(&[], true)).await;
    assert_eq!(names(&list(&house, &searching, "/mcp").await).len(), 3);
    let called = house
        .call(&searching, "call_tool", json!({ "name": "ticket_action_0" }))
        .send()
        .await
        .json();
    assert_eq!(
        called["result"]["structuredContent"],
        json!({ "ok": true }),
        "{called}"
    );
    // Without being asked for, the three are no tools.
    let unasked = house
        .call(&key, "search_tools", json!({ "query": "x" }))
        .send()
        .await;
    assert_eq!(unasked.outcome(), (200, Some(-32602)), "{unasked:?}");
}

#[tokio::test]
async fn what_is_called_through_call_tool_meets_every_rule() {
    let house = House::start().await;
    let reader = house.key("t:read").await;
    let refused = call(
        &house,
        &reader,
        "call_tool",
        json!({ "name": "note", "arguments": { "text": "x" } }),
    )
    .await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("403 Forbidden: missing scope"), "{text}");
    let unseen = call(&house, &reader, "describe_tool", json!({ "name": "note" })).await;
    assert_eq!(unseen["result"]["structuredContent"], Value::Null, "{unseen}");
    assert!(
        unseen["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("404 ")
    );
    for (tool, arguments, text) in [
        ("call_tool", json!({}), "name"),
        (
            "call_tool",
            json!({ "name": "plain", "arguments": [] }),
            "arguments",
        ),
        ("call_tool", json!({ "name": "plain", "more": 1 }), "more"),
        ("search_tools", json!({ "query": "" }), "query"),
        ("search_tools", json!({}), "query"),
        ("describe_tool", json!({ "name": 7 }), "name"),
        (
            "call_tool",
            json!({ "name": "notes.echo", "arguments": { "text": 7 } }),
            "text",
        ),
    ] {
        let answer = call(&house, &reader, tool, arguments).await;
        let said = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(said.starts_with("400 ") && said.contains(text), "{said}");
    }
    let nested = call(
        &house,
        &reader,
        "call_tool",
        json!({ "name": "call_tool", "arguments": { "name": "plain" } }),
    )
    .await;
    assert_eq!(nested["error"]["code"], -32602, "{nested}");

    let limits = KeyLimits {
        confirm: KeyConfirm::Preview,
        ..KeyLimits::default()
    };
    let writer = house.limited_key("t:write", limits).await;
    let listed = list(&house, &writer, "/mcp?mode=discover").await;
    assert_eq!(listed["result"]["tools"][2]["annotations"]["readOnlyHint"], false);
    let mut arguments = json!({ "text": "x" });
    let named = |arguments: &Value| json!({ "name": "note", "arguments": arguments });
    let preview = call(&house, &writer, "call_tool", named(&arguments)).await;
    let preview = &preview["result"]["structuredContent"];
    assert_eq!(preview["status"], "confirmation_required", "{preview}");
    arguments["confirmation_token"] = preview["confirmation_token"].clone();
    let done = call(&house, &writer, "call_tool", named(&arguments)).await;
    assert_eq!(done["result"]["structuredContent"]["status"], "done", "{done}");

    // The log names the tool that was called, and what was looked for.
    house.store.flush().await.unwrap();
    let tenant = TenantId::new("local").unwrap();
    let page: Result<_, StoreError> = house
        .store
        .read(&tenant, |tx| {
            async move { tx.audit_log().list(&AuditFilter::default(), None, 100).await }.boxed()
        })
        .await;
    let logged: Vec<String> = page
        .unwrap()
        .rows
        .iter()
        .filter_map(|row| row.record.tool_name.as_ref().map(ToString::to_string))
        .collect();
    assert!(logged.contains(&"note".to_owned()), "{logged:?}");
    assert!(logged.contains(&"describe_tool".to_owned()), "{logged:?}");
}
