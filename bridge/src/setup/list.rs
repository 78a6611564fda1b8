//! `setup --list`: which clients are here, where each keeps its entries, and whether ours is among them.

use super::{say, show};
use crate::clients::{self, CLIENTS, Client, Place, Surroundings, entry};
use crate::options::{Settings, SetupOptions};

/// Prints a line for each file of each client found here.
pub(super) fn print(around: &Surroundings, options: &SetupOptions, settings: &Settings) {
    let (here, elsewhere): (Vec<&Client>, Vec<&Client>) =
        CLIENTS.iter().partition(|client| client.is_detected(around));
    let width = here.iter().map(|client| client.id.len()).max().unwrap_or(0);
    for client in &here {
        let project = client
            .project_place(around, &options.name)
            .filter(|place| place.path.is_file());
        for place in client.user_places(around).into_iter().chain(project) {
            say(format_args!(
                "{:<width$}  {:<7}  {}  ({})",
                client.id,
                show::scope(place.scope),
                around.show(&place.path),
                state(client, &place, settings.url.as_deref()),
            ));
        }
    }
    if here.is_empty() {
        say(format_args!("No client was found here."));
    }
    let others: Vec<&str> = elsewhere.iter().map(|client| client.id).collect();
    say(format_args!("\nAlso known: {}", others.join(", ")));
}

/// What a file says about us.
fn state(client: &Client, place: &Place, url: Option<&str>) -> String {
    let opened = match clients::open(&place.path, client.format) {
        Ok(opened) if !opened.exists => return "no file yet".to_owned(),
        Ok(opened) => opened,
        Err(problem) => {
            return match problem.position {
                Some((line, column)) => format!("broken at {line}:{column}: {}", problem.reason),
                None => problem.reason,
            };
        }
    };
    let ours: Vec<String> = clients::entries(client, &opened)
        .into_iter()
        .filter(|found| entry::is_ours(&found.node, url))
        .map(|found| {
            let way = if entry::entry_command(&found.node).is_some() {
                "bridge"
            } else {
                "direct"
            };
            format!("`{}`, {way}", found.name)
        })
        .collect();
    if ours.is_empty() {
        "not configured".to_owned()
    } else {
        format!("configured: {}", ours.join("; "))
    }
}
