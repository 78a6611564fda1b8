//! Whether a principal may call a tool: the one function that lists and calls both ask.

use std::sync::Arc;

use super::principal::{Principal, PrincipalFacts};
use crate::{
    catalogue::{Edition, ScopeRule, Tool, ToolSet},
    vocabulary::{Effect, Role, Scope},
};

/// Why a known tool may not be called by this principal. The texts are those of catalogue.md §2.10.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Scopes are missing; all of them are named at once.
    #[error("missing scope {}", .0.iter().map(Scope::as_str).collect::<Vec<_>>().join(" "))]
    MissingScope(Vec<Scope>),
    /// The tool is for owners and admins.
    #[error("admin access required")]
    RoleRequired,
    /// The key only reads.
    #[error("this key is read-only")]
    ReadOnly,
    /// The key was narrowed to other tools.
    #[error("this key was narrowed to other tools; its owner can mint one that includes `{0}`")]
    NotOnKey(String),
}

/// Proof that this principal holds what this tool asks for.
#[derive(Clone, Debug)]
pub struct Grant {
    principal: Principal,
    tool: Arc<Tool>,
}

impl Grant {
    /// Who may call.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What they may call.
    pub fn tool(&self) -> &Arc<Tool> {
        &self.tool
    }
}

/// Judges one call.
///
/// # Errors
/// The first rule that refuses, in the order of catalogue.md §2.1 step 6.
pub fn judge(edition: &Edition, tool: &Arc<Tool>, principal: &Principal) -> Result<Grant, Denial> {
    // Facts and edition do not change, so neither does the answer.
    if !principal.was_granted(edition, tool) {
        judge_facts(edition, tool, principal.facts())?;
    }
    Ok(Grant {
        principal: principal.clone(),
        tool: Arc::clone(tool),
    })
}

/// The tools of an edition that these facts may call.
pub fn visible_tools(edition: &Edition, facts: &PrincipalFacts) -> ToolSet {
    let mut set = ToolSet::default();
    for tool in edition.tools() {
        if judge_facts(edition, tool, facts).is_ok() {
            set.insert(tool.index);
        }
    }
    set
}

fn judge_facts(edition: &Edition, tool: &Tool, facts: &PrincipalFacts) -> Result<(), Denial> {
    let missing = missing_scopes(edition, &tool.scope, facts);
    if !missing.is_empty() {
        return Err(Denial::MissingScope(missing));
    }
    if tool.policy.wants_admin() && !facts.role.is_admin() {
        return Err(Denial::RoleRequired);
    }
    // An auditor reads everything and changes nothing, whatever their keys say (catalogue.md §2.4).
    if (facts.read_only || facts.role == Role::Auditor) && tool.effect != Effect::Read {
        return Err(Denial::ReadOnly);
    }
    let named = |names: &[String]| {
        names
            .iter()
            .any(|n| n == tool.name.as_str() || *n == tool.name.to_underscored())
    };
    if named(&facts.tools_deny) || (!facts.tools_allow.is_empty() && !named(&facts.tools_allow)) {
        return Err(Denial::NotOnKey(tool.name.to_string()));
    }
    Ok(())
}

fn missing_scopes(edition: &Edition, rule: &ScopeRule, facts: &PrincipalFacts) -> Vec<Scope> {
    let rules = &edition.scopes;
    // A scope kept to certain roles counts only while its holder has one of them; so does what it implies.
    let usable = |scope: &Scope| rules.roles(scope).is_none_or(|roles| roles.contains(&facts.role));
    let held: Vec<Scope> = facts
        .scopes
        .iter()
        .filter(|scope| usable(scope))
        .cloned()
        .collect();
    let holds = |scope: &Scope| rules.satisfies(&held, scope) && usable(scope);
    match rule {
        ScopeRule::All(scopes) => scopes.iter().filter(|s| !holds(s)).cloned().collect(),
        ScopeRule::Any(scopes) if scopes.iter().any(holds) => Vec::new(),
        ScopeRule::Any(scopes) => scopes.clone(),
    }
}
