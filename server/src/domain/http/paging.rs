//! Where a list goes on, by each of the ways in which APIs say it.

use serde_json::{Map, Value};
use url::Url;

use super::answer::Answer;
use crate::catalogue::http::Paging;

/// The cursor of the next page, or `None` at the end.
pub(super) fn next(paging: &Paging, answer: &Answer, arguments: &Map<String, Value>) -> Option<String> {
    let at = |first: u64| {
        let given = arguments.get("cursor").and_then(Value::as_str);
        given.and_then(|text| text.parse::<u64>().ok()).unwrap_or(first)
    };
    let items = |pointer: &str| {
        let items = if pointer.is_empty() {
            Some(&answer.value)
        } else {
            answer.value.pointer(pointer)
        };
        items
            .and_then(Value::as_array)
            .map_or(0, |items| items.len() as u64)
    };
    match paging {
        Paging::Cursor { next, .. } => match answer.value.pointer(next)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        },
        Paging::Page {
            size, items: pointer, ..
        } => (items(pointer) >= *size).then(|| at(1).saturating_add(1).to_string()),
        Paging::Offset {
            size, items: pointer, ..
        } => {
            let found = items(pointer);
            (found >= *size).then(|| at(0).saturating_add(found).to_string())
        }
        Paging::Link { param } => answer
            .links
            .iter()
            .find_map(|header| link_parameter(header, param)),
    }
}

/// One parameter of the address that a `Link` header calls `next` (RFC 8288).
fn link_parameter(header: &str, parameter: &str) -> Option<String> {
    let next = header.split(',').find(|link| {
        let mut parts = link.split(';').skip(1).map(str::trim);
        parts.any(|part| matches!(part, "rel=next" | "rel=\"next\""))
    })?;
    let address = next
        .split(';')
        .next()?
        .trim()
        .strip_prefix('<')?
        .strip_suffix('>')?;
    // The address may be relative; only its query is of interest.
    let base = Url::parse("https://relative.invalid/").ok()?;
    let url = base.join(address).ok()?;
    let found = url.query_pairs().find(|(name, _)| name == parameter);
    found.map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(value: Value, links: &[&str]) -> Answer {
        Answer {
            value,
            links: links.iter().map(|l| (*l).to_owned()).collect(),
            etag: None,
        }
    }

    #[test]
    fn each_way_says_where_a_list_goes_on_and_where_it_ends() {
        let none = Map::new();
        let cursor = Paging::Cursor {
            param: "after".into(),
            next: "/meta/next".into(),
        };
        for (value, expected) in [
            (json!({"meta":{"next":"n2"}}), Some("n2")),
            (json!({"meta":{"next":null}}), None),
            (json!({"meta":{"next":""}}), None),
            (json!({}), None),
        ] {
            assert_eq!(next(&cursor, &answer(value, &[]), &none).as_deref(), expected);
        }
        let page = Paging::Page {
            param: "p".into(),
            size: 2,
            size_param: None,
            items: "/items".into(),
        };
        let third = Map::from_iter([("cursor".to_owned(), json!("3"))]);
        assert_eq!(
            next(&page, &answer(json!({"items":[1,2]}), &[]), &none).as_deref(),
            Some("2")
        );
        assert_eq!(
            next(&page, &answer(json!({"items":[1,2]}), &[]), &third).as_deref(),
            Some("4")
        );
        assert_eq!(next(&page, &answer(json!({"items":[1]}), &[]), &third), None);
        let offset = Paging::Offset {
            param: "o".into(),
            size: 2,
            size_param: None,
            items: String::new(),
        };
        assert_eq!(
            next(&offset, &answer(json!([1, 2]), &[]), &third).as_deref(),
            Some("5")
        );
        assert_eq!(next(&offset, &answer(json!([]), &[]), &none), None);
        let link = Paging::Link { param: "page".into() };
        let header = "<https://x.example/a?page=1>; rel=\"prev\", </a?per=5&page=3>; rel=\"next\"";
        assert_eq!(
            next(&link, &answer(json!([]), &[header]), &none).as_deref(),
            Some("3")
        );
        assert_eq!(next(&link, &answer(json!([]), &["nonsense"]), &none), None);
    }
}
