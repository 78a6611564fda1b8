//! What a page of a long list is asked for: its address comes in, the filter, the links and the form's fields go out. The
//! names are those that the list knows, of a log those of its table ([`Asked::FILTERS`]); whatever else an address says
//! asks for nothing.

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
    /// What the place is called in an address.
    turn: &'static str,
    /// Where the page begins, as an earlier page's link said it.
    pub(super) place: Option<String>,
}

/// One field of the form.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: String,
    pub(super) value: String,
    pub(super) kind: &'static str,
    /// Value and text of each; empty: any text may be written.
    pub(super) options: Vec<(String, String)>,
    /// What a choice of none of them is called.
    pub(super) any: &'static str,
}

impl Asking {
    /// Reads the query of a page at `path` whose filters have these names.
    pub(super) fn of(
        path: &'static str,
        query: Option<&str>,
        names: &(impl Iterator<Item = &'static str> + Clone),
        turn: &'static str,
    ) -> Self {
        let mut asking = Self {
            path,
            pairs: Vec::new(),
            turn,
            place: None,
        };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if name == turn {
                asking.place = Some(value.into_owned()).filter(|place| !place.is_empty());
            } else if let Some(known) = names.clone().find(|known| *known == name) {
                // Of two of one name the last counts: links are made of one.
                asking.pairs.retain(|(earlier, _)| *earlier != known);
                if !value.trim().is_empty() {
                    asking.pairs.push((known, value.into_owned()));
                }
            }
        }
        asking
    }

    /// Reads the query of a page of a log at `path`.
    pub(super) fn read<R: Asked>(path: &'static str, query: Option<&str>) -> Self {
        Self::of(path, query, &R::FILTERS.iter().map(|known| known.name), "before")
    }

    /// The number of the row of a log that the page begins before.
    pub(super) fn before(&self) -> Option<i64> {
        self.place.as_ref()?.parse().ok()
    }

    /// What is asked for under a name; empty: nothing.
    pub(super) fn get(&self, name: &str) -> &str {
        let given = self.pairs.iter().find(|(known, _)| *known == name);
        given.map_or("", |(_, value)| value.as_str())
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
    pub(super) fn link(&self, place: Option<&dyn std::fmt::Display>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.pairs);
        if let Some(place) = place {
            query.append_pair(self.turn, &place.to_string());
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
            let value = self.get(filter.name).to_owned();
            let is_date = matches!(filter.name, "from" | "to")
                && (value.is_empty() || (value.len() == 10 && Timestamp::parse(&value).is_some()));
            Some(Field {
                name: filter.name,
                label: label(filter.name),
                // A browser's date field would drop what is none.
                kind: if is_date { "date" } else { "text" },
                options,
                value,
                any: "any",
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
        assert_eq!(asking.before(), Some(9));
        assert_eq!(
            asking.link(Some(&7)),
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
