//! From catalogue files to an edition, with every rule of the catalogue judged at load.
//!
//! An error names file, line and tool: the reader is the person who just edited the file.

mod row;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    builtin::NamedText,
    file::{CatalogueFile, EditionRow, ScopeRow, ToolRow},
    http::{Upstream, UpstreamRow, Vault},
    offers::{self, PromptRow, ResourceRow},
    scopes::ScopeRules,
    tool::{Edition, MOST_DISCOVERED, MOST_TOOLS, Tool},
};
use row::tool;
pub(super) use row::{check_prose, in_words, scope_rule};

/// Names that no catalogue may bring in (catalogue.md §2.13).
pub(super) const RESERVED: [&str; 10] = [
    "export_all",
    "list_all",
    "query",
    "query_sql",
    "sql",
    "raw_sql",
    "dump",
    "backup",
    "mint_key",
    "reveal_secret",
];

/// Inputs that would let a caller name a tenant (catalogue.md §2.15).
pub(super) const TENANT_INPUTS: [&str; 7] = [
    "tenant",
    "tenant_id",
    "org_id",
    "workspace_id",
    "account_owner_id",
    "userId",
    "user_id",
];

/// Longest underscored name: several hosts accept no more once they add a prefix (protocol.md L-06).
pub(super) const LONGEST_NAME: usize = 64;
/// Longest description (catalogue.md §2.5): a list is a bill paid on every turn.
pub(super) const LONGEST_DESCRIPTION: usize = 300;
pub(super) const LONGEST_FIRST_SENTENCE: usize = 100;
/// For how long an approval may open a tool: long enough to be of use, and not past a working day.
const JIT_SECONDS: std::ops::RangeInclusive<u32> = 60..=8 * 60 * 60;

/// The group that every owner and admin is in.
pub const ADMINS: &str = "admin";

/// Why a catalogue cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The text is not TOML of the catalogue's shape.
    #[error("{file}: {message}")]
    Syntax {
        /// The file's name.
        file: String,
        /// What the parser says, with line and column.
        message: String,
    },
    /// A rule about a whole file or edition is broken.
    #[error("{file}: {message}")]
    Edition {
        /// The file's name.
        file: String,
        /// What is wrong and what is accepted.
        message: String,
    },
    /// A rule about one tool, prompt or resource is broken.
    #[error("{file}:{line}: {kind} `{row}`: {message}")]
    Row {
        /// The file's name.
        file: String,
        /// The line of the row's name.
        line: usize,
        /// `tool`, `prompt` or `resource`.
        kind: &'static str,
        /// The row's name.
        row: String,
        /// What is wrong and what is accepted.
        message: String,
    },
    /// An edition was asked for that no file brings.
    #[error("there is no edition `{name}`; loaded are: {known}")]
    UnknownEdition {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
}

/// The REST APIs of one edition by name.
pub(super) type Upstreams = BTreeMap<String, Arc<Upstream>>;

/// Loads the files of one edition: exactly one of them has the `[edition]` head.
pub(super) fn edition(files: &[NamedText<'_>]) -> Result<Edition, CatalogueError> {
    let mut head: Option<(&str, EditionRow)> = None;
    let mut scopes = BTreeMap::new();
    let mut upstreams: Upstreams = BTreeMap::new();
    let mut vault: Option<Arc<Vault>> = None;
    let mut rows: Vec<(&NamedText<'_>, ToolRow)> = Vec::new();
    let mut prompt_rows: Vec<(&NamedText<'_>, PromptRow)> = Vec::new();
    let mut resource_rows: Vec<(&NamedText<'_>, ResourceRow)> = Vec::new();
    for source in files {
        let fault = |message: String| CatalogueError::Edition {
            file: source.name.to_owned(),
            message,
        };
        let file: CatalogueFile = toml::from_str(source.text).map_err(|e| CatalogueError::Syntax {
            file: source.name.to_owned(),
            message: e.to_string(),
        })?;
        if file.format != 1 {
            return Err(fault(format!(
                "format {} is not known; this server reads format 1",
                file.format
            )));
        }
        if let Some(row) = file.edition
            && let Some((first, _)) = head.replace((source.name, row))
        {
            return Err(fault(format!("a second [edition]; the first is in {first}")));
        }
        for (name, row) in file.scopes {
            let row: ScopeRow = row
                .try_into()
                .map_err(|e| fault(format!("scope `{name}`: {e}")))?;
            if scopes.insert(name.clone(), row).is_some() {
                return Err(fault(format!("scope `{name}` is described twice")));
            }
        }
        if let Some(row) = file.vault {
            let described = Vault::new(row).map_err(|e| fault(format!("vault: {e}")))?;
            if vault.replace(Arc::new(described)).is_some() {
                return Err(fault("a second [vault]; an edition has one".to_owned()));
            }
        }
        for (name, row) in file.upstreams {
            let row: UpstreamRow = row
                .try_into()
                .map_err(|e| fault(format!("upstream `{name}`: {e}")))?;
            let upstream = Upstream::new(&name, row, vault.as_ref())
                .map_err(|e| fault(format!("upstream `{name}`: {e}")))?;
            if upstreams.insert(name.clone(), Arc::new(upstream)).is_some() {
                return Err(fault(format!("upstream `{name}` is described twice")));
            }
        }
        rows.extend(file.tools.into_iter().map(|row| (source, row)));
        prompt_rows.extend(file.prompts.into_iter().map(|row| (source, row)));
        resource_rows.extend(file.resources.into_iter().map(|row| (source, row)));
    }
    let Some((file, head)) = head else {
        let names = files.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
        return Err(CatalogueError::Edition {
            file: names,
            message: "no [edition] head".to_owned(),
        });
    };
    let most = if head.discover {
        MOST_DISCOVERED
    } else {
        MOST_TOOLS
    };
    if rows.len() > most {
        let message = format!(
            "{} tools; at most {MOST_TOOLS} fit on one page, and {MOST_DISCOVERED} into an edition with `discover = true`",
            rows.len()
        );
        return Err(CatalogueError::Edition {
            file: file.to_owned(),
            message,
        });
    }
    let scopes = ScopeRules::new(scopes);
    let mut tools: Vec<Arc<Tool>> = Vec::with_capacity(rows.len());
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (index, (source, row)) in rows.into_iter().enumerate() {
        let fault = at(source, &row.name, "tool");
        let tool = tool(row, index, &scopes, &upstreams).map_err(&fault)?;
        for spelling in [tool.name.as_str().to_owned(), tool.name.to_underscored()] {
            if let Some(other) = by_name.insert(spelling.clone(), index)
                && other != index
            {
                return Err(fault(format!(
                    "its name meets another tool's when spelled `{spelling}`"
                )));
            }
        }
        tools.push(Arc::new(tool));
    }
    let beside = offers::Beside {
        scopes: &scopes,
        upstreams: &upstreams,
    };
    let mut prompts = Vec::with_capacity(prompt_rows.len());
    for (index, (source, row)) in prompt_rows.into_iter().enumerate() {
        let fault = at(source, &row.name, "prompt");
        prompts.push(offers::prompt(row, index, beside).map_err(fault)?);
    }
    let mut resources = Vec::with_capacity(resource_rows.len());
    for (index, (source, row)) in resource_rows.into_iter().enumerate() {
        let fault = at(source, &row.name, "resource");
        resources.push(offers::resource(row, index, beside, Path::new(source.name)).map_err(fault)?);
    }
    let offers = offers::offers(prompts, resources).map_err(|message| CatalogueError::Edition {
        file: file.to_owned(),
        message,
    })?;
    offers::check_changes(&offers, &tools).map_err(|message| CatalogueError::Edition {
        file: file.to_owned(),
        message,
    })?;
    if let Some(row) = offers.rows().find(|row| by_name.contains_key(row.name.as_str())) {
        return Err(CatalogueError::Edition {
            file: file.to_owned(),
            message: format!(
                "the tool `{}` has the name that a prompt or resource goes by in the call log",
                row.name
            ),
        });
    }
    static LOADED: AtomicU64 = AtomicU64::new(0);
    Ok(Edition {
        serial: LOADED.fetch_add(1, Ordering::Relaxed),
        name: head.name,
        title: head.title,
        instructions: head.instructions,
        names: head.names,
        key_prefix: head.key_prefix,
        bare_path: head.bare_path,
        on_request: head.on_request,
        flat_for_bare_callers: head.flat_for_bare_callers,
        write_policy: head.write_policy,
        discover: head.discover,
        scopes,
        offers,
        tools,
        by_name,
    })
}

/// What makes a fault of one row an error that names file, line and row.
fn at<'a>(
    source: &NamedText<'a>,
    name: &toml::Spanned<String>,
    kind: &'static str,
) -> impl Fn(String) -> CatalogueError + use<'a> {
    let line = 1 + source
        .text
        .get(..name.span().start)
        .map_or(0, |before| before.matches('\n').count());
    let (file, row) = (source.name.to_owned(), name.get_ref().clone());
    move |message| CatalogueError::Row {
        file: file.clone(),
        line,
        kind,
        row: row.clone(),
        message,
    }
}

/// Judges what only shows when editions stand side by side.
pub(super) fn check_together(editions: &[Arc<Edition>]) -> Result<(), CatalogueError> {
    for (position, edition) in editions.iter().enumerate() {
        for other in editions.iter().skip(position + 1) {
            let clash = if edition.name == other.name {
                Some(format!("two editions are called `{}`", edition.name))
            } else if edition.bare_path.is_some()
                && edition.bare_path == other.bare_path
                && !(edition.on_request || other.on_request)
            {
                Some(format!(
                    "editions `{}` and `{}` both claim one bare path",
                    edition.name, other.name
                ))
            } else {
                None
            };
            if let Some(message) = clash {
                return Err(CatalogueError::Edition {
                    file: edition.name.to_string(),
                    message,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
