//! The table of settings, read off the structs: for the judge of a file, for `CONFIG.md`, for `--print-defaults`.

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;
use crate::vocabulary::prose;

/// Where one setting stands and what may stand there.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The section, as between brackets; dots where one stands in another.
    pub section: String,
    /// Its name.
    pub name: String,
    /// What it is, its unit and its reason.
    pub about: String,
    /// `integer`, `boolean`, `string`, `array` or `object`.
    pub kind: String,
    /// The smallest and the largest number accepted.
    pub range: (Option<f64>, Option<f64>),
    /// What holds when nothing is said; `None` where that is nothing at all.
    pub default: Option<Value>,
}

impl Setting {
    /// The environment variable that wins over the file.
    pub fn variable(&self) -> String {
        let section = self.section.replace('.', "__").to_uppercase();
        format!("FOOTBRIDGE_{section}__{}", self.name.to_uppercase())
    }

    /// The default as TOML writes it.
    fn default_text(&self) -> Option<String> {
        let value = toml::Value::try_from(self.default.as_ref()?).ok()?;
        Some(value.to_string())
    }

    fn range_text(&self) -> Option<String> {
        // Every unsigned number has these bounds; they tell a person nothing.
        let low = self.range.0.filter(|low| *low > 0.0);
        match (low, self.range.1) {
            (Some(low), Some(high)) => Some(format!("{low} to {high}")),
            (Some(low), None) => Some(format!("at least {low}")),
            (None, Some(high)) => Some(format!("at most {high}")),
            (None, None) => None,
        }
    }
}

/// One section with its settings, in the order of the structs.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// As between brackets.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// What stands in it.
    pub settings: Vec<Setting>,
}

/// The schema of the whole configuration, nothing in it a reference.
pub(super) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value()
}

/// All sections.
pub fn sections() -> Vec<Section> {
    let mut found = Vec::new();
    collect(&schema(), "", &mut found);
    found
}

fn collect(schema: &Value, section: &str, found: &mut Vec<Section>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let mut settings = Vec::new();
    let mut inner = Vec::new();
    for (name, property) in properties {
        if property.get("properties").is_some() {
            let path = if section.is_empty() {
                name.clone()
            } else {
                format!("{section}.{name}")
            };
            collect(property, &path, &mut inner);
        } else {
            settings.push(setting(section, name, property));
        }
    }
    if !settings.is_empty() {
        let about = text(schema, "description");
        // The comment of a struct begins with its own name in brackets, for readers of the source.
        let about = about
            .strip_prefix(&format!("`[{section}]`"))
            .map_or(about.as_str(), |rest| rest.trim_start_matches([':', '.', ' ']));
        let mut letters = about.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string());
        found.push(Section {
            name: section.to_owned(),
            about: first.unwrap_or_default() + letters.as_str(),
            settings,
        });
    }
    found.append(&mut inner);
}

fn setting(section: &str, name: &str, property: &Value) -> Setting {
    let number = |key: &str| property.get(key).and_then(Value::as_f64);
    Setting {
        section: section.to_owned(),
        name: name.to_owned(),
        about: text(property, "description"),
        kind: kind(property).to_owned(),
        range: (number("minimum"), number("maximum")),
        default: property.get("default").filter(|value| !value.is_null()).cloned(),
    }
}

/// The JSON type, `null` aside.
pub(super) fn kind(property: &Value) -> &str {
    match property.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(several)) => {
            let mut named = several.iter().filter_map(Value::as_str);
            named.find(|kind| *kind != "null").unwrap_or("string")
        }
        _ => "string",
    }
}

fn text(schema: &Value, key: &str) -> String {
    prose(schema.get(key).and_then(Value::as_str).unwrap_or_default())
}

/// The default configuration as a commented file.
pub fn to_toml() -> String {
    let mut out = String::from(
        "# Every setting of footbridge-server with its default. Keep the lines that differ; whatever is left out is as here.\n",
    );
    for section in sections() {
        // Writing to a string does not fail, here and below.
        let _ = write!(out, "\n# {}\n[{}]\n", section.about, section.name);
        for setting in &section.settings {
            let _ = writeln!(out);
            for line in wrapped(&setting.about, 100) {
                let _ = writeln!(out, "# {line}");
            }
            if let Some(range) = setting.range_text() {
                let _ = writeln!(out, "# ({range})");
            }
            let _ = match setting.default_text() {
                Some(default) => writeln!(out, "{} = {default}", setting.name),
                None => writeln!(out, "# {} =", setting.name),
            };
        }
    }
    out
}

/// The reference as Markdown.
pub fn to_markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for section in sections() {
        let _ = write!(
            out,
            "\n## `[{}]`\n\n{}\n\n| Setting | Default | What it is |\n|---|---|---|\n",
            section.name, section.about
        );
        for setting in &section.settings {
            let default = setting
                .default_text()
                .map_or_else(|| "–".to_owned(), |text| format!("`{text}`"));
            let range = setting
                .range_text()
                .map_or_else(String::new, |range| format!(" ({range})"));
            let about = setting.about.replace('|', "\\|");
            let _ = writeln!(out, "| `{}` | {default} | {about}{range} |", setting.name);
        }
    }
    out
}

const INTRODUCTION: &str = "\
# Configuration of footbridge-server

<!-- Written from the comments in server/src/config.rs by `UPDATE_GOLDEN=1 cargo test -p footbridge-server config::`. -->

One TOML file, named by `--config FILE` or `FOOTBRIDGE_CONFIG`. Every setting has a default, and an empty file is a good
configuration. `footbridge-server check-config FILE` names everything that is wrong with one, and
`footbridge-server check-config --print-defaults` prints one to start from.

Each setting can also come from the environment, which wins over the file: `drain_ms` under `[edge]` is
`FOOTBRIDGE_EDGE__DRAIN_MS`, two underscores between section and name; a list is written with commas. Flags win over both.
Besides, `FOOTBRIDGE_DATA` is the data folder, `FOOTBRIDGE_STORE` the store, `FOOTBRIDGE_LISTEN` the address to listen on and
`FOOTBRIDGE_LOG` the log filter.
";

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = lines
            .last()
            .is_some_and(|line| line.is_empty() || line.len() + 1 + word.len() <= width);
        if !fits {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_setting_says_what_it_is() {
        let silent: Vec<_> = sections()
            .into_iter()
            .flat_map(|section| section.settings)
            .filter(|setting| setting.about.is_empty())
            .map(|setting| format!("{}.{}", setting.section, setting.name))
            .collect();
        assert!(silent.is_empty(), "without a comment in the source: {silent:?}");
    }

    #[test]
    fn the_printed_defaults_are_the_defaults() {
        let printed = Config::parse(&to_toml()).unwrap();
        assert_eq!(format!("{printed:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn the_reference_in_the_repository_is_the_one_made_from_the_source() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFIG.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, to_markdown()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            to_markdown(),
            "CONFIG.md is out of date: UPDATE_GOLDEN=1 cargo test -p footbridge-server config::"
        );
    }
}
