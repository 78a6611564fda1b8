//! The events that start flows.

/// Every event that the workspace itself tells of (catalogue.md §3.5).
pub const BUILTIN: [&str; 22] = [
    "lead.created",
    "lead.converted",
    "customer.created",
    "contact.updated",
    "account.created",
    "account.stage_changed",
    "account.went_at_risk",
    "opportunity.stage_changed",
    "opportunity.won",
    "opportunity.lost",
    "conversation.created",
    "conversation.assigned",
    "conversation.resolved",
    "message.received",
    "ticket.created",
    "ticket.assigned",
    "ticket.resolved",
    "ticket.closed",
    "ticket.reopened",
    "sla.due_soon",
    "sla.breached",
    "article.published",
];

/// What the names of callers' own events begin with.
const CUSTOM: &str = "custom.";
/// Longest name behind that, in bytes.
const LONGEST_CUSTOM: usize = 60;

/// Whether callers may emit an event of that name: `^custom\.[a-z0-9_.]{1,60}$`.
pub fn is_custom(name: &str) -> bool {
    name.strip_prefix(CUSTOM).is_some_and(|rest| {
        (1..=LONGEST_CUSTOM).contains(&rest.len())
            && rest
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b))
    })
}

/// Whether a flow may wait for this: an event of the workspace, one of callers, or every one of callers as `custom.*`.
pub fn is_trigger(name: &str) -> bool {
    BUILTIN.contains(&name) || name == "custom.*" || is_custom(name)
}

/// Why a name is none that a flow may wait for.
pub fn no_trigger(name: &str) -> String {
    let known = BUILTIN.join(", ");
    format!("`{name}` is no event; use one of {known}, custom.<name> or custom.*")
}

/// Whether an event sets off flows that wait for `trigger`.
pub fn sets_off(trigger: &str, event: &str) -> bool {
    trigger == event || (trigger == "custom.*" && is_custom(event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_events_keep_to_their_pattern() {
        for good in ["custom.a", "custom.deploy_2.done"] {
            assert!(is_custom(good) && is_trigger(good), "{good}");
        }
        let long = format!("custom.{}", "x".repeat(61));
        for bad in [
            "custom.",
            "custom.A",
            "custom.ä",
            "customs.a",
            "ticket.created",
            &long,
        ] {
            assert!(!is_custom(bad), "{bad}");
        }
        assert!(is_trigger("custom.*") && is_trigger("sla.breached"));
        assert!(!is_trigger("ticket.*") && !is_trigger("lead.updated"));
    }

    #[test]
    fn the_star_means_events_of_callers_only() {
        assert!(sets_off("custom.*", "custom.deploy"));
        assert!(!sets_off("custom.*", "ticket.created"));
        assert!(sets_off("ticket.created", "ticket.created"));
        assert!(!sets_off("custom.a", "custom.ab"));
    }
}
