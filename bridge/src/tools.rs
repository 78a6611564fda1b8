//! `x-mcp-header`: learnt from listings, used by calls (protocol.md B-33).
//!
//! In comes every modern `tools/list` result on its way to the host. Tools whose marks break H-05 are cut out of it, the
//! marks of the others are kept by name. Everything else in the result stays byte for byte what it was, and a result in
//! which the keyword cannot occur is not even parsed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use footbridge_protocol::headers::Header;
use footbridge_protocol::jsonrpc::{Keys, Message, ResponseBody, Rules, decode};
use footbridge_protocol::param_headers::{KEYWORD, ParamHeaders};
use footbridge_protocol::params::Params;
use serde_json::value::RawValue;

use crate::error::quote;
use crate::log;

/// Tools with marks that are remembered. More than any catalogue has; a bound against one that never ends.
const TOOLS: usize = 4096;
/// Marks of one tool. Each becomes a header, and servers accept about a hundred of those.
const MARKS: usize = 64;

/// The marked parameters of the tools listed last.
#[derive(Default)]
pub(crate) struct ToolHeaders(Mutex<HashMap<String, ParamHeaders>>);

impl ToolHeaders {
    /// The `Mcp-Param-*` headers of a `tools/call`. A tool that is not known has none.
    pub(crate) fn of_call(&self, params: &Params<'_>) -> Vec<Header> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (Ok(Some(name)), false) = (params.name(), known.is_empty()) else {
            return Vec::new();
        };
        known
            .get(name.as_ref())
            .map(|marks| marks.encode(params.arguments().ok().flatten()))
            .unwrap_or_default()
    }

    /// Drops what is known: the server says that its tools have changed.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Reads a `tools/list` response that is about to pass and returns what the host may see of it. `first_page` says
    /// that a new listing begins, `keys` what keys are in it.
    pub(crate) fn learn(&self, line: Vec<u8>, first_page: bool, keys: Keys) -> Vec<u8> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first_page {
            known.clear();
        }
        if !keys.may_hold(KEYWORD) {
            return line;
        }
        let Some(tools) = tools_of(&line) else { return line };
        let mut cut = Vec::new();
        for tool in &tools {
            match marks_of(tool) {
                Ok(Some((name, marks))) => {
                    if known.len() < TOOLS || known.contains_key(&name) {
                        known.insert(name, marks);
                    }
                }
                Ok(None) => {}
                Err(reason) => {
                    log::warn(format_args!("left a tool out of the list: {reason}"));
                    cut.push(tool.get());
                }
            }
        }
        if cut.is_empty() {
            line
        } else {
            without(&line, &tools, &cut)
        }
    }
}

/// The raw elements of `result.tools`.
fn tools_of(line: &[u8]) -> Option<Vec<&RawValue>> {
    let Ok(Message::Response(response)) = decode(line, &Rules::BRIDGE) else {
        return None;
    };
    let ResponseBody::Result(result) = response.body else {
        return None;
    };
    let result: HashMap<String, &RawValue> = serde_json::from_str(result.get()).ok()?;
    serde_json::from_str(result.get("tools")?.get()).ok()
}

/// Name and marks of a tool, `None` if it has no marks, or the reason it must not be listed.
fn marks_of(tool: &RawValue) -> Result<Option<(String, ParamHeaders)>, String> {
    let Ok(members) = serde_json::from_str::<HashMap<String, &RawValue>>(tool.get()) else {
        return Ok(None);
    };
    let Some(name) = members
        .get("name")
        .and_then(|name| serde_json::from_str::<String>(name.get()).ok())
    else {
        return Ok(None);
    };
    let Some(schema) = members.get("inputSchema") else {
        return Ok(None);
    };
    let shown = quote(name.as_bytes(), 64);
    let marks = ParamHeaders::of_raw_schema(schema).map_err(|fault| format!("`{shown}`: {fault}"))?;
    if marks.names().count() > MARKS {
        return Err(format!("`{shown}` marks more than {MARKS} parameters"));
    }
    Ok((!marks.is_empty()).then_some((name, marks)))
}

/// `line` without the tools in `cut`, which are slices of it. The other tools keep their bytes.
fn without(line: &[u8], tools: &[&RawValue], cut: &[&str]) -> Vec<u8> {
    let (Some(first), Some(last)) = (tools.first(), tools.last()) else {
        return line.to_vec();
    };
    let start = offset(line, first.get());
    let end = offset(line, last.get()) + last.get().len();
    let mut kept = Vec::with_capacity(line.len());
    kept.extend_from_slice(line.get(..start).unwrap_or_default());
    let mut separate = false;
    for tool in tools.iter().map(|tool| tool.get()) {
        if cut.iter().any(|gone| std::ptr::eq(*gone, tool)) {
            continue;
        }
        if std::mem::replace(&mut separate, true) {
            kept.push(b',');
        }
        kept.extend_from_slice(tool.as_bytes());
    }
    kept.extend_from_slice(line.get(end..).unwrap_or_default());
    kept
}

/// Where `part`, a slice of `line`, begins in it.
fn offset(line: &[u8], part: &str) -> usize {
    part.as_ptr().addr() - line.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use footbridge_protocol::jsonrpc::glance;

    use super::*;

    const GOOD: &str = r#"{"name":"good","inputSchema":{"type":"object","properties":{"city":{"type":"string","x-mcp-header":"City"}}}}"#;
    const PLAIN: &str = r#"{"name":"plain" , "inputSchema":{"type":"object"},"annotations":{"n":1.50}}"#;
    const BAD: &str = r#"{"name":"bad","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"no good"}}}}"#;

    fn page(tools: &[&str]) -> Vec<u8> {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{ "ttlMs":0,"tools":[ {} ],"nextCursor":"x"}}}}"#,
            tools.join(" ,\n")
        )
        .into_bytes()
    }

    /// As an exchange has it learn.
    fn learn(known: &ToolHeaders, line: Vec<u8>, first_page: bool) -> Vec<u8> {
        let keys = glance(&line).map_or(Keys::UNKNOWN, |seen| seen.keys);
        known.learn(line, first_page, keys)
    }

    fn headers(known: &ToolHeaders, call: &str) -> Vec<(String, String)> {
        let Ok(Message::Request(request)) = decode(call.as_bytes(), &Rules::BRIDGE) else {
            panic!("{call}")
        };
        known
            .of_call(&request.params)
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","arguments":{"city":"Köln"}}}"#;

    #[test]
    fn marks_are_learnt_and_replaced_by_the_next_listing() {
        let known = ToolHeaders::default();
        assert_eq!(headers(&known, CALL), []);
        let first = page(&[GOOD, PLAIN]);
        assert_eq!(learn(&known, first.clone(), true), first);
        assert_eq!(
            headers(&known, CALL),
            [("mcp-param-city".to_owned(), "=?base64?S8O2bG4=?=".to_owned())]
        );
        learn(&known, page(&[PLAIN]), false);
        assert_eq!(headers(&known, CALL).len(), 1, "a second page adds to the first");
        learn(&known, page(&[PLAIN]), true);
        assert_eq!(headers(&known, CALL), []);
    }

    #[test]
    fn bad_tools_are_cut_out_and_nothing_else_changes() {
        let known = ToolHeaders::default();
        for (tools, left) in [
            (vec![BAD, GOOD, PLAIN], vec![GOOD, PLAIN]),
            (vec![GOOD, BAD, PLAIN], vec![GOOD, PLAIN]),
            (vec![PLAIN, BAD], vec![PLAIN]),
            (vec![BAD], vec![]),
        ] {
            let seen = String::from_utf8(learn(&known, page(&tools), true)).unwrap();
            let expected = format!(
                r#"{{"jsonrpc":"2.0","id":1,"result":{{ "ttlMs":0,"tools":[ {} ],"nextCursor":"x"}}}}"#,
                left.join(",")
            );
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_keyword_in_escapes_is_the_keyword() {
        let known = ToolHeaders::default();
        let escaped = GOOD.replace("x-mcp-header", r"\u0078-mcp-he\u0061der");
        assert_eq!(learn(&known, page(&[&escaped]), true), page(&[&escaped]));
        assert_eq!(headers(&known, CALL).len(), 1);
        let escaped = BAD.replace("x-mcp-header", r"x\u002dmcp-header");
        assert_eq!(learn(&known, page(&[&escaped]), true), page(&[""]));
        learn(&known, page(&[GOOD]), true);
        known.forget();
        assert_eq!(headers(&known, CALL), []);
    }

    #[test]
    fn what_is_no_list_passes_as_it_is() {
        for text in [
            "x-mcp-header",
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x-mcp-header"}}"#,
        ] {
            assert_eq!(
                learn(&ToolHeaders::default(), text.as_bytes().to_vec(), true),
                text.as_bytes()
            );
        }
    }
}
