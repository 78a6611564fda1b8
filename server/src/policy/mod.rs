//! Whether a call that may be made runs now: a [`Grant`] comes in, a [`Permit`] or a [`Question`] goes out.
//!
//! A permit can be made only here and every handler takes one, so no effect happens that this room did not allow.
//! A question becomes a permit only against [`Taken`], the store's proof that the call was confirmed and that
//! nobody else has used the confirmation.

mod confirm;
pub mod review;
mod rules;
mod seal;

pub use confirm::{Asked, Remembered, Token, Verdict, new_code, row_binding, verdict};
pub use rules::{RULES, Rules, TenantRules};
pub use seal::{SealKey, StateError};

use crate::{
    access::{Grant, Principal},
    catalogue::{Edition, Tool},
    store::{KeyConfirm, Taken},
    vocabulary::{Consent, Effect},
};

/// Proof that policy allowed this call now.
#[derive(Debug)]
pub struct Permit {
    grant: Grant,
}

impl Permit {
    /// Who calls.
    pub fn principal(&self) -> &Principal {
        self.grant.principal()
    }

    /// What is called.
    pub fn tool(&self) -> &Tool {
        self.grant.tool()
    }
}

/// A call that needs a yes first.
#[derive(Debug)]
pub struct Question {
    grant: Grant,
    need: Consent,
}

impl Question {
    /// Who may say yes.
    pub fn need(&self) -> Consent {
        self.need
    }

    /// The yes was given and is used up.
    pub fn settle(self, _: Taken) -> Permit {
        Permit { grant: self.grant }
    }
}

/// What policy says about a call.
#[derive(Debug)]
pub enum Decision {
    /// It runs.
    Run(Permit),
    /// It needs a yes first.
    Ask(Question),
}

/// Decides on one call.
pub fn decide(grant: Grant, edition: &Edition, rules: &TenantRules) -> Decision {
    match consent(edition, grant.tool(), grant.principal(), rules) {
        // The role gate of `admin` stood in `access::judge`, where the list asks the same question.
        Consent::Auto => Decision::Run(Permit { grant }),
        need => Decision::Ask(Question { grant, need }),
    }
}

/// The consent that a call needs: the strictest that tool, edition, tenant and key ask for (catalogue.md §2.7).
/// A list and a call ask this same function.
pub fn consent(edition: &Edition, tool: &Tool, principal: &Principal, rules: &TenantRules) -> Consent {
    strictest(
        edition.consent(tool),
        tool.effect,
        rules.writes,
        rules.of_tool(&tool.name),
        principal.facts().confirm,
    )
}

/// The consent that is left to ask for while a review has opened the tool to this principal: others have agreed, and each
/// call still shows what it would do.
pub fn consent_while_open(
    edition: &Edition,
    tool: &Tool,
    principal: &Principal,
    rules: &TenantRules,
) -> Consent {
    let answered = |asked: Consent| match asked {
        Consent::Review => Consent::Confirm,
        asked => asked,
    };
    let own = answered(edition.consent(tool));
    strictest(
        if tool.always_human {
            own.max(Consent::Human)
        } else {
            own
        },
        tool.effect,
        answered(rules.writes),
        answered(rules.of_tool(&tool.name)),
        principal.facts().confirm,
    )
}

/// Nothing here can loosen what another asks for. What is asked for before every change is not asked before a read.
fn strictest(own: Consent, effect: Effect, writes: Consent, this_tool: Consent, key: KeyConfirm) -> Consent {
    let own = own.max(this_tool);
    if effect == Effect::Read {
        return own;
    }
    let key = match key {
        KeyConfirm::Inherit => Consent::Auto,
        KeyConfirm::Preview => Consent::Confirm,
        KeyConfirm::Human => Consent::Human,
    };
    own.max(writes).max(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [KeyConfirm; 3] = [KeyConfirm::Inherit, KeyConfirm::Preview, KeyConfirm::Human];

    /// Every combination there is: whatever one side asks for, the result is at least that, and it is never more
    /// than the most that anybody asks for.
    #[test]
    fn the_strictest_holds_and_nothing_loosens() {
        for own in Consent::ALL {
            for writes in Consent::ALL {
                for this_tool in Consent::ALL {
                    for (key, as_consent) in KEYS.into_iter().zip(Consent::ALL) {
                        let all = [own, writes, this_tool, as_consent];
                        let found = strictest(own, Effect::Update, writes, this_tool, key);
                        assert_eq!(Some(found), all.into_iter().max(), "{all:?}");
                        let read = strictest(own, Effect::Read, writes, this_tool, key);
                        assert_eq!(read, own.max(this_tool), "{all:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn strictness_has_the_order_of_the_catalogue() {
        assert!(Consent::Auto < Consent::Confirm && Consent::Confirm < Consent::Human);
        assert!(Consent::Human < Consent::Review);
        for consent in Consent::ALL {
            assert_eq!(Consent::parse(consent.as_str()), Some(consent));
        }
    }
}
