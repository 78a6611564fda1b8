//! Templates of paths → the files of this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Client;
use crate::brand::variable;

/// The system whose paths apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Macos,
    Linux,
    Windows,
}

impl System {
    /// The one this program was built for.
    const BUILT_FOR: System = if cfg!(target_os = "macos") {
        System::Macos
    } else if cfg!(windows) {
        System::Windows
    } else {
        System::Linux
    };

    fn find(word: &str) -> Option<System> {
        match word {
            "macos" => Some(System::Macos),
            "linux" => Some(System::Linux),
            "windows" => Some(System::Windows),
            _ => None,
        }
    }
}

type Lookup = Box<dyn Fn(&str) -> Option<OsString>>;

/// What paths depend on.
pub(crate) struct Surroundings {
    pub(crate) system: System,
    /// Where a project's files are.
    pub(crate) directory: PathBuf,
    variable: Lookup,
}

/// Whose entries a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// This user's, in every project.
    User,
    /// The project's, for all who work on it.
    Project,
}

/// A file in which a client looks for entries. It need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) scope: Scope,
}

impl Surroundings {
    /// Those of this process. For tests, the variable `FOOTBRIDGE_SYSTEM` (`macos`, `linux` or `windows`) chooses the system
    /// whose paths are used; it is in no list of options, because nobody else has a use for it.
    pub(crate) fn of_process() -> Surroundings {
        let system = std::env::var(variable!("SYSTEM"))
            .ok()
            .and_then(|word| System::find(&word));
        Surroundings::new(
            system.unwrap_or(System::BUILT_FOR),
            std::env::current_dir().unwrap_or_default(),
            |name| std::env::var_os(name),
        )
    }

    /// Those of a test.
    pub(crate) fn new(
        system: System,
        directory: PathBuf,
        variable: impl Fn(&str) -> Option<OsString> + 'static,
    ) -> Surroundings {
        Surroundings {
            system,
            directory,
            variable: Box::new(variable),
        }
    }

    /// A variable; an empty one counts as unset.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// The home directory.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        let name = if self.system == System::Windows {
            "USERPROFILE"
        } else {
            "HOME"
        };
        self.variable(name).map(PathBuf::from)
    }

    /// A path for people: `~` for the home directory.
    pub(crate) fn show(&self, path: &Path) -> String {
        match self
            .home()
            .and_then(|home| Some(path.strip_prefix(home).ok()?.to_owned()))
        {
            Some(rest) if self.system == System::Windows && cfg!(windows) => {
                format!("%USERPROFILE%\\{}", rest.display())
            }
            Some(rest) => format!("~/{}", rest.display()),
            None => path.display().to_string(),
        }
    }

    /// The directory a `%NAME%` stands for. Where Windows does not say, where it usually is.
    fn known_directory(&self, name: &str) -> Option<PathBuf> {
        let usual = match name {
            "APPDATA" => ["AppData", "Roaming"],
            "LOCALAPPDATA" => ["AppData", "Local"],
            _ => return None,
        };
        let said = self.variable(name).map(PathBuf::from);
        said.or_else(|| self.home().map(|home| home.join(usual[0]).join(usual[1])))
    }

    /// The paths of a template: none if a variable is missing, several for a `*`.
    fn resolve(&self, template: &str) -> Vec<PathBuf> {
        let mut components = template.split('/');
        let first = components.next().unwrap_or_default();
        let start = if first == "~" {
            self.home()
        } else if let Some(name) = first.strip_prefix('$') {
            self.variable(name).map(PathBuf::from)
        } else {
            self.known_directory(first.trim_matches('%'))
        };
        let mut paths: Vec<PathBuf> = start.into_iter().filter(|path| path.is_absolute()).collect();
        for component in components {
            paths = paths
                .into_iter()
                .flat_map(|path| match component.split_once('*') {
                    None => vec![path.join(component)],
                    Some((before, after)) => matching(&path, before, after),
                })
                .collect();
        }
        paths
    }
}

/// The directories in `directory` whose names begin and end like this, in order.
fn matching(directory: &Path, before: &str, after: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

impl Client {
    fn templates(&self, system: System) -> &'static [&'static str] {
        match system {
            System::Macos => self.macos,
            System::Linux => self.linux,
            System::Windows => self.windows,
        }
    }

    /// The user's files that this client reads on this machine, the ones that an entry belongs into. Empty: it has none here.
    pub(crate) fn user_places(&self, around: &Surroundings) -> Vec<Place> {
        let templates = self.templates(around.system);
        let told = templates
            .iter()
            .find(|template| template.starts_with('$') && !around.resolve(template).is_empty());
        let paths: Vec<PathBuf> = match told {
            Some(template) => around.resolve(template),
            None => templates
                .iter()
                .filter(|template| !template.starts_with('$'))
                .flat_map(|template| around.resolve(template))
                .collect(),
        };
        let has_directory = |path: &&PathBuf| path.parent().is_some_and(Path::is_dir);
        let mut chosen: Vec<PathBuf> = if self.every {
            paths.iter().filter(has_directory).cloned().collect()
        } else {
            let existing = paths.iter().find(|path| path.is_file());
            existing
                .or_else(|| paths.iter().find(has_directory))
                .cloned()
                .into_iter()
                .collect()
        };
        if chosen.is_empty() && !self.only_where_installed {
            // A pattern that nothing matches left no path, so the first is one that can be made.
            chosen.extend(paths.into_iter().next());
        }
        let scope = Scope::User;
        chosen.into_iter().map(|path| Place { path, scope }).collect()
    }

    /// Every user file that could hold an entry of this client, also where the client does not look any more.
    pub(crate) fn all_user_places(&self, around: &Surroundings) -> Vec<Place> {
        let scope = Scope::User;
        let paths = self.templates(around.system).iter();
        let paths = paths.flat_map(|template| around.resolve(template));
        paths.map(|path| Place { path, scope }).collect()
    }

    /// The project's file for an entry of this name. None: the client has no such files.
    pub(crate) fn project_place(&self, around: &Surroundings, name: &str) -> Option<Place> {
        let paths: Vec<PathBuf> = self
            .project
            .iter()
            .map(|template| {
                let template = template.replace("{NAME}", name);
                template
                    .split('/')
                    .fold(around.directory.clone(), |path, component| path.join(component))
            })
            .collect();
        let existing = paths.iter().find(|path| path.is_file()).or(paths.first())?;
        Some(Place {
            path: existing.clone(),
            scope: Scope::Project,
        })
    }

    /// Whether this client seems to be installed here.
    pub(crate) fn is_detected(&self, around: &Surroundings) -> bool {
        let marks = self.detect.iter().flat_map(|template| around.resolve(template));
        let home = around.home();
        let places = self.all_user_places(around);
        let by_place = |path: &Path| {
            let parent = path.parent();
            path.is_file() || (parent.is_some_and(Path::is_dir) && parent != home.as_deref())
        };
        marks.into_iter().any(|mark| mark.exists()) || places.iter().any(|place| by_place(&place.path))
    }
}
