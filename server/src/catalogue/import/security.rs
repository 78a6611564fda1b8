//! How a document says that calls are authorised, as a catalogue's `auth`; and where the API stands.

use serde_json::Value;

use super::{
    ImportError, ImportRequest,
    document::{Document, Found},
    naming::snake,
};

/// The `[upstream.…]` block: its base address and its `auth` line, if calls need one.
pub(super) struct Upstream {
    pub(super) base_url: String,
    pub(super) auth: Option<String>,
}

pub(super) fn upstream(
    document: &Document,
    request: &ImportRequest,
    report: &mut Vec<String>,
) -> Result<Upstream, ImportError> {
    let base_url = match &request.base_url {
        Some(url) => url.clone(),
        None => server(document)?,
    };
    let variable = format!("{}_SECRET", snake(&request.upstream).to_ascii_uppercase());
    let schemes = document
        .root()
        .pointer("/components/securitySchemes")
        .and_then(Value::as_object);
    let auth = schemes.into_iter().flatten().find_map(|(name, scheme)| {
        let scheme = document.resolve(scheme, name).ok()?;
        of_scheme(scheme, &variable)
    });
    match &auth {
        Some(_) => report.push(format!(
            "the API's credential is read from the environment variable {variable}"
        )),
        None => report.push(
            "the document names no way to authorise calls that this can use; set `auth` if there is one"
                .to_owned(),
        ),
    }
    Ok(Upstream { base_url, auth })
}

/// The first server's address with its variables at their defaults.
fn server(document: &Document) -> Result<String, ImportError> {
    let server = document.root().pointer("/servers/0");
    let template = server
        .and_then(|s| s.get("url"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut url = template.to_owned();
    let variables = server.and_then(|s| s.get("variables")).and_then(Value::as_object);
    for (name, variable) in variables.into_iter().flatten() {
        if let Some(default) = variable.get("default").and_then(Value::as_str) {
            url = url.replace(&format!("{{{name}}}"), default);
        }
    }
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(url);
    }
    Err(ImportError::Rule(format!(
        "the document's first server is `{template}`, which is no whole address; name it with --base-url https://…"
    )))
}

fn of_scheme(scheme: &Value, variable: &str) -> Option<String> {
    let text = |name: &str| scheme.get(name).and_then(Value::as_str);
    match (
        text("type")?,
        text("scheme").unwrap_or_default().to_ascii_lowercase().as_str(),
    ) {
        ("http", "bearer") => Some(format!("{{ kind = \"bearer\", secret = \"env:{variable}\" }}")),
        ("http", "basic") => Some(format!(
            "{{ kind = \"basic\", user = \"\", secret = \"env:{variable}\" }}"
        )),
        ("apiKey", _) if text("in") == Some("header") => {
            let name = toml::Value::from(text("name")?);
            Some(format!(
                "{{ kind = \"header\", name = {name}, secret = \"env:{variable}\" }}"
            ))
        }
        ("oauth2", _) => {
            let flow = scheme
                .pointer("/flows/clientCredentials/tokenUrl")
                .and_then(Value::as_str);
            Some(match flow {
                Some(url) => format!(
                    "{{ kind = \"oauth2_client\", token_url = {}, client_id = \"\", secret = \"env:{variable}\" }}",
                    toml::Value::from(url)
                ),
                None => format!("{{ kind = \"bearer\", secret = \"env:{variable}\" }}"),
            })
        }
        _ => None,
    }
}

/// Scopes that an operation's first requirement names.
pub(super) fn scopes(document: &Document, found: &Found<'_>) -> Vec<String> {
    let own = found
        .operation
        .get("security")
        .or_else(|| document.root().get("security"));
    let first = own
        .and_then(Value::as_array)
        .and_then(|all| all.first())
        .and_then(Value::as_object);
    let named = first
        .into_iter()
        .flatten()
        .filter_map(|(_, scopes)| scopes.as_array())
        .flatten();
    named
        .filter_map(Value::as_str)
        .map(str::to_ascii_lowercase)
        .collect()
}
