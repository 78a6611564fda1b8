//! `footbridge-server catalogue …`

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use footbridge_server::{
    catalogue::{Catalogue, ListedNames, NamedText, Shape},
    vocabulary::Scope,
};

use super::print;

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogueCommand {
    /// Check a catalogue file: every fault names file, line and tool.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// List editions, scopes and tools.
    List,
    /// Make a catalogue file of an OpenAPI document, to edit and commit.
    Import(Box<super::import::Import>),
    /// Show one tool's definition as clients read it.
    Show {
        /// The tool's name.
        tool: String,
    },
}

impl CatalogueCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Check { file } => {
                let text = std::fs::read_to_string(&file)
                    .with_context(|| format!("failed to read {}", file.display()))?;
                let name = file.display().to_string();
                let catalogue = Catalogue::load(&[&[NamedText {
                    name: &name,
                    text: &text,
                }]])?;
                let tools: usize = catalogue.editions().iter().map(|e| e.tools().len()).sum();
                Ok(print::line(&format!("{name}: {tools} tools, no fault found"))?)
            }
            Self::Import(import) => import.run(),
            Self::List => list(&Catalogue::builtin()?),
            Self::Show { tool } => {
                let catalogue = Catalogue::builtin()?;
                let found = catalogue.editions().iter().find_map(|e| e.find(&tool));
                let found =
                    found.with_context(|| format!("there is no tool `{tool}`; see `catalogue list`"))?;
                print::json(&found.definition(Shape::Full, ListedNames::Native))
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
