//! What is asked for, where it goes and the entry that says it.

use std::path::Path;

use super::{Run, key, program};
use crate::clients::document::Node;
use crate::clients::entry::{self, Ingredients, KeyText};
use crate::clients::{Client, Mode, Place, Scope, inspect};
use crate::options::{
    ALLOW_HTTP_VARIABLE, CA_FILE_VARIABLE, CLIENT_CERT_VARIABLE, CLIENT_KEY_VARIABLE, URL_VARIABLE,
};
use crate::upstream::Endpoint;

/// The variables about proxies that every program reads; the spelling in small letters wins.
const PROXY_VARIABLES: [(&str, &str); 4] = [
    ("HTTPS_PROXY", "https_proxy"),
    ("HTTP_PROXY", "http_proxy"),
    ("ALL_PROXY", "all_proxy"),
    ("NO_PROXY", "no_proxy"),
];

/// What an entry is made from, for one client.
pub(super) struct Wanted {
    pub(super) mode: Mode,
    pub(super) key: KeyText,
    pub(super) entry: Node,
}

impl Run<'_> {
    /// The files to edit.
    pub(super) fn places(&self, client: &Client, scope: Scope) -> Result<Vec<Place>, String> {
        let places: Vec<Place> = match scope {
            Scope::User => client.user_places(self.around),
            Scope::Project => client
                .project_place(self.around, &self.options.name)
                .into_iter()
                .collect(),
        };
        if !places.is_empty() {
            return Ok(places);
        }
        Err(match scope {
            Scope::Project => format!("{} has no file for projects; leave out --project", client.name),
            Scope::User if self.around.home().is_none() => {
                "The home directory is not known: neither HOME nor USERPROFILE is set".to_owned()
            }
            Scope::User => format!("{} is not installed here", client.name),
        })
    }

    pub(super) fn mode(&self, client: &Client) -> Mode {
        match (self.options.direct, self.options.bridge) {
            (true, _) => Mode::Direct,
            (_, true) => Mode::Bridge,
            _ => client.default_mode(),
        }
    }

    pub(super) fn url(&self) -> Result<&str, String> {
        self.settings.url.as_deref().ok_or_else(|| {
            format!("No server address is set. Add --url https://mcp.example.com/mcp, or set {URL_VARIABLE}")
        })
    }

    fn endpoint(&self) -> Result<Endpoint, String> {
        Endpoint::parse(self.url()?, self.settings.allow_http).map_err(|error| error.to_string())
    }

    /// The entry to write.
    pub(super) fn wanted(&self, client: &Client, scope: Scope, places: &[Place]) -> Result<Wanted, String> {
        let mode = self.mode(client);
        // Before a key is asked for.
        let origin = self.endpoint()?.origin();
        let in_work_tree =
            scope == Scope::Project && places.iter().any(|place| inspect::is_in_work_tree(&place.path));
        let key = key::decide(&key::Question {
            client,
            mode,
            scope,
            in_work_tree,
            system: self.around.system,
            given: &self.settings.key,
            options: self.options,
            is_interactive: self.is_interactive,
            asked: &self.asked,
            origin: &origin,
        })?;
        let entry = self.entry(client, mode, &key)?;
        Ok(Wanted { mode, key, entry })
    }

    pub(super) fn entry(&self, client: &Client, mode: Mode, key: &KeyText) -> Result<Node, String> {
        let url = self.url()?;
        self.endpoint()?;
        let program = match mode {
            Mode::Direct => String::new(),
            Mode::Bridge => program::stable_path(self.around)?,
        };
        let variables = self.variables();
        let with = Ingredients {
            name: &self.options.name,
            url,
            program: &program,
            key,
            key_variable: self.options.key_variable,
            variables: &variables,
        };
        entry::build(client, mode, self.around.system, &with)
    }

    /// What the bridge needs to reach the server from here, besides address and key. Clients hand on little of what a
    /// terminal has, so the entry holds it.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let way = &self.settings.way;
        let identity = way.identity.as_ref();
        let paths = [
            (CA_FILE_VARIABLE, way.ca_file.as_ref()),
            (
                CLIENT_CERT_VARIABLE,
                identity.map(|identity| &identity.certificate),
            ),
            (CLIENT_KEY_VARIABLE, identity.map(|identity| &identity.key)),
        ];
        let mut variables: Vec<(&'static str, String)> = paths
            .into_iter()
            .filter_map(|(name, path)| Some((name, absolute(path?))))
            .collect();
        if self.settings.allow_http {
            variables.push((ALLOW_HTTP_VARIABLE, "1".to_owned()));
        }
        for (name, lower) in PROXY_VARIABLES {
            let said = self.around.variable(lower).or_else(|| self.around.variable(name));
            // One with a user and a password stays where it is: it is a secret of its own.
            let plain = said
                .and_then(|value| value.into_string().ok())
                .filter(|value| !value.contains('@'));
            variables.extend(plain.map(|value| (name, value)));
        }
        variables
    }
}

/// A path that holds wherever the client starts the program.
fn absolute(path: &Path) -> String {
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}
