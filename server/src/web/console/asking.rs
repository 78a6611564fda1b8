//! What a page of a log is asked for: its address comes in, the filter, the links and the form's fields go out. The names
//! are those of the log's table ([`Asked::FILTERS`]); whatever else an address says asks for nothing.

use crate::{
    operate::{
        OperateError,
        logs::{self, Asked},
    },
    vocabulary::Timestamp,
};

/// The filters and the place that an address names.
pub(super) struct Asking {
    path: &'static str,
    pairs: Vec<(&'static str, String)>,
    /// The number of the row that the page begins before.
    pub(super) before: Option<i64>,
}

/// One field of the form.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: String,
    pub(super) value: String,
    pub(super) kind: &'static str,
    /// Value and text of each; empty: any text may be written.
    pub(super) options: Vec<(String, String)>,
}

impl Asking {
    /// Reads the query of a page at `path`.
    pub(super) fn read<R: Asked>(path: &'static str, query: Option<&str>) -> Self {
        let mut asking = Self {
            path,
            pairs: Vec::new(),
            before: None,
        };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if name == "before" {
                asking.before = value.parse().ok();
            } else if let Some(known) = R::FILTERS.iter().find(|known| known.name == name) {
                // Of two of one name the last counts: links are made of one.
                asking.pairs.retain(|(earlier, _)| *earlier != known.name);
                if !value.is_empty() {
                    asking.pairs.push((known.name, value.into_owned()));
                }
            }
        }
        asking
    }

    /// The filter, or what is wrong with it.
    pub(super) fn filter<R: Asked<Filter: Default>>(
        &self,
        now: Timestamp,
    ) -> Result<R::Filter, OperateError> {
        logs::filter::<R>(
            self.pairs.iter().map(|(name, value)| (*name, value.as_str())),
            now,
        )
    }

    /// Whether anything is asked for.
    pub(super) fn is_filtered(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// The same question from another place on.
    pub(super) fn link(&self, before: Option<i64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.pairs);
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        match query.finish().as_str() {
            "" => self.path.to_owned(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// The form's fields. `options` gives the values of those that are chosen from, and `None` for one that is not shown.
    pub(super) fn fields<R: Asked>(
        &self,
        options: impl Fn(&str) -> Option<Vec<(String, String)>>,
    ) -> Vec<Field> {
        let field = |filter: &logs::LogFilter<R::Filter>| {
            let options = options(filter.name)?;
            let given = self.pairs.iter().find(|(name, _)| *name == filter.name);
            let value = given.map(|(_, value)| value.clone()).unwrap_or_default();
            let is_date = matches!(filter.name, "from" | "to")
                && (value.is_empty() || (value.len() == 10 && Timestamp::parse(&value).is_some()));
            Some(Field {
                name: filter.name,
                label: label(filter.name),
                // A browser's date field would drop what is none.
                kind: if is_date { "date" } else { "text" },
                options,
                value,
            })
        };
        R::FILTERS.iter().filter_map(field).collect()
    }
}

fn label(name: &str) -> String {
    match name {
        "ip" => "Address".to_owned(),
        "to" => "Before".to_owned(),
        "status" => "Outcome".to_owned(),
        name => {
            let mut letters = name.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AuditRecord, ChangeRecord};

    fn calls(query: &str) -> Asking {
        Asking::read::<AuditRecord>("/console/calls", Some(query))
    }

    #[test]
    fn what_is_none_of_our_words_is_refused_or_asks_for_nothing() {
        let fits = |query: &str| calls(query).filter::<AuditRecord>(Timestamp(0)).is_ok();
        assert!(fits("") && fits("tool=search") && fits("colour=red&before=x") && fits("tool="));
        for query in [
            "tool=%27+OR+1%3D1+--",
            "status=everything",
            "key=a+b",
            "from=tomorrow",
        ] {
            assert!(!fits(query), "{query}");
        }
    }

    #[test]
    fn links_carry_the_filter_and_escape_it() {
        let asking = calls("tool=a%26b%3D%22%3C&before=9&tool=&tool=a%26b%3D%22%3C");
        assert_eq!(asking.before, Some(9));
        assert_eq!(
            asking.link(Some(7)),
            "/console/calls?tool=a%26b%3D%22%3C&before=7"
        );
        assert_eq!(calls("").link(None), "/console/calls");
    }

    #[test]
    fn a_date_field_is_one_as_long_as_it_holds_a_date() {
        let kind = |query: &str| {
            let fields = calls(query).fields::<AuditRecord>(|_| Some(Vec::new()));
            fields
                .into_iter()
                .find(|field| field.name == "from")
                .unwrap()
                .kind
        };
        assert_eq!(
            (kind(""), kind("from=2026-11-20"), kind("from=-7d")),
            ("date", "date", "text")
        );
        let changes = Asking::read::<ChangeRecord>("/console/audit", None);
        let labels = changes.fields::<ChangeRecord>(|_| Some(Vec::new()));
        let labels: Vec<_> = labels.iter().map(|field| field.label.as_str()).collect();
        assert_eq!(labels, ["Action", "User", "Kind", "Object", "From", "Before"]);
    }
}
