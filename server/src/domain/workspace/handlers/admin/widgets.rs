//! `list_widgets` and `update_widget`.

use std::sync::Arc;

use url::Url;

use crate::{
    domain::{
        DomainError, Handlers, Plan, PlanCall,
        workspace::{
            engine::Desk,
            kinds::widget::Widget,
            listing::{self, Filter, Filters},
            record::Kind,
            write,
        },
    },
    store::ReadTx,
};

/// What widgets are filtered by.
const FILTERS: Filters = &[("active", "active", Filter::Flag)];

pub(super) fn register(desk: &Arc<Desk>, table: &mut Handlers) {
    let this = Arc::clone(desk);
    table.read("widgets::list", move |tx, call| {
        let desk = Arc::clone(&this);
        Box::pin(async move { listing::list::<Widget>(&desk, tx, call, FILTERS).await })
    });
    table.planned(
        "widgets::update",
        |tx, call| Box::pin(plan_update(tx, call)),
        |tx, apply| Box::pin(write::carry_out::<Widget>(tx, apply)),
    );
}

async fn plan_update(tx: &mut ReadTx<'_>, call: PlanCall) -> Result<Plan, DomainError> {
    let before = write::named::<Widget>(tx, &call).await?;
    let mut writing = write::update(tx, &call, before).await?;
    let widget = &mut writing.doc.fields;
    let origins = widget.allowed_origins.iter().map(|text| origin(text));
    widget.allowed_origins = origins.collect::<Result<Vec<_>, _>>()?;
    widget.allowed_origins.dedup();
    let summary = format!("Change {}", writing.reader.text(&writing.doc.fields.label()));
    writing.plan(&summary, &())
}

/// An origin as browsers send it: `https://shop.example`, with a port if it is not 443.
fn origin(text: &str) -> Result<String, DomainError> {
    let refused = |what: &str| DomainError::Rule(format!("allowed_origins: `{text}`: {what}"));
    if text.contains('*') {
        return Err(refused("no wildcards; name each host"));
    }
    let url = Url::parse(text).map_err(|_| refused("origin must be https, as https://shop.example"))?;
    if url.scheme() != "https" {
        return Err(refused("origin must be https, as https://shop.example"));
    }
    let plain = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !plain {
        return Err(refused("an origin has neither path nor query nor user name"));
    }
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_https_hosts_one_by_one() {
        for (text, expected) in [
            ("https://shop.example", "https://shop.example"),
            ("https://Shop.Example/", "https://shop.example"),
            ("https://shop.example:8443", "https://shop.example:8443"),
            ("https://shop.example:443", "https://shop.example"),
        ] {
            assert_eq!(origin(text).unwrap(), expected);
        }
        for bad in [
            "http://shop.example",
            "https://*.example",
            "*",
            "null",
            "",
            "shop.example",
            "https://shop.example/path",
            "https://a@shop.example",
            "https://shop.example?x",
            "file:///etc",
        ] {
            assert!(matches!(origin(bad), Err(DomainError::Rule(_))), "{bad}");
        }
    }
}
