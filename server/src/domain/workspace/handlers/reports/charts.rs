//! The reports as the console draws them: all three over one period, in one snapshot.

use super::rows;
use crate::{
    domain::{
        DomainError,
        workspace::report::{
            conversations::{self, ConversationFigures, ConversationLine},
            period::{Asked, Period, PeriodView},
            pipeline::{self, PipelineLine, PipelineTotals},
            tickets::{self, TicketLine, TicketTotals},
        },
    },
    store::TenantTx,
    vocabulary::Timestamp,
};

/// Three reports.
#[derive(Clone, Debug)]
pub struct Charts {
    /// What they are about.
    pub period: PeriodView,
    /// Conversations, by day.
    pub conversations: (ConversationFigures, Vec<ConversationLine>),
    /// Tickets, by day.
    pub tickets: (TicketTotals, Vec<TicketLine>),
    /// Deals, by stage.
    pub pipeline: (PipelineTotals, Vec<PipelineLine>),
}

/// Makes the reports of a period: `7d`, `30d` or `90d`, in the days of the tenant.
///
/// # Errors
/// When the period is none, or the store fails.
pub async fn charts(tx: &mut TenantTx<'_>, period: &str, now: Timestamp) -> Result<Charts, DomainError> {
    let zone = super::own_zone(tx).await?;
    let asked = Asked {
        period,
        from: None,
        to: None,
        time_zone: &zone,
    };
    let period = Period::of(asked, now).map_err(|error| DomainError::argument(error.to_string()))?;
    let talks = rows::conversations(tx, period.from, period.to).await?.rows;
    let work = rows::tickets(tx, period.from, period.to).await?.rows;
    let deals = rows::deals(tx, period.from, period.to).await?.rows;
    Ok(Charts {
        period: period.view(),
        conversations: conversations::report(&talks, &period, conversations::Grouping::Day),
        tickets: tickets::report(&work, &period, tickets::Grouping::Day),
        pipeline: pipeline::report(&deals, &period, pipeline::Grouping::Stage, now),
    })
}
