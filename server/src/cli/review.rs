//! `footbridge-server review …`: calls that others must approve.

use anyhow::Result;
use clap::Subcommand;
use footbridge_server::{
    operate::{
        Actor, boot, people,
        reviews::{self, Answer, ReviewStatus, TimeWindow},
    },
    store::Store,
};

use super::{OfTenant, Place, print};

#[derive(Debug, Subcommand)]
pub(crate) enum ReviewCommand {
    /// List the reviews of a tenant, the newest first.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Show one review and what its call would do.
    Show {
        /// Its id, as rev_….
        id: String,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Approve a call in the name of a person of the tenant.
    Approve {
        /// Its id, as rev_….
        id: String,
        /// Who approves, by e-mail address; nobody approves their own call.
        #[arg(long = "as", value_name = "EMAIL")]
        reviewer: String,
        /// Alone, as a member of a group that may.
        #[arg(long)]
        force: bool,
        /// To be run from this time of day on only, in UTC.
        #[arg(long, value_name = "HH:MM", requires = "until")]
        from: Option<String>,
        /// And until this one; past midnight where it is the earlier of the two.
        #[arg(long, value_name = "HH:MM", requires = "from")]
        until: Option<String>,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Reject a call in the name of a person of the tenant.
    Reject {
        /// Its id, as rev_….
        id: String,
        /// Who rejects, by e-mail address.
        #[arg(long = "as", value_name = "EMAIL")]
        reviewer: String,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
    /// Close what an approved review of type jit opened, before its time.
    Revoke {
        /// Its id, as rev_….
        id: String,
        /// Who closes it, by e-mail address.
        #[arg(long = "as", value_name = "EMAIL")]
        reviewer: String,
        #[command(flatten)]
        tenant: OfTenant,
        #[command(flatten)]
        place: Place,
    },
}

impl ReviewCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::List { json, tenant, place } => {
                let store = place.open().await?;
                let all = reviews::list(&store, &tenant.tenant, &Actor::Operator).await?;
                store.close().await;
                if json {
                    return print::json(&all);
                }
                let rows: Vec<_> = all
                    .into_iter()
                    .map(|review| {
                        [
                            review.id,
                            review.status.as_str().to_owned(),
                            review.tool.to_string(),
                            review.requester.to_string(),
                            review.expires_at.to_string(),
                            review.summary,
                        ]
                    })
                    .collect();
                let heads = ["ID", "STATUS", "TOOL", "REQUESTER", "UNTIL", "WHAT"];
                Ok(print::table(heads, &rows)?)
            }
            Self::Show { id, tenant, place } => {
                let store = place.open().await?;
                let key = boot::seal_key(&store).await?;
                let shown = reviews::show(&store, &tenant.tenant, &id, &Actor::Operator, &key).await?;
                store.close().await;
                print::json(&shown)
            }
            Self::Approve {
                id,
                reviewer,
                force,
                from,
                until,
                tenant,
                place,
            } => {
                let window = from
                    .zip(until)
                    .map(|(from, until)| TimeWindow::new(&from, &until));
                let window = window.transpose().map_err(anyhow::Error::msg)?;
                answer(&place, &tenant, &id, &reviewer, Answer::Approve { force, window }).await
            }
            Self::Reject {
                id,
                reviewer,
                reason,
                tenant,
                place,
            } => answer(&place, &tenant, &id, &reviewer, Answer::Reject { reason }).await,
            Self::Revoke {
                id,
                reviewer,
                tenant,
                place,
            } => answer(&place, &tenant, &id, &reviewer, Answer::Revoke).await,
        }
    }
}

async fn answer(place: &Place, tenant: &OfTenant, id: &str, email: &str, answer: Answer) -> Result<()> {
    let store = place.open().await?;
    let answered = answer_as(&store, tenant, id, email, answer).await;
    store.close().await;
    Ok(print::line(&answered?)?)
}

async fn answer_as(
    store: &Store,
    tenant: &OfTenant,
    id: &str,
    email: &str,
    answer: Answer,
) -> Result<String> {
    let user = people::find_user(store, &Actor::Operator, &tenant.tenant, email).await?;
    let review = reviews::answer(store, &tenant.tenant, id, &user.id, answer).await?;
    let until = review.expires_at;
    let when = match (review.status, review.runs_from) {
        (ReviewStatus::Approved, Some(from)) => format!(" from {from} to {until}"),
        (ReviewStatus::Approved, None) => format!(" until {until}"),
        _ => String::new(),
    };
    Ok(format!("{} is {}{when}", review.id, review.status.as_str()))
}
