//! Tables for people, JSON for machines.
//!
//! In: samples of both sides, round by round. Out: medians, their ratio, and whether the target is reached. A median hides
//! the rounds, so the JSON keeps every one of them.

use crate::stats::median;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a figure is to reach.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Nothing: printed to be known.
    None,
    /// At most this value.
    AtMost(f64),
    /// At most this value, and where it comes from.
    AtMostBecause(f64, String),
    /// At most this many times the other side.
    RatioAtMost(f64),
    /// At least this many times the other side.
    RatioAtLeast(f64),
}

/// One line of a table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was measured, with its unit.
    pub(crate) figure: String,
    /// Ours, a value per round.
    pub(crate) ours: Vec<f64>,
    /// The other side's, a value per round; empty where there is none.
    pub(crate) base: Vec<f64>,
    /// What it is to reach.
    pub(crate) target: Target,
    /// Other candidates of the same run.
    pub(crate) peers: BTreeMap<String, Vec<f64>>,
}

impl Row {
    /// A row with both sides.
    pub(crate) fn new(figure: impl Into<String>, ours: Vec<f64>, base: Vec<f64>, target: Target) -> Self {
        Self {
            figure: figure.into(),
            ours,
            base,
            target,
            peers: BTreeMap::new(),
        }
    }

    fn ratio(&self) -> Option<f64> {
        Some(median(&self.ours)? / median(&self.base).filter(|&base| base > 0.0)?)
    }

    fn reached(&self) -> Option<bool> {
        match self.target {
            Target::None => None,
            Target::AtMost(most) | Target::AtMostBecause(most, _) => {
                median(&self.ours).map(|ours| ours <= most)
            }
            Target::RatioAtMost(most) => self.ratio().map(|ratio| ratio <= most),
            Target::RatioAtLeast(least) => self.ratio().map(|ratio| ratio >= least),
        }
    }

    fn target_text(&self) -> String {
        match &self.target {
            Target::None => String::new(),
            Target::AtMost(most) => format!("≤ {}", short(*most)),
            Target::AtMostBecause(most, why) => format!("≤ {} ({why})", short(*most)),
            Target::RatioAtMost(most) => format!("≤ {most}x"),
            Target::RatioAtLeast(least) => format!("≥ {least}x"),
        }
    }

    fn json(&self) -> Value {
        json!({
            "figure": self.figure,
            "ours": median(&self.ours),
            "base": median(&self.base),
            "ratio": self.ratio(),
            "target": self.target_text(),
            "reached": self.reached(),
            "ours_rounds": self.ours,
            "base_rounds": self.base,
            "peers": self.peers.iter().map(|(name, values)| (name.clone(), json!(median(values)))).collect::<BTreeMap<_, _>>(),
        })
    }
}

/// One table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    /// Its heading.
    pub(crate) title: String,
    /// What the first column is called.
    pub(crate) own_name: String,
    /// What the second column is called.
    pub(crate) base_name: String,
    /// Its lines.
    pub(crate) rows: Vec<Row>,
    /// What has to be known to read it.
    pub(crate) notes: Vec<String>,
    /// What was not measured, and why.
    pub(crate) not_measured: Vec<String>,
    /// What went wrong; anything here fails the run.
    pub(crate) failed: Vec<String>,
}

impl Section {
    /// An empty table.
    pub(crate) fn new(title: &str, base_name: &str) -> Self {
        Self::of(title, "ours", base_name)
    }

    /// An empty table whose first column is not always ours.
    pub(crate) fn of(title: &str, own_name: &str, base_name: &str) -> Self {
        Self {
            title: title.to_owned(),
            own_name: own_name.to_owned(),
            base_name: base_name.to_owned(),
            ..Self::default()
        }
    }

    /// Notes a failure, once.
    pub(crate) fn fail(&mut self, said: String) {
        if !self.failed.contains(&said) {
            self.failed.push(said);
        }
    }

    /// The table as text.
    pub(crate) fn table(&self) -> String {
        let mut peers: Vec<&String> = self.rows.iter().flat_map(|row| row.peers.keys()).collect();
        peers.sort();
        peers.dedup();
        let mut lines = vec![vec![
            "figure".to_owned(),
            self.own_name.clone(),
            self.base_name.clone(),
            "ratio".to_owned(),
        ]];
        if let Some(head) = lines.first_mut() {
            head.extend(["target".to_owned(), "reached".to_owned()]);
            head.extend(peers.iter().map(|name| (*name).clone()));
        }
        let value = |values: &[f64]| median(values).map_or_else(|| "–".to_owned(), short);
        for row in &self.rows {
            let mut line = vec![
                row.figure.clone(),
                value(&row.ours),
                value(&row.base),
                row.ratio()
                    .map_or_else(String::new, |ratio| format!("{ratio:.2}")),
                row.target_text(),
                row.reached()
                    .map_or("", |reached| if reached { "yes" } else { "no" })
                    .to_owned(),
            ];
            line.extend(
                peers
                    .iter()
                    .map(|name| row.peers.get(*name).map_or_else(|| "–".to_owned(), |v| value(v))),
            );
            lines.push(line);
        }
        let columns = lines.first().map_or(0, Vec::len);
        let width = |column: usize| {
            lines
                .iter()
                .filter_map(|l| l.get(column))
                .map(|c| c.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = format!("\n{}\n", self.title);
        for (number, line) in lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let gap = " ".repeat(width - cell.chars().count());
                // Words to the left, numbers to the right.
                let words = matches!(column, 0 | 4 | 5);
                text += &if words {
                    format!("{cell}{gap}  ")
                } else {
                    format!("{gap}{cell}  ")
                };
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
            if number == 0 {
                text += &format!(
                    "{}\n",
                    "-".repeat(widths.iter().sum::<usize>() + 2 * (columns - 1))
                );
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        text
    }

    /// The table for machines.
    pub(crate) fn json(&self) -> Value {
        json!({
            "title": self.title,
            "base": self.base_name,
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "notes": self.notes,
            "not_measured": self.not_measured,
            "failed": self.failed,
        })
    }
}

/// Three figures that carry meaning, whole numbers from a hundred on.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_one_of_medians_and_decides_the_verdict() {
        let row = Row::new(
            "CPU",
            vec![10.0, 11.0, 90.0],
            vec![5.0, 5.5, 6.0],
            Target::RatioAtMost(2.0),
        );
        assert_eq!(row.ratio(), Some(2.0));
        assert_eq!(row.reached(), Some(true));
        let row = Row {
            target: Target::RatioAtMost(1.9),
            ..row
        };
        assert_eq!(row.reached(), Some(false));
    }

    #[test]
    fn without_a_second_side_there_is_no_ratio_and_no_claim() {
        let row = Row::new("x", vec![1.0], Vec::new(), Target::RatioAtMost(2.0));
        assert_eq!((row.ratio(), row.reached()), (None, None));
        let mut section = Section::new("Title", "floor");
        section.rows.push(row);
        assert!(section.table().contains("–"));
    }
}
