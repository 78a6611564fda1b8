//! `footbridge-server outbox …`: webhooks and mails, and those that could not be delivered.

use anyhow::Result;
use clap::Subcommand;
use footbridge_server::{
    operate::{Actor, deliveries},
    store::JobState,
};

use super::{At, print};

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// List what waits and what has failed for good, last changed first.
    List {
        /// What was delivered or cancelled, too.
        #[arg(long)]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Send again what has failed for good or was cancelled.
    Retry {
        /// Its id, as evt_….webhook.
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// Call off what waits for its next attempt.
    Cancel {
        /// Its id, as evt_….webhook.
        id: String,
        #[command(flatten)]
        at: At,
    },
}

impl OutboxCommand {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::List { all, json, at } => {
                let states = if all {
                    &JobState::ALL[..]
                } else {
                    &JobState::OPEN[..]
                };
                let store = at.open().await?;
                let listed = deliveries::list(&store, at.tenant(), &Actor::Operator, states).await;
                store.close().await;
                let listed = listed?;
                if json {
                    return print::json(&listed);
                }
                let rows: Vec<_> = listed
                    .into_iter()
                    .map(|delivery| {
                        [
                            delivery.id,
                            delivery.event,
                            delivery.to,
                            delivery.state.to_owned(),
                            format!("{}/{}", delivery.attempt, delivery.max_attempts),
                            delivery
                                .next_attempt_at
                                .map_or_else(String::new, |at| at.to_string()),
                            delivery.last_error.unwrap_or_default(),
                        ]
                    })
                    .collect();
                let heads = ["ID", "EVENT", "TO", "STATE", "ATTEMPTS", "NEXT", "LAST ERROR"];
                Ok(print::table(heads, &rows)?)
            }
            Self::Retry { id, at } => {
                let store = at.open().await?;
                let done = deliveries::retry(&store, at.tenant(), &Actor::Operator, &id).await;
                store.close().await;
                done?;
                Ok(print::line(&format!("{id} is queued again"))?)
            }
            Self::Cancel { id, at } => {
                let store = at.open().await?;
                let done = deliveries::cancel(&store, at.tenant(), &Actor::Operator, &id).await;
                store.close().await;
                done?;
                Ok(print::line(&format!("{id} is cancelled"))?)
            }
        }
    }
}
