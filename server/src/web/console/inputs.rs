//! The fields of a record in a form: declared in a table, shown with what the record holds, and read back as arguments of a
//! tool. What a tenant added to its records stands behind the rest.

use serde_json::{Map, Value};

use super::{
    Fields,
    teammate::Team,
    text::{shown, spaced},
};
use crate::domain::workspace::{FieldType, OwnField};

/// What the names of a tenant's own fields begin with in a form.
const OWN: &str = "custom.";

/// What somebody fills in.
#[derive(Clone, Copy)]
pub(super) enum Input {
    Text,
    /// Several lines.
    Long,
    /// A whole number up to this.
    Whole(u32),
    /// An amount, which the tool takes in cents.
    Money,
    /// A date.
    Day,
    /// Several words or names, with commas between them.
    Words,
    OneOf(&'static [&'static str]),
    Person,
    PersonOrNobody,
}

/// In which forms a field stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    New,
    Change,
}

/// One field of a kind of record.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// The tool's argument, and the record's field.
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) input: Input,
    hint: &'static str,
    initial: &'static str,
    is_needed: bool,
    when: When,
}

impl Entry {
    pub(super) const fn new(name: &'static str, label: &'static str, input: Input) -> Self {
        Self {
            name,
            label,
            input,
            hint: "",
            initial: "",
            is_needed: false,
            when: When::Always,
        }
    }

    /// It cannot be left empty.
    pub(super) const fn needed(self) -> Self {
        Self {
            is_needed: true,
            ..self
        }
    }

    /// What is said below it.
    pub(super) const fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// What a new record has unless somebody says otherwise.
    pub(super) const fn at_first(self, initial: &'static str) -> Self {
        Self { initial, ..self }
    }

    /// It is asked for when the record is made, and not afterwards.
    pub(super) const fn when_new(self) -> Self {
        Self {
            when: When::New,
            ..self
        }
    }

    /// It changes, and a new record has the tool's own.
    pub(super) const fn when_changed(self) -> Self {
        Self {
            when: When::Change,
            ..self
        }
    }

    /// Whether a page of the record has it.
    pub(super) fn is_kept(&self) -> bool {
        self.when != When::New
    }
}

/// One field of a form, as its page shows it.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) value: String,
    pub(super) hint: &'static str,
    pub(super) is_needed: bool,
    /// As browsers call it; `long` has several lines.
    pub(super) kind: &'static str,
    /// Steps of a number, as browsers ask for them; `any`: it may be below nought, too.
    pub(super) step: &'static str,
    /// Largest number; empty: any.
    pub(super) most: String,
    /// Value and text of each; empty: anything may be written.
    pub(super) options: Vec<(String, String)>,
}

/// A record whose fields are in a form. `None`: a new one.
pub(super) type Shown<'r> = Option<&'r Map<String, Value>>;

fn used(entries: &'static [Entry], record: Shown<'_>) -> impl Iterator<Item = &'static Entry> {
    let other = if record.is_some() { When::New } else { When::Change };
    entries.iter().filter(move |entry| entry.when != other)
}

/// The fields of a form about `record`.
pub(super) fn fields(
    entries: &'static [Entry],
    own: &[OwnField],
    record: Shown<'_>,
    team: &Team,
) -> Vec<Field> {
    let ours = used(entries, record).map(|entry| {
        let value = held(entry, record);
        Field {
            name: entry.name.to_owned(),
            label: entry.label.to_owned(),
            options: options(entry.input, record, &value, team),
            value: match record {
                Some(_) => value,
                None => entry.initial.to_owned(),
            },
            hint: entry.hint,
            is_needed: entry.is_needed,
            kind: match entry.input {
                Input::Long => "long",
                Input::Whole(_) | Input::Money => "number",
                Input::Day => "date",
                _ => "text",
            },
            step: match entry.input {
                Input::Money => "0.01",
                _ => "1",
            },
            most: match entry.input {
                Input::Whole(most) => most.to_string(),
                _ => String::new(),
            },
        }
    });
    let theirs = all_own(own, record).into_iter().map(|(name, wanted)| {
        let value = own_value(record, &name).map(shown).unwrap_or_default();
        Field {
            label: spaced(&name),
            options: own_options(&wanted, &value),
            value,
            hint: "",
            is_needed: false,
            kind: match wanted {
                FieldType::Number => "number",
                FieldType::Date => "date",
                _ => "text",
            },
            step: "any",
            most: String::new(),
            name: format!("{OWN}{name}"),
        }
    });
    ours.chain(theirs).collect()
}

/// The same fields with what was sent in them.
pub(super) fn again(mut fields: Vec<Field>, sent: &Fields) -> Vec<Field> {
    for field in &mut fields {
        if let Some(value) = sent.find(&field.name) {
            value.clone_into(&mut field.value);
        }
    }
    fields
}

/// What a form says, as a tool's arguments: of a record that is there, whatever differs from it.
pub(super) fn arguments(
    entries: &'static [Entry],
    own: &[OwnField],
    record: Shown<'_>,
    sent: &Fields,
) -> Map<String, Value> {
    let given = |name: &str| sent.find(name).map(|text| text.trim().replace("\r\n", "\n"));
    let mut arguments = Map::new();
    for entry in used(entries, record) {
        if let Some(text) = given(entry.name)
            && text != held(entry, record)
        {
            arguments.insert(entry.name.to_owned(), read(entry.input, &text));
        }
    }
    let mut custom = Map::new();
    for (name, wanted) in all_own(own, record) {
        let was = own_value(record, &name).map(shown).unwrap_or_default();
        if let Some(text) = given(&format!("{OWN}{name}"))
            && text != was
        {
            custom.insert(name, read_own(&wanted, &text));
        }
    }
    if !custom.is_empty() {
        arguments.insert("custom".to_owned(), Value::Object(custom));
    }
    arguments
}

/// A field of a record as its form has it.
fn held(entry: &Entry, record: Shown<'_>) -> String {
    let value = record.and_then(|record| record.get(entry.name));
    match (entry.input, value) {
        (_, None) => String::new(),
        (Input::Money, Some(value)) => money(value),
        // A moment is shown by its day.
        (Input::Day, Some(Value::String(moment))) => moment.chars().take_while(|c| *c != 'T').collect(),
        (_, Some(value)) => shown(value),
    }
}

/// Cents as people write an amount.
pub(super) fn money(cents: &Value) -> String {
    match cents.as_u64() {
        Some(cents) => format!("{}.{:02}", cents / 100, cents % 100),
        None => shown(cents),
    }
}

/// An amount as people write it, in cents.
fn cents(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once(['.', ',']).unwrap_or((text, ""));
    if part.len() > 2 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part = format!("{part:0<2}").parse::<u64>().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part)
}

/// What stands in a field as the tool takes it. What is no number goes as it is: the tool says what it takes.
fn read(input: Input, text: &str) -> Value {
    match input {
        Input::Whole(_) => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
        Input::Money => cents(text).map_or_else(|| text.into(), Value::from),
        Input::Words => {
            let words = text.split(',').map(str::trim);
            words.filter(|word| !word.is_empty()).collect()
        }
        _ => text.into(),
    }
}

fn options(input: Input, record: Shown<'_>, value: &str, team: &Team) -> Vec<(String, String)> {
    let pair = |value: &str, text: &str| (value.to_owned(), text.to_owned());
    match input {
        Input::OneOf(words) => words.iter().map(|word| pair(word, &spaced(word))).collect(),
        Input::Person | Input::PersonOrNobody => {
            let mut choices = team.choices();
            if let Input::PersonOrNobody = input {
                choices.insert(0, pair("", "nobody"));
            }
            match record {
                None => choices.insert(0, pair("me", "me")),
                // Whoever left, or nobody, stays until somebody else is chosen.
                Some(_) if !choices.iter().any(|(id, _)| id == value) => {
                    choices.insert(0, (value.to_owned(), team.name(Some(value))));
                }
                Some(_) => {}
            }
            choices
        }
        _ => Vec::new(),
    }
}

fn own_value<'r>(record: Shown<'r>, name: &str) -> Option<&'r Value> {
    record?.get("custom")?.get(name)
}

/// The tenant's own fields of a record: those declared, and those that it holds without.
fn all_own(own: &[OwnField], record: Shown<'_>) -> Vec<(String, FieldType)> {
    let mut all: Vec<_> = own
        .iter()
        .map(|field| (field.name.clone(), field.wanted.clone()))
        .collect();
    if let Some(Value::Object(held)) = record.and_then(|record| record.get("custom")) {
        for (name, value) in held {
            if !own.iter().any(|field| field.name == *name) {
                let wanted = match value {
                    Value::Number(_) => FieldType::Number,
                    Value::Bool(_) => FieldType::Boolean,
                    _ => FieldType::Text,
                };
                all.push((name.clone(), wanted));
            }
        }
    }
    all
}

fn own_options(wanted: &FieldType, value: &str) -> Vec<(String, String)> {
    let words = match wanted {
        FieldType::Boolean => vec!["yes".to_owned(), "no".to_owned()],
        FieldType::Choice { choices } => choices.clone(),
        FieldType::Text | FieldType::Number | FieldType::Date => return Vec::new(),
    };
    let mut options = vec![(String::new(), "none".to_owned())];
    // A word that is no choice any more stays until another is chosen.
    if !value.is_empty() && !words.iter().any(|word| word == value) {
        options.push((value.to_owned(), value.to_owned()));
    }
    options.extend(words.into_iter().map(|word| (word.clone(), word)));
    options
}

/// What stands in a field of the tenant's own; nothing takes its value away.
fn read_own(wanted: &FieldType, text: &str) -> Value {
    match (wanted, text) {
        (_, "") => Value::Null,
        (FieldType::Boolean, "yes") => true.into(),
        (FieldType::Boolean, "no") => false.into(),
        (FieldType::Number, text) => {
            // `1e999` is no number that JSON has; the tool says what it takes.
            let number = serde_json::from_str::<serde_json::Number>(text);
            number.map_or_else(|_| text.into(), Value::Number)
        }
        (_, text) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static ENTRIES: [Entry; 5] = [
        Entry::new("name", "Name", Input::Text).needed(),
        Entry::new("amount_cents", "Amount", Input::Money),
        Entry::new("tags", "Tags", Input::Words),
        Entry::new("note", "Note", Input::Long).when_new(),
        Entry::new("status", "State", Input::OneOf(&["new", "won"])).when_changed(),
    ];

    fn own() -> Vec<OwnField> {
        let field = |name: &str, wanted| OwnField {
            kind: "lead".to_owned(),
            name: name.to_owned(),
            wanted,
        };
        let choices = vec!["gold".to_owned(), "silver".to_owned()];
        vec![
            field("tier", FieldType::Choice { choices }),
            field("seats", FieldType::Number),
            field("paid", FieldType::Boolean),
        ]
    }

    fn sent(pairs: &[(&str, &str)]) -> Fields {
        let mut text = form_urlencoded::Serializer::new(String::new());
        Fields::read(text.extend_pairs(pairs).finish().as_bytes())
    }

    #[test]
    fn a_new_record_is_what_was_filled_in() {
        let form = sent(&[
            ("name", " Ada "),
            ("amount_cents", "1200.5"),
            ("tags", "fair, , big"),
            ("note", "One\r\ntwo"),
            ("status", "won"),
            ("custom.tier", "gold"),
            ("custom.seats", "7"),
            ("custom.paid", ""),
            ("custom.unknown", "x"),
        ]);
        assert_eq!(
            Value::Object(arguments(&ENTRIES, &own(), None, &form)),
            json!({
                "name": "Ada", "amount_cents": 120_050, "tags": ["fair", "big"], "note": "One\ntwo",
                "custom": { "tier": "gold", "seats": 7 },
            })
        );
    }

    #[test]
    fn a_change_is_what_differs_and_what_is_not_in_the_form_stays() {
        let record = json!({
            "name": "Ada", "amount_cents": 5, "tags": ["fair"], "status": "new",
            "custom": { "tier": "bronze", "seats": 7, "paid": true, "old": "x" },
        });
        let record = record.as_object();
        let same = sent(&[
            ("name", "Ada"),
            ("amount_cents", "0.05"),
            ("tags", "fair"),
            ("custom.tier", "bronze"),
            ("custom.paid", "yes"),
            ("custom.old", "x"),
        ]);
        assert_eq!(arguments(&ENTRIES, &own(), record, &same), Map::new());
        let other = sent(&[
            ("amount_cents", "much"),
            ("tags", ""),
            ("note", "never"),
            ("custom.seats", "1.5"),
            ("custom.paid", "no"),
            ("custom.old", ""),
        ]);
        assert_eq!(
            Value::Object(arguments(&ENTRIES, &own(), record, &other)),
            json!({
                "amount_cents": "much", "tags": [],
                "custom": { "seats": 1.5, "paid": false, "old": null },
            })
        );
    }

    #[test]
    fn amounts_are_cents_or_nothing() {
        for (text, is) in [
            ("12", Some(1200)),
            ("0.5", Some(50)),
            ("0,05", Some(5)),
            ("1.234", None),
            ("-1", None),
            ("1.+5", None),
            ("", None),
            ("99999999999999999999", None),
            ("999999999999999999", None),
        ] {
            assert_eq!(cents(text), is, "{text}");
        }
    }
}
