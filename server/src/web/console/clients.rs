//! What each client is told so that it finds this server: rows of `clients.toml`, with our address in them.

use std::sync::LazyLock;

use serde::Deserialize;

/// One client's row, as a page shows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Snippet {
    pub(super) id: String,
    pub(super) title: String,
    /// How it gets here: directly, through the bridge, by a command.
    pub(super) way: String,
    /// Where the snippet goes.
    pub(super) place: String,
    /// What to know besides.
    pub(super) note: String,
    pub(super) snippet: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    client: Vec<Snippet>,
}

/// Invariant: the file is ours and compiled in; a test reads it.
static ROWS: LazyLock<Vec<Snippet>> = LazyLock::new(|| {
    toml::from_str::<File>(include_str!("clients.toml"))
        .unwrap_or_default()
        .client
});

/// The snippets for one endpoint.
pub(super) fn snippets(url: &str) -> Vec<Snippet> {
    let for_url = |row: &Snippet| Snippet {
        snippet: row.snippet.trim().replace("{URL}", url),
        ..row.clone()
    };
    ROWS.iter().map(for_url).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_names_the_server_and_leaves_the_key_to_the_page() {
        toml::from_str::<File>(include_str!("clients.toml")).unwrap();
        let all = snippets("https://mcp.example.com/context/mcp");
        assert!(all.len() >= 15);
        let ids: HashSet<_> = all.iter().map(|row| row.id.clone()).collect();
        assert_eq!(ids.len(), all.len());
        for row in all {
            assert!(
                row.snippet.contains("https://mcp.example.com/context/mcp"),
                "{}",
                row.id
            );
            // VS Code asks for the key itself.
            assert_eq!(row.snippet.contains("YOUR_KEY"), row.id != "vscode", "{}", row.id);
        }
    }
}
