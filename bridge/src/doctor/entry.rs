//! A client's own entry: what is wrong with its file, and whether it works when it is started as the client would.

use std::ffi::OsString;

use super::report::{Outcome, Report};
use super::talk::Entry;
use crate::brand;
use crate::clients::document::Node;
use crate::clients::entry::{EntryCommand, entry_command, entry_url};
use crate::clients::inspect::{Inspection, Located, inspect};
use crate::clients::{self, Client, Surroundings};
use crate::options::{KEY_VARIABLE, URL_VARIABLE};

const STEP: &str = "entry";
/// What programs find that were not started from a terminal.
const PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// Checks the entries of the client called `id` and starts each.
pub(super) fn check(report: &mut Report, id: &str, url: Option<&str>) {
    let Some(client) = clients::find(id) else {
        report.fail(
            STEP,
            None,
            format!(
                "There is no client `{id}`; `{} setup --list` names them all",
                brand::NAME
            ),
        );
        return;
    };
    let around = Surroundings::of_process();
    let inspection = inspect(client, &around, brand::NAME, url);
    for finding in &inspection.findings {
        let outcome = if finding.is_failure {
            Outcome::Fail
        } else {
            Outcome::Warn
        };
        report.finding(STEP, outcome, finding.code, &finding.message);
    }
    if inspection.entries.is_empty() {
        report.fail(
            STEP,
            None,
            format!(
                "{} has no entry of ours. Run `{} setup {id}`",
                client.name,
                brand::NAME
            ),
        );
        return;
    }
    for located in &inspection.entries {
        report.ok(STEP, format!("found in {}", around.show(&located.place.path)));
        start_one(report, client, &around, located);
    }
}

/// Starts the entries that start a program. Returns whether there was one.
pub(super) fn start(
    report: &mut Report,
    client: &Client,
    around: &Surroundings,
    inspection: &Inspection,
) -> bool {
    let mut any = false;
    for located in &inspection.entries {
        if entry_command(&located.entry.node).is_some() {
            any = true;
            start_one(report, client, around, located);
        }
    }
    any
}

fn start_one(report: &mut Report, client: &Client, around: &Surroundings, located: &Located) {
    match started(client, around, located) {
        Ok(entry) => super::judge(report, &entry),
        Err(why) => report.finding(STEP, Outcome::Warn, "", &why),
    }
}

/// How the client would start an entry; for one that leads to the server directly, this program in the client's place.
fn started(client: &Client, around: &Surroundings, located: &Located) -> Result<Entry, String> {
    let node = &located.entry.node;
    let expand = |text: &str| expand(client, around, text);
    if let Some(EntryCommand { command, args, env }) = entry_command(node) {
        let mut environment = vec![(OsString::from("PATH"), OsString::from(PATH))];
        environment.extend(around.variable("HOME").map(|home| (OsString::from("HOME"), home)));
        for (name, value) in env {
            environment.push((name.into(), expand(&value)?.into()));
        }
        // Codex passes on the variables that an entry names.
        for name in node
            .get("env_vars")
            .map(Node::items)
            .into_iter()
            .flatten()
            .filter_map(Node::as_text)
        {
            environment.extend(around.variable(name).map(|value| (name.into(), value)));
        }
        return Ok(Entry {
            program: command.into(),
            arguments: args.into_iter().map(OsString::from).collect(),
            environment: Some(environment),
        });
    }
    let unreadable = || format!("only {} itself can start this entry", client.name);
    let url = expand(entry_url(node).ok_or_else(unreadable)?)?;
    let mut environment = vec![(OsString::from(URL_VARIABLE), OsString::from(url))];
    let text = |path: &[&str]| node.find(path).and_then(Node::as_text);
    if let Some(key) =
        text(&["headers", "Authorization"]).or_else(|| text(&["http_headers", "Authorization"]))
    {
        environment.push((
            KEY_VARIABLE.into(),
            expand(key.trim_start_matches("Bearer "))?.into(),
        ));
    } else if let Some(name) = text(&["bearer_token_env_var"]) {
        environment.extend(around.variable(name).map(|key| (KEY_VARIABLE.into(), key)));
    }
    let program =
        std::env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
    Ok(Entry {
        program: program.into(),
        arguments: Vec::new(),
        environment: Some(environment),
    })
}

/// A value with the client's reference to a variable replaced by that variable, from our own environment.
fn expand(client: &Client, around: &Surroundings, text: &str) -> Result<String, String> {
    if text.contains("${input:") {
        return Err(format!(
            "{} asks for the key itself, so only {0} can start this entry",
            client.name
        ));
    }
    let Some((before, after)) = client.reference.split_once("{VAR}") else {
        return Ok(text.to_owned());
    };
    let name = text
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after))
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    match name {
        None => Ok(text.to_owned()),
        Some(name) => around
            .variable(name)
            .map(|value| value.to_string_lossy().into_owned())
            .ok_or_else(|| {
                format!(
                    "the entry refers to the variable {name}, which is not set here; {} has to have it",
                    client.name
                )
            }),
    }
}
