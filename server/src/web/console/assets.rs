//! The console's files, compiled in. Their addresses name their content, so browsers keep them for good.

use std::sync::OnceLock;

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::web::{RestError, Web};

/// One file.
pub(crate) struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    path: OnceLock<String>,
}

/// The style sheet.
pub(crate) static STYLE: Asset = Asset::new(
    "console.css",
    "text/css; charset=utf-8",
    include_bytes!("../../../assets/console.css"),
);
/// Our script.
pub(crate) static SCRIPT: Asset = Asset::new(
    "console.js",
    "text/javascript; charset=utf-8",
    include_bytes!("../../../assets/console.js"),
);
/// htmx, unchanged; see `assets/htmx/ORIGIN`.
pub(crate) static HTMX: Asset = Asset::new(
    "htmx.js",
    "text/javascript; charset=utf-8",
    include_bytes!("../../../assets/htmx/htmx.min.js"),
);
/// The mark in a tab.
pub(crate) static ICON: Asset = Asset::new(
    "icon.svg",
    "image/svg+xml",
    include_bytes!("../../../assets/icon.svg"),
);

static ALL: [&Asset; 4] = [&STYLE, &SCRIPT, &HTMX, &ICON];

impl Asset {
    const fn new(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        Self {
            name,
            content_type,
            bytes,
            path: OnceLock::new(),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &str {
        self.path.get_or_init(|| {
            let digest = Sha256::digest(self.bytes);
            let mark: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("/console/assets/{mark}/{}", self.name)
        })
    }
}

pub(super) fn router() -> Router<Web> {
    Router::new().route("/console/assets/{mark}/{name}", get(file))
}

async fn file(Path((mark, name)): Path<(String, String)>) -> Response {
    let path = format!("/console/assets/{mark}/{name}");
    let Some(asset) = ALL.iter().find(|asset| asset.path() == path) else {
        return RestError::no_such_path().into_response();
    };
    let mut response = Bytes::from_static(asset.bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn htmx_is_the_file_that_its_origin_names() {
        let digest: String = Sha256::digest(HTMX.bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let origin = include_str!("../../../assets/htmx/ORIGIN");
        assert!(origin.contains(&digest), "{digest}");
    }
}
