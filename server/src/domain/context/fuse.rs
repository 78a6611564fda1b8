//! Makes one ranking of several: chunks ranked by full text and by likeness in, groups by entity out.
//!
//! Reciprocal rank fusion, because the lists' own scores cannot be compared: BM25 has no upper end and a
//! cosine has. A chunk's score is the sum over the lists of `weight / (60 + rank)`, rank from 1.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;

/// Ranks below the first few differ little: the constant of the method's authors, which nobody has bettered
/// by enough to care (catalogue.md §7.1).
const RANK_OFFSET: f64 = 60.0;
/// Chunks shown per entity: one long document must not fill the page.
pub const MAX_CHUNKS: usize = 3;
/// Rows reachable by paging (catalogue.md §2.11).
pub const MAX_OFFSET: usize = 10_000;

/// One list, best first.
#[derive(Debug, Clone, Copy)]
pub struct RankedList<'l, K> {
    /// How much it counts; 1.0 for each unless a setting says otherwise.
    pub weight: f64,
    /// Entity and chunk index. A chunk named twice counts once, at its better rank.
    pub hits: &'l [(K, u32)],
}

/// An entity with its best chunks.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<K> {
    /// The entity.
    pub entity: K,
    /// The score of its best chunk: three middling chunks do not beat one good one.
    pub score: f64,
    /// At most [`MAX_CHUNKS`] chunk indexes with their scores, best first.
    pub chunks: Vec<(u32, f64)>,
}

/// Fuses `lists`. Equal scores are ordered by entity and chunk index, so that pages never overlap.
#[must_use]
pub fn fuse<K: Ord + Hash + Clone>(lists: &[RankedList<'_, K>]) -> Vec<Group<K>> {
    let mut scores: HashMap<(&K, u32), Score> = HashMap::new();
    for (number, list) in lists.iter().enumerate() {
        let mut rank = RANK_OFFSET;
        for (entity, index) in list.hits {
            let score = scores.entry((entity, *index)).or_default();
            if score.counted_lists == number + 1 {
                continue;
            }
            score.counted_lists = number + 1;
            rank += 1.0;
            score.sum += list.weight / rank;
        }
    }
    let mut groups: HashMap<&K, Vec<(u32, f64)>> = HashMap::new();
    for ((entity, index), score) in scores {
        groups.entry(entity).or_default().push((index, score.sum));
    }
    let mut groups: Vec<Group<K>> = groups
        .into_iter()
        .map(|(entity, mut chunks)| {
            chunks.sort_unstable_by(|one, other| descending(one.1, other.1).then(one.0.cmp(&other.0)));
            chunks.truncate(MAX_CHUNKS);
            let score = chunks.first().map_or(0.0, |(_, score)| *score);
            Group {
                entity: entity.clone(),
                score,
                chunks,
            }
        })
        .collect();
    groups.sort_unstable_by(|one, other| {
        descending(one.score, other.score).then_with(|| one.entity.cmp(&other.entity))
    });
    groups
}

#[derive(Default)]
struct Score {
    sum: f64,
    /// One more than the number of the last list that named the chunk.
    counted_lists: usize,
}

fn descending(one: f64, other: f64) -> Ordering {
    other.total_cmp(&one)
}

/// Reads a cursor: the decimal offset of the first group wanted. `None` for anything else, or beyond
/// [`MAX_OFFSET`].
#[must_use]
pub fn parse_cursor(cursor: &str) -> Option<usize> {
    let offset: usize = cursor.parse().ok()?;
    (offset <= MAX_OFFSET && offset.to_string() == cursor).then_some(offset)
}

/// The page of `limit` groups from `offset`, and the cursor of the next one if there is more.
#[must_use]
pub fn page<K>(groups: Vec<Group<K>>, offset: usize, limit: usize) -> (Vec<Group<K>>, Option<String>) {
    let end = offset.saturating_add(limit);
    let next = (groups.len() > end && end <= MAX_OFFSET).then(|| end.to_string());
    (groups.into_iter().skip(offset).take(limit).collect(), next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list<'l>(hits: &'l [(&'static str, u32)]) -> RankedList<'l, &'static str> {
        RankedList { weight: 1.0, hits }
    }

    fn names(groups: &[Group<&'static str>]) -> String {
        groups
            .iter()
            .map(|group| group.entity)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn what_both_lists_know_comes_first() {
        let groups = fuse(&[list(&[("a", 0), ("b", 0), ("c", 0)]), list(&[("d", 0), ("c", 0)])]);
        assert_eq!(names(&groups), "c a d b");
        assert!((groups[0].score - (1.0 / 63.0 + 1.0 / 62.0)).abs() < 1e-12);
    }

    #[test]
    fn weights_weigh() {
        let (text, like) = ([("a", 0)], [("b", 0)]);
        let heavy = RankedList {
            weight: 2.0,
            hits: &like,
        };
        assert_eq!(names(&fuse(&[list(&text), heavy])), "b a");
    }

    #[test]
    fn three_chunks_an_entity_best_first_and_no_double_counting() {
        let groups = fuse(&[list(&[
            ("a", 7),
            ("a", 1),
            ("a", 7),
            ("a", 3),
            ("a", 2),
            ("b", 0),
        ])]);
        assert_eq!(names(&groups), "a b");
        let indexes: Vec<u32> = groups[0].chunks.iter().map(|(index, _)| *index).collect();
        assert_eq!(indexes, [7, 1, 3]);
        assert!((groups[0].score - 1.0 / 61.0).abs() < 1e-12);
        assert!(
            (groups[1].score - 1.0 / 65.0).abs() < 1e-12,
            "a repeated chunk takes no rank"
        );
    }

    #[test]
    fn cursors_are_decimal_offsets() {
        assert_eq!(parse_cursor("20"), Some(20));
        assert_eq!(parse_cursor("0"), Some(0));
        for bad in [
            "",
            "-1",
            "+1",
            "020",
            " 1",
            "1.0",
            "x",
            "10001",
            "99999999999999999999999",
        ] {
            assert_eq!(parse_cursor(bad), None, "{bad}");
        }
        let groups = || fuse(&[list(&[("a", 0), ("b", 0), ("c", 0)])]);
        let (first, next) = page(groups(), 0, 2);
        assert_eq!((names(&first).as_str(), next.as_deref()), ("a b", Some("2")));
        let (second, next) = page(groups(), 2, 2);
        assert_eq!((names(&second).as_str(), next), ("c", None));
        assert_eq!(page(groups(), 0, 3).1, None);
        assert_eq!(page(groups(), 50, 3).0.len(), 0);
    }

    proptest! {
        #[test]
        fn order_does_not_depend_on_chance(hits in proptest::collection::vec((0_u8..20, 0_u32..4), 0..60)) {
            let (one, two) = hits.split_at(hits.len() / 2);
            let lists = [RankedList { weight: 1.0, hits: one }, RankedList { weight: 1.0, hits: two }];
            let groups = fuse(&lists);
            prop_assert_eq!(&groups, &fuse(&lists));
            prop_assert!(groups.windows(2).all(|pair| pair[0].score >= pair[1].score));
            let distinct: std::collections::HashSet<_> = hits.iter().map(|(entity, _)| entity).collect();
            prop_assert_eq!(groups.len(), distinct.len());
        }
    }
}
