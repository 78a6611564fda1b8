//! A row of a tool, judged by itself.

use std::sync::Arc;

use footbridge_protocol::param_headers::ParamHeaders;

use super::{
    ADMINS, JIT_SECONDS, LONGEST_DESCRIPTION, LONGEST_FIRST_SENTENCE, LONGEST_NAME, RESERVED, TENANT_INPUTS,
    Upstreams,
};
use crate::{
    catalogue::{
        arguments::InputSchema,
        command::CommandCall,
        confirming::TOKEN_ARGUMENT,
        file::{ScopeNeed, ToolRow},
        http::HttpCall,
        schema,
        scopes::ScopeRules,
        tool::{Driver, ReviewRule, ScopeRule, Tool},
    },
    vocabulary::{Consent, Effect, Scope, ToolName, is_hidden},
};

pub(super) fn tool(
    mut row: ToolRow,
    index: usize,
    scopes: &ScopeRules,
    upstreams: &Upstreams,
) -> Result<Tool, String> {
    let name = ToolName::new(row.name.get_ref()).map_err(|e| e.to_string())?;
    check_name(&name)?;
    if row.title.is_empty() {
        row.title = in_words(&name);
    }
    if row.description.is_empty() {
        row.description = format!("{}.", row.title);
    }
    check_texts(&row)?;
    let review = review_rule(&row)?;
    let scope = scope_rule(row.scope, scopes)?;
    let toolset = row.toolset.unwrap_or_else(|| {
        let first = scope.scopes().first().map_or("", Scope::as_str);
        first.split([':', '.']).next().unwrap_or_default().to_owned()
    });
    let built = match row.input_schema {
        Some(_) if !row.input.is_empty() => return Err("give `input` or `input_schema`, not both".to_owned()),
        Some(text) => schema::BuiltSchema {
            schema: serde_json::from_str(&text).map_err(|e| format!("input_schema: {e}"))?,
            keeps_whitespace: Vec::new(),
        },
        None => schema::build(row.input)?,
    };
    if built
        .schema
        .pointer(&format!("/properties/{TOKEN_ARGUMENT}"))
        .is_some()
    {
        return Err(format!(
            "the input `{TOKEN_ARGUMENT}` is the engine's own; name yours differently"
        ));
    }
    if let Some(properties) = built
        .schema
        .get("properties")
        .and_then(serde_json::Value::as_object)
        && let Some(bad) = properties
            .keys()
            .find(|key| TENANT_INPUTS.contains(&key.as_str()))
    {
        return Err(format!(
            "input `{bad}`: a tenant comes from the credential, never from an argument"
        ));
    }
    let driver = match (row.handler, row.http, row.command) {
        (Some(name), None, None) => Driver::Function(name),
        (None, None, Some(command)) => Driver::Command(Arc::new(CommandCall::new(command)?)),
        (None, Some(http), None) => Driver::Http(Arc::new(HttpCall::new(http, upstreams, &built.schema)?)),
        _ => return Err("give one of `handler`, [tool.http] and [tool.command]".to_owned()),
    };
    let open_world = row.open_world || matches!(driver, Driver::Http(_) | Driver::Command(_));
    let param_headers = ParamHeaders::of_schema(&built.schema).map_err(|e| e.to_string())?;
    let input = InputSchema::new(built.schema, built.keeps_whitespace)?.with_aliases(row.aliases)?;
    let output = match (row.output, row.output_schema) {
        (Some(_), Some(_)) => return Err("give `output` or `output_schema`, not both".to_owned()),
        (None, Some(text)) => Some(serde_json::from_str(&text).map_err(|e| format!("output_schema: {e}"))?),
        (table, None) => table.map(schema::table_to_json),
    };
    if let Some(output) = &output {
        if output.get("type").and_then(serde_json::Value::as_str) != Some("object") {
            return Err("output: the root must be type = \"object\"".to_owned());
        }
        jsonschema::draft202012::new(output).map_err(|e| format!("output: {e}"))?;
    }
    Ok(Tool {
        name,
        title: row.title,
        description: row.description,
        scope,
        effect: row.effect,
        open_world,
        policy: row.policy,
        always_human: row.always_human,
        review,
        toolset,
        input,
        output,
        task: row.task,
        // A program has its own limit, which ends it; the call's is there should that fail.
        timeout_seconds: match &driver {
            Driver::Command(command) => Some(command.timeout.as_secs() + 8),
            _ => row.timeout_seconds,
        },
        driver,
        examples: row.examples,
        index,
        param_headers,
        digest: std::sync::OnceLock::new(),
    })
}

/// The scopes that a row asks for.
pub(in crate::catalogue) fn scope_rule(need: ScopeNeed, scopes: &ScopeRules) -> Result<ScopeRule, String> {
    let scope = match need {
        ScopeNeed::One(scope) => ScopeRule::All(vec![scope]),
        ScopeNeed::All { all } => ScopeRule::All(all),
        ScopeNeed::Any { any } => ScopeRule::Any(any),
    };
    if scope.scopes().is_empty() {
        return Err("it asks for no scope; every row names at least one".to_owned());
    }
    if let Some(unknown) = scope.scopes().iter().find(|s| !scopes.knows(s)) {
        return Err(format!("scope `{unknown}` is not described under [scopes]"));
    }
    Ok(scope)
}

/// `list_leads` as people write it: `List leads`.
pub(in crate::catalogue) fn in_words(name: &ToolName) -> String {
    let words = name.to_underscored().replace('_', " ");
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Who approves. An empty list of groups means whoever may administer.
fn review_rule(row: &ToolRow) -> Result<ReviewRule, String> {
    let groups_named = !row.review_groups.is_empty() || !row.force_groups.is_empty();
    let named = groups_named || row.min_approvals.is_some() || row.jit_seconds.is_some();
    if named && row.policy.consent() != Consent::Review {
        return Err(
            "review_groups, min_approvals, force_groups and jit_seconds belong to policy `review`".to_owned(),
        );
    }
    if row
        .jit_seconds
        .is_some_and(|seconds| !JIT_SECONDS.contains(&seconds))
    {
        return Err(format!(
            "jit_seconds must be {} to {}",
            JIT_SECONDS.start(),
            JIT_SECONDS.end()
        ));
    }
    let groups = match row.review_groups.as_slice() {
        [] => vec![ADMINS.to_owned()],
        groups => groups.to_vec(),
    };
    let most = groups.len();
    let min_approvals = row.min_approvals.unwrap_or(most);
    if !(1..=most).contains(&min_approvals) {
        return Err(format!("min_approvals must be 1 to {most}, the number of groups"));
    }
    Ok(ReviewRule {
        groups,
        min_approvals,
        force_groups: row.force_groups.clone(),
        jit_seconds: row.jit_seconds,
    })
}

fn check_name(name: &ToolName) -> Result<(), String> {
    let underscored = name.to_underscored();
    if RESERVED.contains(&underscored.as_str()) {
        return Err("the name is reserved: no catalogue may offer it".to_owned());
    }
    if underscored.len() > LONGEST_NAME {
        return Err(format!(
            "the name has {} characters; at most {LONGEST_NAME}",
            underscored.len()
        ));
    }
    Ok(())
}

fn check_texts(row: &ToolRow) -> Result<(), String> {
    check_prose(&row.title, &row.description)?;
    let is_data = row.http.is_some() || row.command.is_some();
    if !is_data && row.examples.is_empty() && row.effect != Effect::Execute {
        return Err("it has no [[tool.example]]; an example is also the tool's test".to_owned());
    }
    Ok(())
}

/// Judges what a model reads of a row.
pub(in crate::catalogue) fn check_prose(title: &str, description: &str) -> Result<(), String> {
    for (what, text) in [("title", title), ("description", description)] {
        if text.trim().is_empty() {
            return Err(format!("{what} is empty"));
        }
        if let Some(hidden) = text.chars().find(|c| is_hidden(*c)) {
            return Err(format!(
                "{what} has the invisible character U+{:04X}",
                u32::from(hidden)
            ));
        }
    }
    let length = description.chars().count();
    if length > LONGEST_DESCRIPTION {
        return Err(format!(
            "description has {length} characters; at most {LONGEST_DESCRIPTION}"
        ));
    }
    let first = description
        .split_inclusive(". ")
        .next()
        .unwrap_or_default()
        .trim_end()
        .chars()
        .count();
    if first > LONGEST_FIRST_SENTENCE {
        return Err(format!(
            "the description's first sentence has {first} characters; at most {LONGEST_FIRST_SENTENCE}"
        ));
    }
    Ok(())
}
