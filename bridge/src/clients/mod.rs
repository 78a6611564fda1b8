//! The MCP clients we know: where each keeps its configuration, what it accepts there, how an entry is made and read.
//!
//! The facts are data (`clients.toml`, compiled in). In come the [`Surroundings`] (system, variables, directory); out go
//! files, entries and links. Nothing here writes: that is `setup`'s. `doctor` reads the same entries with the same code.

mod data;
pub(crate) mod document;
pub(crate) mod entry;
mod files;
pub(crate) mod inspect;
pub(crate) mod link;
mod paths;
#[cfg(test)]
mod table;

use std::sync::LazyLock;

pub(crate) use document::Format;
pub(crate) use files::{FileProblem, Opened, entries, open, read};
pub(crate) use paths::{Place, Scope, Surroundings, System};

/// How `setup` brings an entry into a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// By editing its file.
    File,
    /// By running the client's own program, because the client rewrites its file all the time.
    Command,
    /// Not at all: the person pastes what is printed.
    Print,
    /// There is no such client any more.
    Gone,
}

/// How well the facts are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    /// From the vendor, in 2026.
    A,
    /// From several guides that agree.
    B,
    /// From an old or single source.
    C,
}

/// Which way the client takes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The client speaks HTTP itself.
    Direct,
    /// The client starts this program.
    Bridge,
}

/// What an entry looks like. The texts are JSON with placeholders; `clients.toml` explains them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) entry: &'static str,
    /// Instead, where the key is kept in a variable. Empty: the same with the reference in the key's place.
    pub(crate) reference: &'static str,
    /// Instead, without a key. Empty: the same without the members that mention one.
    pub(crate) without_key: &'static str,
}

/// A client. The fields are those of `clients.toml`.
#[derive(Debug)]
pub(crate) struct Client {
    /// The word on the command line.
    pub(crate) id: &'static str,
    /// The name for people.
    pub(crate) name: &'static str,
    pub(crate) format: Format,
    pub(crate) how: How,
    pub(crate) grade: Grade,
    /// How a value refers to a variable. Empty: it cannot.
    pub(crate) reference: &'static str,
    /// The client's own program, where `how` is a command.
    pub(crate) program: &'static str,
    /// What makes the client read its configuration again.
    pub(crate) restart: &'static str,
    /// What surprises people.
    pub(crate) quirk: &'static str,
    /// Where to paste, or what became of the client.
    pub(crate) text: &'static str,
    /// A link that the client's program opens.
    pub(crate) link: &'static str,
    /// The same for web pages.
    pub(crate) web_link: &'static str,
    macos: &'static [&'static str],
    linux: &'static [&'static str],
    windows: &'static [&'static str],
    project: &'static [&'static str],
    detect: &'static [&'static str],
    /// The names that lead from the file's top to the entries.
    pub(crate) key_path: &'static [&'static str],
    pub(crate) add_direct: &'static [&'static str],
    pub(crate) add_bridge: &'static [&'static str],
    pub(crate) remove: &'static [&'static str],
    /// Several user files may be in use at once.
    every: bool,
    /// The editor asks for the key and keeps it (`inputs`).
    pub(crate) input: bool,
    /// Entries are items of a list, with their name inside.
    pub(crate) list: bool,
    /// The project's file is ours alone.
    pub(crate) own_project_file: bool,
    only_where_installed: bool,
    reference_on_windows: bool,
    /// The entry for a client that speaks HTTP itself.
    pub(crate) direct: Option<Shape>,
    /// The entry that starts this program.
    pub(crate) bridge: Option<Shape>,
}

/// Every client, in the order that people see.
pub(crate) static CLIENTS: LazyLock<Vec<Client>> = LazyLock::new(data::read);

/// The client with this word.
pub(crate) fn find(id: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.id == id)
}

impl Client {
    /// The mode taken when nobody says: direct where the client can.
    pub(crate) fn default_mode(&self) -> Mode {
        if self.direct.is_some() {
            Mode::Direct
        } else {
            Mode::Bridge
        }
    }

    /// The shape of a mode, if the client has it.
    pub(crate) fn shape(&self, mode: Mode) -> Option<Shape> {
        match mode {
            Mode::Direct => self.direct,
            Mode::Bridge => self.bridge,
        }
    }

    /// How a value refers to a variable on this system, if it can.
    pub(crate) fn reference_on(&self, system: System) -> Option<&'static str> {
        let can = !self.reference.is_empty() && (self.reference_on_windows || system != System::Windows);
        can.then_some(self.reference)
    }

    /// The name of the variable or shape member that a key reaches the client by needs no literal key in the file.
    pub(crate) fn can_refer(&self, mode: Mode, system: System) -> bool {
        self.input || self.expands(mode, system)
    }

    /// Whether an entry can refer to a variable of the client's.
    pub(crate) fn expands(&self, mode: Mode, system: System) -> bool {
        self.reference_on(system).is_some()
            || self.shape(mode).is_some_and(|shape| !shape.reference.is_empty())
    }
}
