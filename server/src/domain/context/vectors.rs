//! A flat index of small vectors in memory: rows in, the nearest by cosine out.
//!
//! Brute force on purpose. Rows lie end to end, eight bits a dimension, so one core compares 100 000 rows of
//! 256 dimensions in the time a disk takes to answer once; a graph would be approximate, larger, and slow to
//! change. A row costs its dimensions in bytes and about 48 bytes more.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};

/// A vector of eight-bit numbers and what its length must be divided by: 127 is its largest component.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    values: Box<[i8]>,
    /// 1 / Euclidean length of `values`; 0 for the zero vector, which is like nothing.
    inverse_norm: f32,
}

impl Vector {
    /// Scales `values` to eight bits. Components that are not finite count as 0.
    #[must_use]
    pub fn quantized(values: &[f32]) -> Self {
        let finite = |value: &f32| if value.is_finite() { *value } else { 0.0 };
        let largest = values.iter().map(|value| finite(value).abs()).fold(0.0, f32::max);
        let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        // Within ±127 by the scale; the cast saturates anyway.
        #[allow(clippy::cast_possible_truncation)]
        Self::from_stored(
            values
                .iter()
                .map(|value| (finite(value) * scale).round() as i8)
                .collect(),
        )
    }

    /// A vector as [`Self::stored`] gave it.
    #[must_use]
    pub fn from_stored(values: Box<[i8]>) -> Self {
        let squares: f32 = values
            .iter()
            .map(|value| f32::from(*value) * f32::from(*value))
            .sum();
        let inverse_norm = if squares > 0.0 {
            squares.sqrt().recip()
        } else {
            0.0
        };
        Self { values, inverse_norm }
    }

    /// Its components, for the store.
    #[must_use]
    pub fn stored(&self) -> &[i8] {
        &self.values
    }

    /// Cosine of the angle to `other`, −1 to 1; 0 when lengths differ or one is zero.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        if self.values.len() != other.values.len() {
            return 0.0;
        }
        scaled(dot(&self.values, &other.widened())) * self.inverse_norm * other.inverse_norm
    }

    fn widened(&self) -> Vec<i16> {
        self.values.iter().copied().map(i16::from).collect()
    }
}

/// Exact up to 1 040 dimensions, beyond that within a ten-millionth.
#[allow(clippy::cast_precision_loss)]
fn scaled(dot: i32) -> f32 {
    dot as f32
}

/// Components multiplied in one go.
const LANES: usize = 32;

/// The question comes widened, and rows are widened 32 at a time, because that is the shape the compiler turns
/// into multiply-and-add of whole registers: twice as fast here as the plain loop, on the oldest x86-64 too.
fn dot(row: &[i8], question: &[i16]) -> i32 {
    let (row_parts, row_rest) = row.as_chunks::<LANES>();
    let (question_parts, question_rest) = question.as_chunks::<LANES>();
    let product = |(one, other): (&i16, &i16)| i32::from(*one) * i32::from(*other);
    let parts = row_parts.iter().zip(question_parts).map(|(row, question)| {
        // Not `row.map`: where crates are not optimised as one, that is a call of a function, and nothing of this is
        // done in whole registers.
        let mut wide = [0_i16; LANES];
        for (to, from) in wide.iter_mut().zip(row) {
            *to = i16::from(*from);
        }
        wide.iter().zip(question).map(product).sum::<i32>()
    });
    let rest = row_rest
        .iter()
        .zip(question_rest)
        .map(|(one, other)| product((&i16::from(*one), other)));
    parts.sum::<i32>() + rest.sum::<i32>()
}

/// Rows under caller-chosen ids.
#[derive(Debug)]
pub struct VectorIndex {
    dimensions: usize,
    rows: Vec<i8>,
    inverse_norms: Vec<f32>,
    ids: Vec<u64>,
    positions: HashMap<u64, usize>,
}

/// A row found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Cosine to the question, higher is nearer.
    pub cosine: f32,
    /// The row's id.
    pub id: u64,
}

impl Eq for Near {}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Near {
    /// Better is greater; of equal ones, the smaller id.
    fn cmp(&self, other: &Self) -> Ordering {
        self.cosine.total_cmp(&other.cosine).then(other.id.cmp(&self.id))
    }
}

impl VectorIndex {
    /// An empty index of vectors of `dimensions` components, at least one.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self {
            dimensions: dimensions.max(1),
            rows: Vec::new(),
            inverse_norms: Vec::new(),
            ids: Vec::new(),
            positions: HashMap::new(),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Sets row `id`. Says `false`, and changes nothing, when `vector` has another number of dimensions.
    pub fn insert(&mut self, id: u64, vector: &Vector) -> bool {
        if vector.values.len() != self.dimensions {
            return false;
        }
        self.remove(id);
        self.positions.insert(id, self.ids.len());
        self.ids.push(id);
        self.rows.extend_from_slice(&vector.values);
        self.inverse_norms.push(vector.inverse_norm);
        true
    }

    /// Removes row `id`; the last row takes its place. Says whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(position) = self.positions.remove(&id) else {
            return false;
        };
        self.ids.swap_remove(position);
        self.inverse_norms.swap_remove(position);
        let last = self.rows.len() - self.dimensions;
        let start = position * self.dimensions;
        self.rows.copy_within(last.., start);
        self.rows.truncate(last);
        if let Some(moved) = self.ids.get(position) {
            self.positions.insert(*moved, position);
        }
        true
    }

    /// The `count` rows nearest to `question` with a cosine of at least `least`, best first.
    #[must_use]
    pub fn nearest(&self, question: &Vector, count: usize, least: f32) -> Vec<Near> {
        if question.values.len() != self.dimensions || count == 0 {
            return Vec::new();
        }
        let mut best: BinaryHeap<Reverse<Near>> = BinaryHeap::with_capacity(count + 1);
        let mut floor = least;
        let widened = question.widened();
        let rows = self
            .rows
            .chunks_exact(self.dimensions)
            .zip(&self.inverse_norms)
            .zip(&self.ids);
        for ((row, inverse_norm), id) in rows {
            let cosine = scaled(dot(row, &widened)) * inverse_norm * question.inverse_norm;
            if cosine < floor {
                continue;
            }
            best.push(Reverse(Near { cosine, id: *id }));
            if best.len() > count {
                best.pop();
                floor = best.peek().map_or(least, |Reverse(worst)| worst.cosine);
            }
        }
        let mut found: Vec<Near> = best.into_iter().map(|Reverse(near)| near).collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nearest_first_and_none_below_the_least() {
        let mut index = VectorIndex::new(2);
        for (id, values) in [
            (1, [1.0, 0.0]),
            (2, [1.0, 1.0]),
            (3, [0.0, 1.0]),
            (4, [-1.0, 0.0]),
            (5, [0.0, 0.0]),
        ] {
            assert!(index.insert(id, &Vector::quantized(&values)));
        }
        let found = index.nearest(&Vector::quantized(&[2.0, 0.1]), 10, 0.0);
        assert_eq!(found.iter().map(|near| near.id).collect::<Vec<_>>(), [1, 2, 3, 5]);
        assert!((found[1].cosine - 0.74).abs() < 0.01);
        assert_eq!(index.nearest(&Vector::quantized(&[2.0, 0.1]), 1, 0.0).len(), 1);
        assert!(
            index.nearest(&Vector::quantized(&[1.0]), 1, 0.0).is_empty(),
            "other dimensions"
        );
        assert!(!index.insert(9, &Vector::quantized(&[1.0])));
    }

    #[test]
    fn odd_numbers_are_survived() {
        let odd = Vector::quantized(&[f32::NAN, f32::INFINITY, -3.0]);
        assert_eq!(odd.stored(), [0, 0, -127]);
        assert_eq!(Vector::quantized(&[0.0; 3]).cosine(&odd), 0.0);
        let lowest = Vector::from_stored(Box::new([i8::MIN; 4096]));
        assert!((lowest.cosine(&lowest) - 1.0).abs() < 1e-3);
    }

    proptest! {
        /// Against the plainest implementation, through any order of inserts, replacements and removals.
        #[test]
        fn agrees_with_a_plain_scan(
            steps in proptest::collection::vec((0_u64..8, proptest::option::weighted(0.8, proptest::array::uniform5(-1.0_f32..1.0))), 0..40),
            question in proptest::array::uniform5(-1.0_f32..1.0),
            count in 0_usize..10,
        ) {
            let mut index = VectorIndex::new(5);
            let mut plain = std::collections::BTreeMap::new();
            for (id, values) in steps {
                match values {
                    Some(values) => {
                        let vector = Vector::quantized(&values);
                        prop_assert!(index.insert(id, &vector));
                        plain.insert(id, vector);
                    }
                    None => prop_assert_eq!(index.remove(id), plain.remove(&id).is_some()),
                }
            }
            let question = Vector::quantized(&question);
            let mut expected: Vec<Near> = plain
                .iter()
                .map(|(id, vector)| Near { cosine: vector.cosine(&question), id: *id })
                .filter(|near| near.cosine >= 0.0)
                .collect();
            expected.sort_unstable_by(|one, other| other.cmp(one));
            expected.truncate(count);
            prop_assert_eq!(index.len(), plain.len());
            let found: Vec<u64> = index.nearest(&question, count, 0.0).iter().map(|near| near.id).collect();
            prop_assert_eq!(found, expected.iter().map(|near| near.id).collect::<Vec<_>>());
        }
    }
}
