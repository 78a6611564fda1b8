//! `footbridge-server catalogue …`

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use footbridge_server::{
    catalogue::{Catalogue, ListedNames, Shape},
    operate::editions::announce,
    vocabulary::Scope,
};

use super::{Place, catalogue_cost, print};

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogueCommand {
    /// Check a catalogue file: every fault names file, line and tool.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Have every server on this store read its catalogue again, once this one's files are found in order.
    Reload {
        #[command(flatten)]
        place: Place,
    },
    /// List editions, scopes and tools.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Print the bytes and the estimated tokens (bytes / 4) that each tool adds to every list.
    Cost {
        #[command(flatten)]
        place: Place,
    },
    /// Print what a catalogue file changes of the edition that is configured, or of another file.
    Diff {
        /// The new file.
        file: PathBuf,
        /// The file to compare with, in place of what is configured.
        old: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Make a catalogue file of an OpenAPI document, to edit and commit.
    Import(Box<super::import::Import>),
    /// Print the JSON Schema of catalogue files, for editors that complete TOML.
    Schema,
    /// Show one tool's definition as clients read it.
    Show {
        /// The tool's name.
        tool: String,
        #[command(flatten)]
        place: Place,
    },
}

impl CatalogueCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Check { file } => {
                let (name, catalogue) = (file.display(), catalogue_cost::load(&file)?);
                let tools: usize = catalogue.editions().iter().map(|e| e.tools().len()).sum();
                Ok(print::line(&format!("{name}: {tools} tools, no fault found"))?)
            }
            Self::Cost { place } => catalogue_cost::cost(&place.catalogue()?),
            Self::Diff { file, old, place } => {
                catalogue_cost::diff(&file, old.as_deref(), || place.catalogue())
            }
            Self::Import(import) => import.run(),
            Self::Schema => {
                let schema = footbridge_server::catalogue::reference::schema();
                Ok(print::line(&serde_json::to_string_pretty(&schema)?)?)
            }
            Self::Reload { place } => {
                let catalogue = place.catalogue().context("nothing was reloaded")?;
                let store = place.open().await?;
                announce(&store).await?;
                store.close().await;
                let tools: usize = catalogue.editions().iter().map(|e| e.tools().len()).sum();
                Ok(print::line(&format!(
                    "told every server on this store to read its catalogue: {tools} tools here"
                ))?)
            }
            Self::List { place } => list(&place.catalogue()?),
            Self::Show { tool, place } => {
                let catalogue = place.catalogue()?;
                let mut editions = catalogue.editions().iter();
                let found = editions.find_map(|edition| edition.find(&tool).map(|tool| (edition, tool)));
                let (edition, found) =
                    found.with_context(|| format!("there is no tool `{tool}`; see `catalogue list`"))?;
                let consent = edition.consent(found);
                print::json(&found.definition(Shape::Full, ListedNames::Native, consent))
            }
        }
    }
}

fn list(catalogue: &Catalogue) -> Result<()> {
    for edition in catalogue.editions() {
        print::line(&format!(
            "{} — {} ({})\n",
            edition.name,
            edition.title,
            edition.path()
        ))?;
        let scopes: Vec<_> = edition
            .scopes
            .titles()
            .map(|(s, t)| [s.to_owned(), t.to_owned()])
            .collect();
        print::table(["SCOPE", "RIGHT"], &scopes)?;
        print::line("")?;
        let tools: Vec<_> = edition
            .tools()
            .iter()
            .map(|t| {
                let scopes = t
                    .scope
                    .scopes()
                    .iter()
                    .map(Scope::as_str)
                    .collect::<Vec<_>>()
                    .join(" ");
                [t.name.to_string(), scopes, t.kind().to_owned(), t.title.clone()]
            })
            .collect();
        print::table(["TOOL", "SCOPE", "KIND", "TITLE"], &tools)?;
    }
    Ok(())
}
