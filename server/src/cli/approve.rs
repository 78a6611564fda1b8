//! `footbridge-server pending`, `approve` and `decline`: a person's yes or no to a call that waits for it.

use anyhow::Result;
use clap::Args;
use footbridge_server::{
    operate::{
        approvals::{self, Waiting},
        boot,
    },
    store::Store,
};

use super::{OfTenant, Place, print};

/// `footbridge-server pending`.
#[derive(Debug, Args)]
pub(crate) struct Pending {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

impl Pending {
    pub(crate) async fn run(self) -> Result<()> {
        let store = self.place.open().await?;
        let key = boot::seal_key(&store).await?;
        let waiting = approvals::pending(&store, &self.tenant.tenant, &key, None).await?;
        store.close().await;
        if self.json {
            return print::json(&waiting);
        }
        if waiting.is_empty() {
            return Ok(print::line("no call waits for a person")?);
        }
        for call in &waiting {
            show(call)?;
        }
        Ok(())
    }
}

/// A code, and whose calls it is looked for among.
#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// The code that the caller was given, as 7Q2K-M4PX.
    code: String,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    place: Place,
}

impl Answer {
    pub(crate) async fn run(self, approve: bool) -> Result<()> {
        let store = self.place.open().await?;
        let decided = self.decide(&store, approve).await;
        store.close().await;
        show(&decided?)?;
        let said = if approve {
            "approved: it runs when its caller calls again, within 10 minutes"
        } else {
            "declined: nothing was changed"
        };
        Ok(print::line(said)?)
    }

    async fn decide(&self, store: &Store, approve: bool) -> Result<Waiting> {
        let key = boot::seal_key(store).await?;
        Ok(approvals::decide(store, &self.tenant.tenant, &self.code, approve, None, &key).await?)
    }
}

fn show(call: &Waiting) -> std::io::Result<()> {
    print::line(&format!(
        "{}  {} of {}, for {}, until {}",
        call.code, call.tool, call.edition, call.user, call.expires_at
    ))?;
    match &call.preview {
        Some(preview) => print::line(&format!("{}\n", preview.prose())),
        None => print::line("what it would do cannot be shown: the server's sealing key was changed\n"),
    }
}
