//! `footbridge-server tenant …`, `user …` and `setup`.

use anyhow::Result;
use clap::{Args, Subcommand};
use footbridge_server::{
    operate::{people, rules, setup},
    vocabulary::{Consent, Role, ToolName},
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
    /// Show or tighten what a tenant asks for before its tools change anything. The strictest of tool, edition,
    /// tenant and key holds.
    Policy {
        /// auto, confirm (a preview first) or human (a person must agree) [default: show what holds].
        #[arg(value_parser = consent)]
        consent: Option<Consent>,
        /// Only for this tool, by its native name.
        #[arg(long, value_name = "NAME")]
        tool: Option<ToolName>,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
}

fn consent(word: &str) -> Result<Consent, String> {
    Consent::parse(word).ok_or_else(|| format!("`{word}` is not one of auto, confirm, human"))
}

impl TenantCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Add { id, name, place } => {
                let store = place.open().await?;
                let tenant =
                    people::add_tenant(&store, &id, if name.is_empty() { &id } else { &name }).await?;
                store.close().await;
                Ok(print::line(&format!("added tenant {}", tenant.id))?)
            }
            Self::List { place } => {
                let store = place.open().await?;
                let tenants = people::tenants(&store).await?;
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
                tenant,
                place,
            } => {
                let store = place.open().await?;
                let rules = match consent {
                    Some(consent) => rules::set(&store, &tenant.tenant, tool.as_ref(), consent).await?,
                    None => rules::show(&store, &tenant.tenant).await?,
                };
                store.close().await;
                let mut rows = vec![["every change".to_owned(), rules.writes.as_str().to_owned()]];
                let tools = rules.tools.iter();
                rows.extend(tools.map(|(tool, consent)| [tool.to_string(), consent.as_str().to_owned()]));
                Ok(print::table(["BEFORE", "ASKS FOR AT LEAST"], &rows)?)
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a person to a tenant.
    Add {
        /// Their e-mail address.
        email: String,
        /// Their name.
        #[arg(long, default_value = "")]
        name: String,
        /// owner, admin, auditor or member.
        #[arg(long, default_value = "member")]
        role: Role,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// List the people of a tenant.
    List {
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Change a person's role; their keys follow within a second.
    Role {
        /// Their e-mail address.
        email: String,
        /// owner, admin, auditor or member.
        role: Role,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Shut a person out; their keys stop within a second.
    Disable {
        /// Their e-mail address.
        email: String,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
}

impl UserCommand {
    pub(crate) async fn run(self) -> Result<()> {
        let said = match self {
            Self::Add {
                email,
                name,
                role,
                tenant,
                place,
            } => {
                let store = place.open().await?;
                let user = people::add_user(&store, &tenant.tenant, &email, &name, role).await?;
                store.close().await;
                format!("added {} as {} ({})", user.email, user.role.as_str(), user.id)
            }
            Self::List { tenant, place } => {
                let store = place.open().await?;
                let users = people::users(&store, &tenant.tenant).await?;
                store.close().await;
                let rows: Vec<_> = users
                    .into_iter()
                    .map(|u| {
                        let state = if u.disabled_at.is_some() {
                            "disabled"
                        } else {
                            "active"
                        };
                        [
                            u.id.to_string(),
                            u.email,
                            u.name,
                            u.role.as_str().to_owned(),
                            state.to_owned(),
                        ]
                    })
                    .collect();
                return Ok(print::table(["ID", "E-MAIL", "NAME", "ROLE", "STATE"], &rows)?);
            }
            Self::Role {
                email,
                role,
                tenant,
                place,
            } => {
                let store = place.open().await?;
                people::set_role(&store, &tenant.tenant, &email, role).await?;
                store.close().await;
                format!("{email} is now {}", role.as_str())
            }
            Self::Disable { email, tenant, place } => {
                let store = place.open().await?;
                people::disable_user(&store, &tenant.tenant, &email).await?;
                store.close().await;
                format!("{email} is shut out")
            }
        };
        Ok(print::line(&said)?)
    }
}

/// `footbridge-server setup`.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// Your e-mail address.
    #[arg(long)]
    email: String,
    /// The tenant to own; made if it does not exist.
    #[arg(long, default_value = "local")]
    tenant: String,
    #[command(flatten)]
    place: Place,
}

impl Setup {
    pub(crate) async fn run(self) -> Result<()> {
        // Never an argument: the process list is public.
        let token = match std::env::var("FOOTBRIDGE_SETUP_TOKEN") {
            Ok(token) => token,
            Err(_) => {
                eprintln!("Paste the setup token that the first start printed, then press Enter:");
                let mut token = String::new();
                std::io::stdin().read_line(&mut token)?;
                token
            }
        };
        let store = self.place.open().await?;
        let owner = setup::redeem(&store, &token, &self.tenant, &self.email).await?;
        store.close().await;
        Ok(print::line(&format!(
            "{} owns tenant {}",
            owner.email, self.tenant
        ))?)
    }
}
