//! Secrets that are read from a vault: when, how often, and what an outage of the vault does.

use std::time::Duration;

use serde_json::json;

use super::{
    api::{Api, answer},
    call, catalogue, text,
};
use crate::house::House;

/// A vault's answer for a secret.
fn in_vault(secret: &str) -> Vec<u8> {
    answer(
        "200 OK",
        "",
        &json!({ "data": { "data": { "token": secret }, "metadata": { "version": 1 } } }).to_string(),
    )
}

#[tokio::test]
async fn a_secret_in_a_vault_is_read_kept_and_read_again_when_it_is_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "hvs.1\n").unwrap();
    // The secret is rotated: the second look finds another. Then the vault goes away, and comes back without it.
    let vault = Api::start(|seen, before| match (seen.header("x-vault-token"), before) {
        (Some("hvs.1"), 0) => in_vault("first-s3cret"),
        (Some("hvs.2"), 1) => in_vault("second-s3cret"),
        (Some("hvs.2"), 2) => answer("503 Service Unavailable", "", "{}"),
        (Some("hvs.2"), 3) => in_vault("second-s3cret"),
        _ => answer("404 Not Found", "", "{\"errors\":[]}"),
    })
    .await;
    // Calls 0 and 1 are taken; at 2 the first secret is refused; with the second all are taken, but for the last.
    let api = Api::start(|seen, before| match (seen.header("authorization"), before) {
        (Some("Bearer first-s3cret"), 0 | 1) | (Some("Bearer second-s3cret"), 3 | 4) => {
            answer("200 OK", "", "{\"id\":1}")
        }
        (auth, _) => {
            let said = json!({ "message": format!("{} is refused", auth.unwrap_or_default()) });
            answer("401 Unauthorized", "", &said.to_string())
        }
    })
    .await;
    let auth = format!(
        "[upstream.crm.auth]\nkind = \"bearer\"\nsecret = \"vault:secret/team/crm#token\"\n\
         [vault]\naddress = \"http://127.0.0.1:{}\"\ntoken = \"file:{}\"\nallow_private = true\nnamespace = \"ops\"\n[[tool]]",
        vault.port,
        token.display()
    );
    let input = "input_schema = '{\"type\":\"object\"}'\n";
    let get = "method = \"GET\"\npath = \"/lead\"\nretry = false\n";
    let house = House::serving(&catalogue(api.port, "read", input, get).replace("[[tool]]", &auth)).await;
    assert!(vault.seen().is_empty(), "nothing is read before it is needed");
    for _ in 0..2 {
        assert_eq!(call(&house, json!({})).await["structuredContent"]["id"], 1);
    }
    let looks = vault.seen();
    assert_eq!(looks.len(), 1, "one look for both calls");
    assert_eq!(looks[0].line, "GET /v1/secret/data/team/crm HTTP/1.1");
    assert_eq!(looks[0].header("x-vault-namespace"), Some("ops"));
    // The API refuses it: the next call looks again, with the token as it is then.
    std::fs::write(&token, "hvs.2\n").unwrap();
    let refused = call(&house, json!({})).await;
    assert!(text(&refused).starts_with("502 Bad Gateway"), "{refused}");
    assert!(!refused.to_string().contains("s3cret"), "{refused}");
    for _ in 0..2 {
        let taken = call(&house, json!({})).await;
        assert_eq!(taken["structuredContent"]["id"], 1, "{taken}: {:?}", api.last());
    }
    assert_eq!(vault.seen().len(), 2);
    // Refused once more, and the vault is silent: nothing is guessed.
    call(&house, json!({})).await;
    let silent = call(&house, json!({})).await;
    assert!(
        text(&silent).contains("upstream's credential cannot be read"),
        "{silent}"
    );
    assert_eq!(vault.seen().len(), 3);
}

#[tokio::test]
async fn a_secret_is_read_again_after_its_time_and_outlasts_an_outage_but_no_refusal() {
    let folder = tempfile::TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "hvs.1\n").unwrap();
    // Read, read again once its time is over, silent, and then said to be gone.
    let vault = Api::start(|_, before| match before {
        0 => in_vault("first"),
        1 => in_vault("second"),
        2 => answer("503 Service Unavailable", "", "{}"),
        _ => answer("404 Not Found", "", "{\"errors\":[]}"),
    })
    .await;
    let api = Api::start(|seen, _| {
        let said = json!({ "id": seen.header("authorization") });
        answer("200 OK", "", &said.to_string())
    })
    .await;
    let auth = format!(
        "[upstream.crm.auth]\nkind = \"bearer\"\nsecret = \"vault:secret/team/crm#token\"\n\
         [vault]\naddress = \"http://127.0.0.1:{}\"\ntoken = \"file:{}\"\nallow_private = true\n\
         cache_seconds = 1\n[[tool]]",
        vault.port,
        token.display()
    );
    let input = "input_schema = '{\"type\":\"object\"}'\n";
    let get = "method = \"GET\"\npath = \"/lead\"\nretry = false\n";
    let house = House::serving(&catalogue(api.port, "read", input, get).replace("[[tool]]", &auth)).await;
    for (bearer, looks) in [("Bearer first", 1), ("Bearer second", 2), ("Bearer second", 3)] {
        let answered = call(&house, json!({})).await;
        assert_eq!(answered["structuredContent"]["id"], bearer, "{answered}");
        assert_eq!(vault.seen().len(), looks);
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    let gone = call(&house, json!({})).await;
    assert!(
        text(&gone).contains("upstream's credential cannot be read"),
        "{gone}"
    );
    assert_eq!(api.seen().len(), 3, "nothing is sent without its secret");
}
