//! How records may move from state to state (catalogue.md §3.3), as tables.

use std::fmt::Display;

use super::kinds::{article::ArticleStatus, lead::LeadStatus, opportunity::Stage, ticket::TicketStatus};
use crate::domain::DomainError;

/// Where one may go, from each state.
pub(crate) struct Machine<S: 'static>(&'static [(S, &'static [S])]);

impl<S: Copy + PartialEq + Display> Machine<S> {
    /// Whether one may go from the one to the other; to stay is always right.
    pub(crate) fn allows(&self, from: S, to: S) -> bool {
        from == to
            || self
                .0
                .iter()
                .any(|(state, next)| *state == from && next.contains(&to))
    }

    /// The same, as an answer that says where one may go instead.
    ///
    /// # Errors
    /// When the table has no such step.
    pub(crate) fn check(&self, what: &str, from: S, to: S) -> Result<(), DomainError> {
        if self.allows(from, to) {
            return Ok(());
        }
        let next = self.0.iter().find(|(state, _)| *state == from);
        let next: Vec<String> =
            next.map_or_else(Vec::new, |(_, next)| next.iter().map(S::to_string).collect());
        let instead = if next.is_empty() {
            "it stays so".to_owned()
        } else {
            format!("from there it goes to {}", next.join(", "))
        };
        Err(DomainError::Rule(format!(
            "the {what} is {from} and cannot become {to}; {instead}"
        )))
    }
}

/// Leads; only `convert_lead` makes one `converted`, and nothing changes it after.
pub(crate) const LEAD: Machine<LeadStatus> = {
    use LeadStatus::{Converted, Disqualified, New, Qualified, Working};
    Machine(&[
        (New, &[Working, Disqualified, Converted]),
        (Working, &[New, Qualified, Disqualified, Converted]),
        (Qualified, &[Working, Disqualified, Converted]),
        (Disqualified, &[Working]),
    ])
};

/// Deals move freely.
pub(crate) const OPPORTUNITY: Machine<Stage> = {
    use Stage::{Lost, Negotiation, Proposal, Qualification, Won};
    Machine(&[
        (Qualification, &[Proposal, Negotiation, Won, Lost]),
        (Proposal, &[Qualification, Negotiation, Won, Lost]),
        (Negotiation, &[Qualification, Proposal, Won, Lost]),
        (Won, &[Qualification, Proposal, Negotiation]),
        (Lost, &[Qualification, Proposal, Negotiation]),
    ])
};

/// Tickets; how long a done one can be opened again is judged beside the table.
pub(crate) const TICKET: Machine<TicketStatus> = {
    use TicketStatus::{Closed, InProgress, Open, Resolved, Waiting};
    Machine(&[
        (Open, &[InProgress, Waiting, Resolved, Closed]),
        (InProgress, &[Open, Waiting, Resolved, Closed]),
        (Waiting, &[Open, InProgress, Resolved, Closed]),
        (Resolved, &[Open, Closed]),
        (Closed, &[Open]),
    ])
};

/// Articles.
pub(crate) const ARTICLE: Machine<ArticleStatus> = {
    use ArticleStatus::{Archived, Draft, Published};
    Machine(&[
        (Draft, &[Published]),
        (Published, &[Draft, Archived]),
        (Archived, &[Draft]),
    ])
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of states: those that the table of catalogue.md §3.3 has, and no other.
    fn steps<S: Copy + PartialEq + Display>(machine: &Machine<S>, all: &[S]) -> Vec<String> {
        let pairs = all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to)));
        pairs
            .filter(|(from, to)| from != to && machine.allows(*from, *to))
            .map(|(from, to)| format!("{from} {to}"))
            .collect()
    }

    #[test]
    fn leads_move_as_the_catalogue_says() {
        assert_eq!(
            steps(&LEAD, LeadStatus::ALL),
            [
                "new working",
                "new disqualified",
                "new converted",
                "working new",
                "working qualified",
                "working disqualified",
                "working converted",
                "qualified working",
                "qualified disqualified",
                "qualified converted",
                "disqualified working"
            ]
        );
        let refused = LEAD
            .check("lead", LeadStatus::Disqualified, LeadStatus::New)
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the lead is disqualified and cannot become new; from there it goes to working"
        );
    }

    #[test]
    fn articles_and_tickets_move_as_the_catalogue_says() {
        assert_eq!(
            steps(&ARTICLE, ArticleStatus::ALL),
            [
                "draft published",
                "published draft",
                "published archived",
                "archived draft"
            ]
        );
        let tickets = steps(&TICKET, TicketStatus::ALL);
        assert_eq!(tickets.len(), 15);
        assert!(!tickets.contains(&"closed in_progress".to_owned()));
        assert!(tickets.contains(&"resolved open".to_owned()));
    }

    #[test]
    fn deals_move_between_all_but_the_two_ends() {
        let steps = steps(&OPPORTUNITY, Stage::ALL);
        assert_eq!(steps.len(), 18);
        assert!(!steps.contains(&"won lost".to_owned()) && !steps.contains(&"lost won".to_owned()));
    }
}
