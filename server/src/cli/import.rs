//! `footbridge-server catalogue import`

use std::{io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use footbridge_server::catalogue::{
    Catalogue, NamedText,
    import::{Choice, Document, ImportRequest, Imported, USUAL_MOST, drift, import, snake},
};

use super::print;

/// Options of the import.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The OpenAPI 3.0 or 3.1 document, JSON or YAML.
    document: PathBuf,
    /// What the file calls the API [default: the edition's name].
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// The edition's name, and the first segment of its endpoint [default: the document's file name].
    #[arg(long, value_name = "NAME")]
    edition: Option<String>,
    /// Where the API stands, when the document does not say or says it wrongly.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Only these operations: `tag:leads`, `op:listLeads`, `GET /v1/leads*`. May be repeated.
    #[arg(long, value_name = "SELECTOR")]
    include: Vec<String>,
    /// Not these operations. May be repeated.
    #[arg(long, value_name = "SELECTOR")]
    exclude: Vec<String>,
    /// A header parameter that callers may set; all others are dropped. May be repeated.
    #[arg(long, value_name = "HEADER")]
    with_header: Vec<String>,
    /// Most tools that may come of it. More than 64 make models worse.
    #[arg(long, value_name = "N", default_value_t = USUAL_MOST)]
    max: usize,
    /// Where to write the catalogue file [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Compare with this file instead: say what has changed in the API since, and fail if anything has.
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    check: Option<PathBuf>,
}

impl Import {
    pub(crate) fn run(self) -> Result<()> {
        let text = std::fs::read_to_string(&self.document)
            .with_context(|| format!("failed to read {}", self.document.display()))?;
        let document = Document::parse(&self.document.display().to_string(), &text)?;
        let stem = self
            .document
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("api");
        let edition = self
            .edition
            .clone()
            .unwrap_or_else(|| snake(stem).replace('_', "-"));
        let request = ImportRequest {
            upstream: self.upstream.clone().unwrap_or_else(|| edition.clone()),
            edition,
            base_url: self.base_url.clone(),
            choice: Choice::new(&self.include, &self.exclude)?,
            with_headers: self.with_header.clone(),
            most: self.max,
        };
        let imported = import(&document, &request)?;
        judge(&imported)?;
        match &self.check {
            Some(file) => check(file, &imported),
            None => self.write(&imported),
        }
    }

    fn write(&self, imported: &Imported) -> Result<()> {
        let mut report = std::io::stderr().lock();
        for line in &imported.report {
            writeln!(report, "{line}")?;
        }
        writeln!(report, "{} tools", imported.tools)?;
        match &self.out {
            Some(file) => {
                let mut options = std::fs::OpenOptions::new();
                let mut out = options.write(true).create_new(true).open(file).with_context(|| {
                    format!(
                        "failed to write {}; an existing file is never overwritten",
                        file.display()
                    )
                })?;
                out.write_all(imported.toml.as_bytes())?;
                writeln!(
                    report,
                    "written to {}; read it, edit it, then `catalogue check` it",
                    file.display()
                )?;
                Ok(())
            }
            None => Ok(print::line_raw(imported.toml.trim_end())?),
        }
    }
}

/// What is written is what the server would load.
fn judge(imported: &Imported) -> Result<()> {
    let text = [NamedText {
        name: "the imported file",
        text: &imported.toml,
    }];
    Catalogue::load(&[&text]).context("the document asks for what no catalogue may offer")?;
    Ok(())
}

fn check(file: &std::path::Path, imported: &Imported) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let found = drift(&text, &imported.toml)
        .with_context(|| format!("{} is not a catalogue file", file.display()))?;
    if found.is_empty() {
        return Ok(print::line(&format!("{}: fits the document", file.display()))?);
    }
    for difference in &found {
        print::line(&difference.to_string())?;
    }
    bail!("{}: {} differences", file.display(), found.len())
}
