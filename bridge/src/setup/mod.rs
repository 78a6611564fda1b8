//! `setup <client>`: a client's file → the same file with our entry in it, or without it.
//!
//! In order: [`key`] (how the key gets into the entry), [`program`] (what the entry starts), [`wanted`] (the entry),
//! [`edit`] (the new text and the proof that nothing else changed), [`show`] (what the person sees), [`mod@write`] (backup,
//! rename), [`launch`] (clients that want their own program to do it), [`list`] (what is here). What a person reads goes to stdout, what went wrong to stderr.

mod edit;
mod key;
mod launch;
mod list;
mod program;
mod show;
mod wanted;
mod write;

use std::cell::OnceCell;
use std::fmt;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::brand;
use crate::clients::entry::KeyText;
use crate::clients::inspect;
use crate::clients::{self, CLIENTS, Client, How, Mode, Place, Scope, Surroundings};
use crate::doctor;
use crate::options::{Settings, SetupOptions};
use edit::{Kind, Refusal};
use wanted::Wanted;

/// How often an edit starts again because the client wrote the file meanwhile.
const ATTEMPTS: usize = 5;

/// Does what the options say.
pub(crate) fn run(settings: &Settings, options: &SetupOptions) -> ExitCode {
    let around = Surroundings::of_process();
    let run = Run {
        around: &around,
        settings,
        options,
        is_interactive: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        asked: OnceCell::new(),
    };
    let outcome = if options.list {
        list::print(&around, options, settings);
        Ok(())
    } else if options.all {
        run.every_client()
    } else {
        let id = options.client.as_deref().unwrap_or_default();
        clients::find(id)
            .ok_or_else(|| unknown(id))
            .and_then(|client| run.client(client))
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Prints a line for the person. A reader that has gone away is no reason to fail half-way.
fn say(text: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn complain(text: &str) {
    for line in text.lines() {
        let _ = writeln!(std::io::stderr(), "{}: {line}", brand::NAME);
    }
}

/// The client that someone may have meant.
fn unknown(id: &str) -> String {
    let lower = id.to_lowercase();
    let is_near = |client: &&Client| {
        id.len() > 2
            && (client.id.contains(&lower)
                || lower.contains(client.id)
                || client.name.to_lowercase().contains(&lower))
    };
    let quoted = |client: &Client| format!("`{}`", client.id);
    let near: Vec<String> = CLIENTS.iter().filter(is_near).map(quoted).collect();
    if near.is_empty() {
        let all: Vec<&str> = CLIENTS.iter().map(|client| client.id).collect();
        format!("There is no client `{id}`. Known are: {}", all.join(", "))
    } else {
        format!("There is no client `{id}`. Did you mean {}?", near.join(" or "))
    }
}

/// One run of the command.
struct Run<'a> {
    around: &'a Surroundings,
    settings: &'a Settings,
    options: &'a SetupOptions,
    /// A person sits at the terminal.
    is_interactive: bool,
    /// The key from standard input or the terminal: asked for once, however many clients want it.
    asked: OnceCell<Option<String>>,
}

impl Run<'_> {
    /// Every client found here whose entry needs no pasting. One that fails does not stop the others.
    fn every_client(&self) -> Result<(), String> {
        let found = CLIENTS.iter().filter(|client| {
            matches!(client.how, How::File | How::Command) && client.is_detected(self.around)
        });
        let (mut count, mut failed) = (0, Vec::new());
        for client in found {
            count += 1;
            if let Err(failure) = self.client(client) {
                complain(&format!("{}: {failure}", client.id));
                failed.push(client.id);
            }
            say(format_args!(""));
        }
        match (count, failed.is_empty()) {
            (0, _) => Err("No client was found here; name one, for example `setup cursor`".to_owned()),
            (_, true) => Ok(()),
            (_, false) => Err(format!(
                "{} of {count} were not done: {}",
                failed.len(),
                failed.join(", ")
            )),
        }
    }

    /// One client.
    fn client(&self, client: &'static Client) -> Result<(), String> {
        if client.how == How::Gone {
            return Err(client.text.to_owned());
        }
        let scope = if self.options.project {
            Scope::Project
        } else {
            Scope::User
        };
        if self.options.remove {
            return self.remove(client, scope);
        }
        let pasted = client.how == How::Print && !(client.own_project_file && scope == Scope::Project);
        if self.options.print || pasted {
            return self.print(client, scope);
        }
        let places = self.places(client, scope)?;
        let wanted = self.wanted(client, scope, &places)?;
        if client.how == How::Command && scope == Scope::User {
            return self.launch(client, &places, &wanted);
        }
        for place in &places {
            self.edit(client, place, Some(&wanted))?;
        }
        Ok(())
    }

    fn remove(&self, client: &'static Client, scope: Scope) -> Result<(), String> {
        if client.how == How::Print && !(client.own_project_file && scope == Scope::Project) {
            return Err(format!(
                "The entry of {} was pasted by hand; take it out the same way",
                client.name
            ));
        }
        let places = self.places(client, scope)?;
        if client.how == How::Command && scope == Scope::User {
            return self.launch_removal(client, &places);
        }
        for place in &places {
            self.edit(client, place, None)?;
        }
        Ok(())
    }

    /// Edits one file: shows, asks, writes.
    fn edit(&self, client: &'static Client, place: &Place, wanted: Option<&Wanted>) -> Result<(), String> {
        for _ in 0..ATTEMPTS {
            let request = edit::Request {
                client,
                place,
                name: &self.options.name,
                url: self.settings.url.as_deref(),
                entry: wanted.map(|wanted| &wanted.entry),
                has_input: wanted.is_some_and(|wanted| matches!(wanted.key, KeyText::Input)),
            };
            let edit = edit::plan(&request).map_err(|refusal| self.refused(client, &refusal, wanted))?;
            let shown = self.around.show(&place.path);
            if edit.kind == Kind::Nothing {
                let state = if wanted.is_some() {
                    "is up to date"
                } else {
                    "holds no entry of ours"
                };
                say(format_args!("{}: {shown} {state}", client.name));
                return Ok(());
            }
            show::edit(client, &shown, &self.options.name, &edit);
            if !self.may_write()? {
                return Ok(());
            }
            let literal = wanted.is_some_and(|wanted| matches!(wanted.key, KeyText::Literal(_)));
            match write::commit(&place.path, &edit, literal) {
                Ok(backup) => {
                    show::written(
                        client,
                        self.around,
                        &shown,
                        &edit,
                        backup.as_deref(),
                        wanted.map(|wanted| &wanted.key),
                    );
                    if let Some(wanted) = wanted {
                        if wanted.mode == Mode::Bridge && place.scope == Scope::Project {
                            say(format_args!(
                                "The entry names this program by its path on this machine; others may have it elsewhere."
                            ));
                        }
                        self.check(client);
                    }
                    return Ok(());
                }
                Err(write::WriteError::Changed) => {
                    say(format_args!("{shown} changed meanwhile; starting again"));
                }
                Err(error) => return Err(format!("{shown} was not changed: {error}")),
            }
        }
        Err("The file changes all the time; close the client and try again".to_owned())
    }

    /// Reads back what was written and starts it, as `doctor` would. What that shows does not undo what was written.
    fn check(&self, client: &Client) {
        let url = self.settings.url.as_deref();
        let inspection = inspect::inspect(client, self.around, &self.options.name, url);
        show::findings(&inspection.findings);
        doctor::try_entries(client, self.around, &inspection);
    }

    /// The text of a refusal. What could not be written is printed, so that the person can paste it.
    fn refused(&self, client: &Client, refusal: &Refusal, wanted: Option<&Wanted>) -> String {
        if let (Refusal::Unprovable(_) | Refusal::File(_), Some(wanted)) = (refusal, wanted) {
            // The printed entry holds a sample in the place of a key.
            let key = show::printable(&wanted.key);
            if let Ok(entry) = self.entry(client, wanted.mode, &key) {
                say(format_args!("Paste this instead:\n"));
                show::snippet(client, &self.options.name, &entry, &key);
            }
        }
        refusal.to_string()
    }

    /// Whether the change that was shown is to be made.
    fn may_write(&self) -> Result<bool, String> {
        if self.options.dry_run {
            say(format_args!("Nothing was written (--dry-run)."));
            return Ok(false);
        }
        if self.options.yes {
            return Ok(true);
        }
        if !self.is_interactive {
            return Err("Nothing was written: there is no terminal to ask at. Add --yes to write".to_owned());
        }
        let _ = write!(std::io::stdout(), "Write this? [y/N] ");
        let _ = std::io::stdout().flush();
        let mut answer = String::new();
        let _ = std::io::stdin().lock().read_line(&mut answer);
        let yes = matches!(answer.trim(), "y" | "Y" | "yes");
        if !yes {
            say(format_args!("Nothing was written."));
        }
        Ok(yes)
    }

    /// Prints what to paste, and the links.
    fn print(&self, client: &Client, scope: Scope) -> Result<(), String> {
        let mode = self.mode(client);
        let url = self.url()?;
        let key = key::for_print(client, mode, scope, self.around.system, self.options);
        if client.key_path.is_empty() {
            show::instructions(client, url);
        } else {
            let entry = self.entry(client, mode, &key)?;
            let places = match scope {
                Scope::User => client.user_places(self.around),
                Scope::Project => client
                    .project_place(self.around, &self.options.name)
                    .into_iter()
                    .collect(),
            };
            match places.first().filter(|_| client.text.is_empty()) {
                Some(place) => say(format_args!(
                    "{}, in {}:\n",
                    client.name,
                    self.around.show(&place.path)
                )),
                None => show::instructions(client, url),
            }
            show::snippet(client, &self.options.name, &entry, &key);
        }
        show::links(client, &self.options.name, url);
        show::epilogue(client);
        Ok(())
    }
}
