//! `footbridge-server restore`

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use footbridge_server::{operate::restore::restore, store::StoreUrl, vocabulary::Clock};

use super::{Place, print};

/// `footbridge-server restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup.
    from: PathBuf,
    #[command(flatten)]
    place: Place,
}

impl Restore {
    pub(crate) async fn run(self) -> Result<()> {
        let path = match self.place.store_url()? {
            StoreUrl::Sqlite(path) => path,
            StoreUrl::Postgres(_) => bail!(
                "this store is PostgreSQL: with every server stopped, restore it with\n  \
                 pg_restore --clean --if-exists --no-owner --exit-on-error --dbname \"$FOOTBRIDGE_STORE\" FILE"
            ),
        };
        let settings = self.place.config()?.store.settings();
        let restored = restore(&self.from, &path, &settings, Clock::System).await?;
        for (tenant, rows) in &restored.tenants {
            print::line(&format!("tenant {tenant}: {rows} rows of the call log, whole"))?;
        }
        if let Some(kept) = &restored.kept {
            print::line(&format!(
                "the store that was there before is kept as {}",
                kept.display()
            ))?;
        }
        Ok(print::line(&format!(
            "restored {} to {}",
            self.from.display(),
            path.display()
        ))?)
    }
}
