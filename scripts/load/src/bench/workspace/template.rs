//! Records of the demo, to be repeated: the same document and entries with other values.

use super::base::{Base, Entry, Row, Value};
use crate::wire::{Failure, with};
use serde_json::{Value as Json, json};

/// A record of the demo.
pub(super) struct Template {
    pub(super) doc: Json,
    pub(super) entries: Vec<Entry>,
}

/// The bytes of a text in the index.
pub(super) fn text_value(text: &str) -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

pub(super) fn number_value(number: i64) -> Vec<u8> {
    let mut bytes = vec![2];
    bytes.extend_from_slice(&(number.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    bytes
}

/// An id as the server makes them: a moment and a number, in Crockford's base 32.
pub(super) fn id(prefix: &str, at: i64, number: usize) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digits = |mut value: u128, length: usize| -> String {
        let mut out = vec![b'0'; length];
        for place in out.iter_mut().rev() {
            *place = DIGITS.get((value % 32) as usize).copied().unwrap_or(b'0');
            value /= 32;
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let moment = u128::try_from(at).unwrap_or(0);
    format!(
        "{prefix}_{}{}",
        digits(moment, 10),
        digits(number as u128 * 0x9E37_79B9_7F4A_7C15, 16)
    )
}

pub(super) fn templates(base: &mut Base, tenant: &str, kind: &str) -> Result<Vec<Template>, Failure> {
    let sql = "SELECT doc, fields FROM records WHERE tenant_id = $1 AND kind = $2 AND deleted_at IS NULL ORDER BY id";
    let values = [Value::Text(tenant.to_owned()), Value::Text(kind.to_owned())];
    let rows = base.rows(sql, &values)?;
    if rows.is_empty() {
        return Err(format!("the demo made no {kind}").into());
    }
    rows.iter()
        .map(|row| {
            let [doc, fields] = row.as_slice() else {
                return Err("a row of records has another form".into());
            };
            let fields: Vec<Json> = serde_json::from_str(fields)?;
            let entry = |field: &Json| {
                let digits = field.get("value")?.as_str()?;
                let value = (0..digits.len() / 2)
                    .map(|at| u8::from_str_radix(digits.get(at * 2..at * 2 + 2)?, 16).ok())
                    .collect::<Option<Vec<u8>>>()?;
                Some(Entry {
                    field: field.get("name")?.as_str()?.to_owned(),
                    value,
                    unique: field.get("unique").and_then(Json::as_bool).unwrap_or(false),
                })
            };
            let entries: Option<Vec<Entry>> = fields.iter().map(entry).collect();
            Ok(Template {
                doc: serde_json::from_str(doc)?,
                entries: entries.ok_or("an entry of a record has another form")?,
            })
        })
        .collect()
}

impl Entry {
    /// Becomes what it is where its record's field `name` has another value; tells whether it is that field itself. `S of F W` has
    /// the values of S of records whose F is the word W.
    fn follow(&mut self, name: &str, value: &[u8]) -> bool {
        if self.field == name {
            self.value = value.to_vec();
            return true;
        }
        if let Some((sorted, filtered)) = self.field.split_once(" of ") {
            if sorted == name {
                self.value = value.to_vec();
            }
            if filtered.split(' ').next() == Some(name) {
                let word = String::from_utf8_lossy(value.get(1..).unwrap_or_default());
                self.field = format!("{sorted} of {name} {word}");
            }
        }
        false
    }
}

impl Template {
    /// The same record with other values: those of the document, and those of the index, each of which must be there.
    pub(super) fn row(
        &self,
        id: String,
        at: i64,
        doc: &[(&str, Json)],
        entries: &[(&str, Vec<u8>)],
        words: Option<(String, String)>,
    ) -> Result<Row, Failure> {
        let mut document = self.doc.clone();
        for (name, value) in doc {
            let map = document.as_object_mut().ok_or("a document is no object")?;
            map.insert((*name).to_owned(), value.clone());
        }
        let mut all = self.entries.clone();
        let moments = [("created_at", number_value(at)), ("updated_at", number_value(at))];
        for (name, value) in entries.iter().chain(&moments) {
            let mut found = false;
            for entry in &mut all {
                found |= entry.follow(name, value);
            }
            if !found {
                return Err(
                    format!("records have no entry `{name}` any more: scripts/load must follow").into(),
                );
            }
        }
        all.sort();
        all.dedup();
        let fields: Vec<Json> = all
            .iter()
            .map(|entry| {
                let hex: String = entry.value.iter().map(|byte| format!("{byte:02x}")).collect();
                let field = json!({ "name": entry.field, "value": hex });
                if entry.unique {
                    return with(&field, "unique", true);
                }
                field
            })
            .collect();
        Ok(Row {
            id,
            doc: document.to_string(),
            fields: Json::from(fields).to_string(),
            entries: all,
            at,
            words,
        })
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.doc.get(name).and_then(Json::as_str).unwrap_or_default()
    }
}

impl Row {
    /// Adds a tag to those that its template has none of.
    pub(super) fn tag(&mut self, tag: &str) -> Result<(), Failure> {
        self.entries.push(Entry {
            field: "tag".to_owned(),
            value: text_value(tag),
            unique: false,
        });
        self.entries.sort();
        self.entries.dedup();
        let mut fields: Vec<Json> = serde_json::from_str(&self.fields)?;
        let hex: String = text_value(tag).iter().map(|byte| format!("{byte:02x}")).collect();
        fields.push(json!({ "name": "tag", "value": hex }));
        self.fields = Json::from(fields).to_string();
        Ok(())
    }
}

pub(super) fn pick(all: &[Template], n: usize) -> Result<&Template, Failure> {
    all.get(n % all.len().max(1))
        .ok_or_else(|| "there is no template".into())
}

/// A moment as documents have it.
pub(super) fn moment(at: i64) -> String {
    let (days, ms) = (at.div_euclid(86_400_000), at.rem_euclid(86_400_000));
    // Days since 1970 to a date: Howard Hinnant's `civil_from_days`.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let part = (5 * day_of_year + 2) / 153;
    let (day, month) = (
        day_of_year - (153 * part + 2) / 5 + 1,
        if part < 10 { part + 3 } else { part - 9 },
    );
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_documents_have_them() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_190_400_123, "2026-11-20T16:00:00.123Z"),
        ] {
            assert_eq!(moment(at), text);
        }
    }

    #[test]
    fn ids_sort_by_their_moments() {
        let (early, late) = (id("lead", 1_795_190_400_000, 9), id("lead", 1_795_190_400_001, 2));
        assert!(early < late && early.len() == late.len() && early.len() == "lead_".len() + 26);
    }
}
