//! `footbridge-server tenant …` and `setup`.

use anyhow::Result;
use clap::{Args, Subcommand};
use footbridge_server::{
    operate::{
        rules,
        setup::{self, FirstOwner},
        tenants,
    },
    store::TenantStatus,
    vocabulary::{Consent, TenantId, ToolName},
};

use super::{OfTenant, Place, print};

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Add a tenant.
    Add {
        /// Its name: 1-63 of a-z, 0-9 and -.
        id: String,
        /// A name for people.
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// List the tenants.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Refuse all credentials of a tenant within a second. Nothing is deleted.
    Suspend {
        /// Its name.
        id: TenantId,
        #[command(flatten)]
        place: Place,
    },
    /// Accept the credentials of a suspended tenant again.
    Admit {
        /// Its name.
        id: TenantId,
        #[command(flatten)]
        place: Place,
    },
    /// Show or tighten what a tenant asks for before its tools change anything. The strictest of tool, edition,
    /// tenant and key holds.
    Policy {
        /// auto, confirm (a preview first), human (a person must agree) or review (others must approve) [default: show what
        /// holds].
        #[arg(value_parser = consent)]
        consent: Option<Consent>,
        /// Only for this tool, by its native name.
        #[arg(long, value_name = "NAME")]
        tool: Option<ToolName>,
        /// Whether owners and admins may approve reviews of their own calls; each time is marked in the logs [default: false].
        #[arg(long, value_name = "BOOL")]
        allow_admin_self_approval: Option<bool>,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
}

fn consent(word: &str) -> Result<Consent, String> {
    Consent::parse(word).ok_or_else(|| format!("`{word}` is not one of auto, confirm, human, review"))
}

impl TenantCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Add { id, name, place } => {
                let store = place.open().await?;
                let tenant = tenants::add(&store, &id, if name.is_empty() { &id } else { &name }).await?;
                store.close().await;
                Ok(print::line(&format!("added tenant {}", tenant.id))?)
            }
            Self::Suspend { id, place } => {
                set_status(&place, &id, TenantStatus::Suspended).await?;
                Ok(print::line(&format!("{id} is suspended"))?)
            }
            Self::Admit { id, place } => {
                set_status(&place, &id, TenantStatus::Active).await?;
                Ok(print::line(&format!("{id} is admitted"))?)
            }
            Self::List { place } => {
                let store = place.open().await?;
                let tenants = tenants::list(&store).await?;
                store.close().await;
                let rows: Vec<_> = tenants
                    .into_iter()
                    .map(|t| {
                        [
                            t.id.to_string(),
                            t.name,
                            t.status.as_str().to_owned(),
                            t.created_at.to_string(),
                        ]
                    })
                    .collect();
                Ok(print::table(["TENANT", "NAME", "STATUS", "SINCE"], &rows)?)
            }
            Self::Policy {
                consent,
                tool,
                allow_admin_self_approval,
                tenant,
                place,
            } => {
                let store = place.open().await?;
                if let Some(consent) = consent {
                    rules::set(&store, &tenant.tenant, tool.as_ref(), consent).await?;
                }
                if let Some(allowed) = allow_admin_self_approval {
                    rules::set_admin_self_approval(&store, &tenant.tenant, allowed).await?;
                }
                let rules = rules::show(&store, &tenant.tenant).await?;
                store.close().await;
                let mut rows = vec![["every change".to_owned(), rules.writes.as_str().to_owned()]];
                let tools = rules.tools.iter();
                rows.extend(tools.map(|(tool, consent)| [tool.to_string(), consent.as_str().to_owned()]));
                if rules.admin_self_approval {
                    rows.push([
                        "a review of an admin's own call".to_owned(),
                        "their own approval will do".to_owned(),
                    ]);
                }
                Ok(print::table(["BEFORE", "ASKS FOR AT LEAST"], &rows)?)
            }
        }
    }
}

async fn set_status(place: &Place, tenant: &TenantId, status: TenantStatus) -> Result<()> {
    let store = place.open().await?;
    tenants::set_status(&store, tenant, status).await?;
    store.close().await;
    Ok(())
}

/// `footbridge-server setup`.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// Your e-mail address.
    #[arg(long)]
    email: String,
    /// Your name.
    #[arg(long, default_value = "")]
    name: String,
    /// The tenant to own; made if it does not exist.
    #[arg(long, value_name = "NAME", default_value = "local")]
    tenant: TenantId,
    /// Also set the password you will sign in with: asked for, or taken from FOOTBRIDGE_PASSWORD.
    #[arg(long)]
    with_password: bool,
    #[command(flatten)]
    place: Place,
}

impl Setup {
    pub(crate) async fn run(self) -> Result<()> {
        // Never an argument: the process list is public.
        let token = match std::env::var("FOOTBRIDGE_SETUP_TOKEN") {
            Ok(token) => token,
            Err(_) => print::ask_secret("Setup token that the first start printed: ")?,
        };
        let password = if self.with_password {
            Some(print::password()?)
        } else {
            None
        };
        let store = self.place.open().await?;
        let owner = FirstOwner {
            tenant: self.tenant.clone(),
            email: self.email,
            name: self.name,
            password,
        };
        let owner = setup::redeem(&store, &token, owner).await?;
        store.close().await;
        Ok(print::line(&format!(
            "{} owns tenant {}",
            owner.email, self.tenant
        ))?)
    }
}
