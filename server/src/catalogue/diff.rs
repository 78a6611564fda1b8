//! What differs between two catalogues: the tools, prompts and resources that came, went or changed, and in what.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::tool::{Edition, ListedNames, Shape, Tool};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The row, as `tool create_lead`.
    pub row: String,
    /// What became of it.
    pub became: Became,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// These parts of it differ, as `inputSchema/properties/limit`.
    Changed(Vec<String>),
}

/// The differences from one edition to another, by row.
pub fn differences(old: &Edition, new: &Edition) -> Vec<Difference> {
    let (old, new) = (rows(old), rows(new));
    let mut out = Vec::new();
    for (row, before) in &old {
        let became = match new.get(row) {
            None => Became::Removed,
            Some(now) => {
                let mut places = Vec::new();
                compare(before, now, "", &mut places);
                if places.is_empty() {
                    continue;
                }
                Became::Changed(places)
            }
        };
        let row = row.clone();
        out.push(Difference { row, became });
    }
    for row in new.keys().filter(|row| !old.contains_key(*row)) {
        out.push(Difference {
            row: row.clone(),
            became: Became::Added,
        });
    }
    out.sort_by(|one, other| one.row.cmp(&other.row));
    out
}

fn rows(edition: &Edition) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    out.insert(
        "edition".to_owned(),
        json!({
            "title": edition.title, "instructions": edition.instructions, "names": edition.names,
            "write_policy": edition.write_policy, "discover": edition.discover,
        }),
    );
    for (scope, title) in edition.scopes.titles() {
        out.insert(format!("scope {scope}"), json!({ "title": title }));
    }
    for tool in edition.tools() {
        let mut row = definition(tool);
        row.insert("consent".to_owned(), json!(edition.consent(tool)));
        out.insert(format!("tool {}", tool.name), Value::Object(row));
    }
    for prompt in edition.offers.prompts() {
        let mut row = definition(&prompt.row);
        let roles: Vec<_> = prompt.roles.iter().map(|role| role.as_str()).collect();
        row.insert("roles".to_owned(), json!(roles));
        out.insert(format!("prompt {}", prompt.name), Value::Object(row));
    }
    for resource in edition.offers.resources() {
        let mut row = definition(&resource.row);
        row.insert("address".to_owned(), json!(resource.address.as_str()));
        row.insert("mime_type".to_owned(), json!(resource.mime_type));
        out.insert(format!("resource {}", resource.name), Value::Object(row));
    }
    out
}

/// Everything that a row says, what is published of it first.
fn definition(tool: &Tool) -> Map<String, Value> {
    let published = tool.definition(Shape::Full, ListedNames::Native, crate::vocabulary::Consent::Auto);
    let mut out = match published {
        Value::Object(map) => map,
        other => Map::from_iter([("definition".to_owned(), other)]),
    };
    out.insert("scope".to_owned(), json!(format!("{:?}", tool.scope)));
    out.insert("toolset".to_owned(), json!(tool.toolset));
    out.insert("always_human".to_owned(), json!(tool.always_human));
    out.insert("review".to_owned(), json!(format!("{:?}", tool.review)));
    out.insert("timeout_seconds".to_owned(), json!(tool.timeout_seconds));
    out.insert("driver".to_owned(), json!(format!("{:?}", tool.driver)));
    out
}

fn compare(before: &Value, now: &Value, place: &str, places: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let keys = before
                .keys()
                .chain(now.keys().filter(|key| !before.contains_key(*key)));
            for key in keys {
                let inside = if place.is_empty() {
                    key.clone()
                } else {
                    format!("{place}/{key}")
                };
                match (before.get(key), now.get(key)) {
                    (Some(before), Some(now)) => compare(before, now, &inside, places),
                    _ => places.push(inside),
                }
            }
        }
        _ if before != now => places.push(place.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, NamedText};

    const HEAD: &str = "format = 1\n[edition]\nname = \"x\"\ntitle = \"X\"\ninstructions = \"X.\"\nkey_prefix = \"x_\"\n\
                        [scopes.read]\ntitle = \"Read\"\n";

    fn load(rows: &str) -> Catalogue {
        let text = format!("{HEAD}{rows}");
        let file = NamedText {
            name: "x.toml",
            text: &text,
        };
        Catalogue::load(&[&[file]]).unwrap()
    }

    #[test]
    fn what_came_went_and_changed_is_named() {
        let tool = |name: &str, most: u32| {
            format!(
                "[[tool]]\nname = \"{name}\"\nscope = \"read\"\neffect = \"read\"\nhandler = \"a::b\"\n\
                 [tool.input.limit]\ntype = \"integer\"\nmaximum = {most}\n[[tool.example]]\ntitle = \"x\"\n"
            )
        };
        let old = load(&format!("{}{}", tool("stays", 1), tool("goes", 1)));
        let new = load(&format!(
            "{}{}[[prompt]]\nname = \"p\"\nscope = \"read\"\n[[prompt.message]]\ntext = \"x\"\n",
            tool("stays", 2),
            tool("comes", 1)
        ));
        let (old, new) = (&old.editions()[0], &new.editions()[0]);
        let found: Vec<_> = differences(old, new)
            .into_iter()
            .map(|difference| (difference.row, difference.became))
            .collect();
        let place = "inputSchema/properties/limit/maximum".to_owned();
        assert_eq!(
            found,
            [
                ("prompt p".to_owned(), Became::Added),
                ("tool comes".to_owned(), Became::Added),
                ("tool goes".to_owned(), Became::Removed),
                ("tool stays".to_owned(), Became::Changed(vec![place])),
            ]
        );
        assert!(differences(old, old).is_empty());
    }
}
