//! `footbridge-server catalogue cost` and `catalogue diff`: what a list costs on every turn, and what a new file changes.

use std::path::Path;

use anyhow::{Context as _, Result};
use footbridge_server::catalogue::{
    Catalogue, Edition, ListedNames, NamedText, Shape, ToolSet,
    diff::{Became, differences},
    discovery,
};

use super::print;

/// Bytes of a list that count as one token: an estimate, the same for every model.
const BYTES_PER_TOKEN: usize = 4;

/// Prints each tool's share of the list, and what the whole costs.
pub(super) fn cost(catalogue: &Catalogue) -> Result<()> {
    for edition in catalogue.editions() {
        print::line(&format!("{} — {}\n", edition.name, edition.title))?;
        let mut everything = ToolSet::default();
        let (mut total, mut read) = (0, 0);
        let mut rows = Vec::new();
        for tool in edition.tools() {
            everything.insert(tool.index);
            let definition = tool.listed(Shape::Full, ListedNames::Native, edition.consent(tool));
            let bytes = definition.to_string().len();
            total += bytes;
            let parts = ["name", "description", "inputSchema"].into_iter();
            let shown = parts.filter_map(|part| definition.get(part));
            read += shown.map(|part| part.to_string().len()).sum::<usize>();
            rows.push(row(tool.name.as_str(), &tool.toolset, bytes));
        }
        let three = discovery::definitions(edition, &everything, Shape::Full);
        rows.push(row("all of them", "", total));
        // What a program alone reads is not: titles, outputs, hints.
        rows.push(row("of that, for the model", "", read));
        rows.push(row("discovery mode", "", three.to_string().len()));
        print::table(["TOOL", "TOOLSET", "BYTES", "TOKENS"], &rows)?;
        print::line("")?;
    }
    Ok(())
}

fn row(name: &str, toolset: &str, bytes: usize) -> [String; 4] {
    let tokens = bytes.div_ceil(BYTES_PER_TOKEN);
    [
        name.to_owned(),
        toolset.to_owned(),
        bytes.to_string(),
        format!("~{tokens}"),
    ]
}

/// Prints what differs when `new` takes the place of `old`, or of the edition of its name that is configured.
pub(super) fn diff(
    new: &Path,
    old: Option<&Path>,
    configured: impl FnOnce() -> Result<Catalogue>,
) -> Result<()> {
    let new = load(new)?;
    let old = match old {
        Some(path) => load(path)?,
        None => configured()?,
    };
    let edition = new.editions().first().context("the file brings no edition")?;
    let before: &Edition = old
        .edition(&edition.name)
        .or_else(|| old.editions().first().filter(|_| old.editions().len() == 1))
        .with_context(|| format!("there is no edition `{}` to compare with", edition.name))?;
    let found = differences(before, edition);
    if found.is_empty() {
        return Ok(print::line("no difference")?);
    }
    for difference in found {
        let text = match difference.became {
            Became::Added => format!("+ {}", difference.row),
            Became::Removed => format!("- {}", difference.row),
            Became::Changed(places) => format!("~ {}: {}", difference.row, places.join(", ")),
        };
        print::line(&text)?;
    }
    Ok(())
}

/// Reads a catalogue file that stands alone.
pub(super) fn load(path: &Path) -> Result<Catalogue> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let name = path.display().to_string();
    Ok(Catalogue::load(&[&[NamedText {
        name: &name,
        text: &text,
    }]])?)
}
