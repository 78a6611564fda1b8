//! One-click links (§4 of the client list): data and percent-encoding. A link never carries a key: browsers keep addresses,
//! servers log them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::document::{Member, Node, Value, minimal};
use super::entry::{self, Ingredients, KeyText};
use super::{Client, Mode, System};
use crate::brand;

/// What stands where the person has to put the key.
pub(crate) const SAMPLE_KEY: &str = "YOUR_KEY";

/// The links of a client for an entry: the one its program opens, and the one for web pages. Both lead to the server
/// directly. Each may be missing.
pub(crate) fn links(client: &Client, name: &str, url: &str) -> (Option<String>, Option<String>) {
    let make = |template: &str| {
        (!template.is_empty())
            .then(|| fill(client, template, name, url))
            .flatten()
    };
    (make(client.link), make(client.web_link))
}

fn fill(client: &Client, template: &str, name: &str, url: &str) -> Option<String> {
    // An editor that asks for the key needs no place to put it.
    let key = if client.input {
        KeyText::None
    } else {
        KeyText::Literal(SAMPLE_KEY.to_owned())
    };
    let with = Ingredients {
        name,
        url,
        program: "",
        key: &key,
        key_variable: None,
        variables: &[],
    };
    let entry = entry::build(client, Mode::Direct, System::Linux, &with).ok()?;
    let mut named = vec![Member {
        key: "name".to_owned(),
        start: 0,
        node: Node::text(name),
    }];
    named.extend_from_slice(entry.members());
    let named = minimal(&Value::Map(named).into());
    let entry = minimal(&entry);
    Some(entry::place(
        template,
        &[
            ("{NAME}", &encode(name)),
            ("{TITLE}", &encode(brand::TITLE)),
            ("{URL}", &encode(url)),
            ("{ENTRY}", &encode(&entry)),
            ("{NAMED_ENTRY}", &encode(&named)),
            ("{ENTRY_BASE64}", &encode(&STANDARD.encode(&entry))),
        ],
    ))
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
