//! Which editions are served: those compiled in and the operator's own files, read at start and again when told to.
//!
//! A new catalogue is compiled beside the old one and takes its place as a whole; if anything is wrong with it, the old
//! one stays in force. Other replicas hear of a `catalogue reload` through the store and read their own files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::FutureExt;
use tracing::{error, info};

use crate::{
    catalogue::{BUILTIN, Catalogue, CatalogueError, Driver, NamedText, builtin_for},
    config::Config,
    pipeline::{House, HouseError},
    store::{Store, StoreError, Topic},
    vocabulary::EditionName,
};

/// Why a catalogue could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or folder is not to be read.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What the files say is not in order.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A local program as a tool, where the configuration has no word of such.
    #[error(
        "tool `{tool}` of edition `{edition}` is a local program; set `command_tools = true` under [server] to let catalogue \
         files run programs on this machine"
    )]
    Command {
        /// The edition.
        edition: String,
        /// The tool.
        tool: String,
    },
}

/// Why a new catalogue did not take the old one's place.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It cannot be served.
    #[error(transparent)]
    House(#[from] HouseError),
}

/// Where a catalogue comes from.
#[derive(Clone, Debug)]
pub struct CatalogueSource {
    paths: Vec<PathBuf>,
    command_tools: bool,
    editions: Vec<EditionName>,
}

impl CatalogueSource {
    /// The source that a configuration names. `editions`, unless empty, narrow what is served instead of the setting.
    pub fn of(config: &Config, editions: &[EditionName]) -> Self {
        let editions = if editions.is_empty() {
            &config.server.editions
        } else {
            editions
        };
        Self {
            paths: config.server.catalogue.clone(),
            command_tools: config.server.command_tools,
            editions: editions.to_vec(),
        }
    }

    /// Reads and compiles everything.
    ///
    /// # Errors
    /// The first thing that is wrong, with file, line and tool.
    pub fn load(&self) -> Result<Catalogue, SourceError> {
        let mut texts = Vec::new();
        for path in &self.paths {
            for file in files_at(path)? {
                let text = std::fs::read_to_string(&file).map_err(|source| SourceError::File {
                    path: file.clone(),
                    source,
                })?;
                texts.push((file.display().to_string(), text));
            }
        }
        let own: Vec<[NamedText<'_>; 1]> = texts
            .iter()
            .map(|(name, text)| [NamedText { name, text }])
            .collect();
        let with = |builtin: &[&'static [NamedText<'static>]]| {
            let mut groups: Vec<&[NamedText<'_>]> = Vec::with_capacity(builtin.len() + own.len());
            groups.extend(builtin);
            groups.extend(own.iter().map(<[_; 1]>::as_slice));
            Catalogue::load(&groups)
        };
        let wanted: Vec<_> = builtin_for(&self.editions).collect();
        let mut catalogue = with(&wanted)?;
        if self.editions.iter().any(|name| catalogue.edition(name).is_none()) {
            // One that is not there: the error names all there are.
            catalogue = with(BUILTIN)?;
        }
        if !self.command_tools {
            refuse_programs(&catalogue)?;
        }
        if self.editions.is_empty() {
            Ok(catalogue.unless_on_request())
        } else {
            Ok(catalogue.narrowed_to(&self.editions)?)
        }
    }
}

fn refuse_programs(catalogue: &Catalogue) -> Result<(), SourceError> {
    for edition in catalogue.editions() {
        let mut tools = edition.tools().iter();
        if let Some(tool) = tools.find(|tool| matches!(tool.driver, Driver::Command(_))) {
            return Err(SourceError::Command {
                edition: edition.name.to_string(),
                tool: tool.name.to_string(),
            });
        }
    }
    Ok(())
}

/// A file itself, or the catalogue files of a folder in the order of their names.
fn files_at(path: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let fault = |source| SourceError::File {
        path: path.to_owned(),
        source,
    };
    if !std::fs::metadata(path).map_err(fault)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(fault)?;
    let paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>();
    let mut files = paths.map_err(fault)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    Ok(files)
}

/// Puts a freshly read catalogue in the place of the one in force.
pub struct Reloader {
    house: Arc<House>,
    source: CatalogueSource,
}

impl Reloader {
    /// Reads again from `source` for `house`.
    pub fn new(house: Arc<House>, source: CatalogueSource) -> Self {
        Self { house, source }
    }

    /// Reads, compiles and swaps. Logs what became of it; the old catalogue stays in force on an error.
    pub fn reload(&self) {
        match self.try_reload() {
            Ok(tools) => info!(tools, "catalogue read again"),
            Err(reason) => error!(error = %reason, "catalogue not read again; the old one stays in force"),
        }
    }

    fn try_reload(&self) -> Result<usize, ReloadError> {
        let catalogue = self.source.load()?;
        let tools = catalogue
            .editions()
            .iter()
            .map(|edition| edition.tools().len())
            .sum();
        self.house.replace_catalogue(&catalogue)?;
        Ok(tools)
    }

    /// Reloads whenever any replica is told to, until the store is closed.
    pub async fn follow(self: Arc<Self>) {
        let mut changes = self.house.store().listen_since_opened(&[Topic::Catalogue]);
        while changes.next().await.is_some() {
            let this = Arc::clone(&self);
            // Compiling schemas keeps a thread busy for a while.
            let done = tokio::task::spawn_blocking(move || this.reload()).await;
            if done.is_err() {
                error!("reading the catalogue again panicked; the old one stays in force");
            }
        }
    }
}

/// Tells every replica on this store to read its catalogue again.
///
/// # Errors
/// When the store cannot be written.
pub async fn announce(store: &Store) -> Result<(), StoreError> {
    store
        .system_write(|tx| async move { tx.announce(Topic::Catalogue).await }.boxed())
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_catalogue_files_in_order_and_a_fault_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", "c.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let files = files_at(folder.path()).unwrap();
        let names: Vec<_> = files
            .iter()
            .filter_map(|file| file.file_name()?.to_str())
            .collect();
        assert_eq!(names, ["a.toml", "b.toml"]);
        let source = CatalogueSource {
            paths: vec![folder.path().to_owned()],
            command_tools: false,
            editions: Vec::new(),
        };
        assert!(source.load().unwrap_err().to_string().contains("a.toml"));
    }

    #[test]
    fn a_file_runs_programs_only_where_the_configuration_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.toml");
        let text = "format = 1\nedition = { name = \"shop\", title = \"Shop\", instructions = \"Ask.\", key_prefix = \"shop_\" }\n\
                    scopes = { \"s:read\" = { title = \"Read\" } }\n[[tool]]\nname = \"stock\"\nscope = \"s:read\"\neffect = \"read\"\n\
                    input = {}\ncommand = { argv = [\"/bin/true\"] }\n";
        std::fs::write(&file, text).unwrap();
        let source = |command_tools| CatalogueSource {
            paths: vec![file.clone()],
            editions: Vec::new(),
            command_tools,
        };
        let refused = source(false).load().unwrap_err().to_string();
        assert!(
            refused.contains("`stock`") && refused.contains("command_tools = true"),
            "{refused}"
        );
        assert!(source(true).load().is_ok());
    }
}
