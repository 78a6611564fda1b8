//! `footbridge-server group …`

use anyhow::Result;
use clap::Subcommand;
use footbridge_server::operate::{Actor, groups, people};

use super::{At, print};

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// List the groups of a tenant with the number of their members.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Put people into a group. It exists as long as somebody is in it.
    Add(Members),
    /// Take people out of a group.
    Remove(Members),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Members {
    /// The group's name.
    group: String,
    /// Their e-mail addresses or ids.
    #[arg(required = true)]
    who: Vec<String>,
    #[command(flatten)]
    at: At,
}

impl GroupCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::List { json, at } => {
                let store = at.open().await?;
                let users = people::users(&store, &Actor::Operator, at.tenant()).await?;
                store.close().await;
                let all = groups::of(&users);
                if json {
                    return print::json(&all);
                }
                let rows: Vec<_> = all
                    .into_iter()
                    .map(|group| [group.name, group.members.to_string()])
                    .collect();
                Ok(print::table(["GROUP", "MEMBERS"], &rows)?)
            }
            Self::Add(members) => members.change(true).await,
            Self::Remove(members) => members.change(false).await,
        }
    }
}

impl Members {
    async fn change(self, inside: bool) -> Result<()> {
        let store = self.at.open().await?;
        for who in &self.who {
            let tenant = self.at.tenant();
            let user = groups::set_member(&store, &Actor::Operator, tenant, &self.group, who, inside).await?;
            let groups = user.groups.join(", ");
            print::line(&format!("groups of {}: {groups}", user.email))?;
        }
        store.close().await;
        Ok(())
    }
}
