//! How much of a catalogue an assistant is shown, as forms choose it: groups of tools, or three tools that find the others.

use std::collections::BTreeMap;

use super::Fields;
use crate::{catalogue::Edition, vocabulary::Listing};

/// One group of tools.
pub(super) struct Toolset {
    pub(super) name: String,
    pub(super) tools: usize,
    pub(super) picked: bool,
}

/// The groups of an edition, in the order of their names.
pub(super) fn of(edition: &Edition, listing: &Listing) -> Vec<Toolset> {
    let mut counted = BTreeMap::<&str, usize>::new();
    for tool in edition.tools() {
        *counted.entry(tool.toolset.as_str()).or_default() += 1;
    }
    let one = |(name, tools): (&str, usize)| Toolset {
        name: name.to_owned(),
        tools,
        picked: listing.toolsets.iter().any(|picked| picked == name),
    };
    counted.into_iter().map(one).collect()
}

/// What a form asks for.
pub(super) fn picked(fields: &Fields) -> Listing {
    Listing {
        toolsets: fields.all("toolset").map(str::to_owned).collect(),
        discover: fields.is_ticked("discover"),
    }
}

/// An endpoint's address that asks for it.
pub(super) fn address(url: &str, listing: &Listing) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if listing.discover {
        query.append_pair("mode", "discover");
    } else if !listing.toolsets.is_empty() {
        query.append_pair("toolsets", &listing.toolsets.join(","));
    }
    match query.finish().replace("%2C", ",").as_str() {
        "" => url.to_owned(),
        query => format!("{url}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_asks_for_what_was_picked_and_the_edge_reads_it_so() {
        for (listing, shown) in [
            (Listing::default(), "http://x/mcp"),
            (
                Listing {
                    toolsets: vec!["crm".to_owned(), "tickets".to_owned()],
                    discover: false,
                },
                "http://x/mcp?toolsets=crm,tickets",
            ),
            (
                Listing {
                    toolsets: Vec::new(),
                    discover: true,
                },
                "http://x/mcp?mode=discover",
            ),
        ] {
            let made = address("http://x/mcp", &listing);
            assert_eq!(made, shown);
            let query = made.split_once('?').map_or("", |(_, query)| query);
            assert_eq!(Listing::of_query(query), listing);
        }
    }
}
