//! How much of a catalogue a client is shown (design.md D13).

use serde::{Deserialize, Serialize};

/// What a list holds of the tools that a caller may call. A matter of cost, never of rights: what is left out can be
/// called all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listing {
    /// Only these groups of tools; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub toolsets: Vec<String>,
    /// Three tools that find, describe and call the others, in place of them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub discover: bool,
}

impl Listing {
    /// Reads `toolsets=a,b` and `mode=discover` from the query of an endpoint's URL. Whatever else stands there is
    /// somebody else's.
    pub fn of_query(query: &str) -> Self {
        let mut out = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "toolsets" => {
                    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                    out.toolsets.extend(names.map(str::to_owned));
                }
                "mode" => out.discover = value == "discover",
                _ => {}
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_which_tools_are_listed() {
        let listing = Listing::of_query("x=1&toolsets=crm,%20tickets,&mode=discover");
        assert_eq!(listing.toolsets, ["crm", "tickets"]);
        assert!(listing.discover);
        assert_eq!(Listing::of_query("mode=full"), Listing::default());
        assert_eq!(Listing::of_query(""), Listing::default());
    }

    #[test]
    fn what_says_nothing_is_stored_as_nothing() {
        assert_eq!(serde_json::to_string(&Listing::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Listing>("{}").unwrap(), Listing::default());
    }
}
