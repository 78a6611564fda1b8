//! `demo`: something to look at before there is something of one's own.

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use footbridge_server::{
    domain::workspace::Workspace,
    operate::boot,
    store::Store,
    vocabulary::{Clock, Timestamp},
};

use super::{OfTenant, Place, print};

/// What can be filled.
#[derive(Debug, Subcommand)]
pub(crate) enum DemoCommand {
    /// Fill an empty workspace with three months of a small team: companies, tickets, conversations, articles.
    Workspace(DemoWorkspace),
}

/// `demo workspace`.
#[derive(Debug, Args)]
pub(crate) struct DemoWorkspace {
    #[command(flatten)]
    of: OfTenant,
    /// The moment that it ends with, in RFC 3339 [default: now].
    #[arg(long, value_name = "MOMENT")]
    at: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl DemoCommand {
    pub(crate) async fn run(self) -> Result<()> {
        let Self::Workspace(command) = self;
        command.run().await
    }
}

impl DemoWorkspace {
    async fn run(self) -> Result<()> {
        let until = match &self.at {
            None => Clock::System.now(),
            Some(text) => match Timestamp::parse(text) {
                Some(moment) => moment,
                None => bail!("--at {text}: write a moment in RFC 3339, such as 2026-11-28T12:00:00Z"),
            },
        };
        let url = self.place.store_url()?;
        let settings = self.place.config()?.store.settings();
        // Records are as old as they say: the clock goes along with the story.
        let store = Store::open(&url, &settings, Clock::manual(until))
            .await
            .with_context(|| format!("failed to open the store {url}"))?;
        boot::local_owner(&store, &self.of.tenant).await?;
        let seal = boot::seal_key(&store).await?;
        let filled = Workspace::new(store.clone(), seal)
            .fill(&self.of.tenant, until)
            .await;
        store.close().await;
        let filled = filled?;
        print::line(&format!(
            "{}: {} accounts, {} contacts, {} leads, {} deals, {} tickets, {} conversations, {} articles",
            self.of.tenant,
            filled.accounts,
            filled.contacts,
            filled.leads,
            filled.opportunities,
            filled.tickets,
            filled.conversations,
            filled.articles
        ))?;
        Ok(())
    }
}
