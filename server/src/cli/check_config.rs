//! `footbridge-server check-config`

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;
use footbridge_server::{
    config::{self, reference},
    operate::check::{Finding, findings},
};

use super::{Exit, Place, print, variables};

/// The store cannot be opened, though the configuration by itself is in order.
const NO_STORE: u8 = 3;

/// Exit codes: 0 nothing is wrong (warnings may be printed), 1 something is, 2 the command line is wrong, 3 the store
/// cannot be opened.
#[derive(Debug, Args)]
pub(crate) struct CheckConfig {
    /// The file; without one, the file that --config or FOOTBRIDGE_CONFIG names, or the environment alone.
    file: Option<PathBuf>,
    /// Open the store too. One that is not there yet is made, as `serve` would.
    #[arg(long)]
    connect: bool,
    /// Print every setting with its default and what it is, as a file to start from; check nothing.
    #[arg(long, conflicts_with_all = ["file", "connect"])]
    print_defaults: bool,
    #[command(flatten)]
    place: Place,
}

impl CheckConfig {
    pub(crate) async fn run(mut self) -> Result<()> {
        if self.print_defaults {
            return Ok(print::line(reference::to_toml().trim_end())?);
        }
        if self.file.is_some() {
            self.place.config = self.file.take();
        }
        let name = match &self.place.config {
            Some(path) => path.display().to_string(),
            None => "the environment".to_owned(),
        };
        let text = match &self.place.config {
            Some(path) => {
                std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?
            }
            None => String::new(),
        };
        let config = match config::read::read(&name, &text, variables()) {
            Ok(config) => config,
            Err(error) => {
                for fault in &error.faults {
                    print::line(&format!("error: {fault}"))?;
                }
                return Err(Exit::with(
                    ExitCode::FAILURE,
                    format!("{} found in {name}", many(error.faults.len())),
                ));
            }
        };
        let found = findings(&config);
        let mut errors = 0;
        for finding in &found {
            match finding {
                Finding::Error(text) => {
                    errors += 1;
                    print::line(&format!("error: {text}"))?;
                }
                Finding::Warning(text) => print::line(&format!("warning: {text}"))?,
            }
        }
        if errors > 0 {
            return Err(Exit::with(
                ExitCode::FAILURE,
                format!("{} found in {name}", many(errors)),
            ));
        }
        if self.connect {
            match self.place.open().await {
                Ok(store) => {
                    print::line(&format!("store: {} is reachable and up to date", store.kind()))?;
                    store.close().await;
                }
                Err(error) => return Err(Exit::with(ExitCode::from(NO_STORE), format!("{error:#}"))),
            }
        }
        Ok(print::line(&format!("{name}: no fault found"))?)
    }
}

fn many(count: usize) -> String {
    if count == 1 {
        "1 fault".to_owned()
    } else {
        format!("{count} faults")
    }
}
