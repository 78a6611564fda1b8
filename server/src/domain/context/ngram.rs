//! Words as small vectors of their letters: `recieve` lies near `receive`, `meetings` near `meeting`, in any
//! language and without a model.
//!
//! A word is padded to `^word$` and cut into pairs and triples of letters, and its letters are counted too,
//! which is what survives a swap of two. Each feature is hashed to one of [`DIMENSIONS`] with a sign of its
//! own, so that collisions cancel instead of adding up. Vectors are made of *words*, not of chunks: a chunk of
//! three hundred words spreads so many features over any affordable number of dimensions that one misspelt
//! word drowns in noise (with 256 dimensions the noise is larger than the signal), while between two words
//! the noise is a sixteenth. The words found near then go to the full-text index.

use super::vectors::Vector;

/// Dimensions of a word's vector.
pub const DIMENSIONS: usize = 128;

/// What a pair, a triple and a single letter count. Triples tell words apart; single letters hold
/// a word with two letters swapped together.
const WEIGHTS: [f32; 3] = [0.5, 1.0, 1.0];

/// The vector of one folded word.
#[must_use]
pub fn word_vector(word: &str) -> Vector {
    let mut sums = [0.0_f32; DIMENSIONS];
    each_feature(word, |hash, weight| {
        let dimension = usize::try_from(hash % DIMENSIONS as u64).unwrap_or_default();
        if let Some(sum) = sums.get_mut(dimension) {
            *sum += if hash >> 63 == 0 { weight } else { -weight };
        }
    });
    Vector::quantized(&sums)
}

/// How alike two folded words are, from 0 to 1, without the hash's noise: the cosine of their exact features.
#[must_use]
pub fn likeness(one: &str, other: &str) -> f32 {
    let (one, other) = (features(one), features(other));
    let (mut at_one, mut at_other, mut shared) = (0, 0, 0.0);
    while let (Some((left, weight)), Some((right, weight_right))) = (one.get(at_one), other.get(at_other)) {
        match left.cmp(right) {
            std::cmp::Ordering::Less => at_one += 1,
            std::cmp::Ordering::Greater => at_other += 1,
            std::cmp::Ordering::Equal => {
                shared += weight * weight_right;
                at_one += 1;
                at_other += 1;
            }
        }
    }
    let norm = |features: &[(u64, f32)]| features.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
    let norms = norm(&one) * norm(&other);
    if norms > 0.0 { (shared / norms).min(1.0) } else { 0.0 }
}

/// Features with their summed weights, ordered by hash.
fn features(word: &str) -> Vec<(u64, f32)> {
    let mut all: Vec<(u64, f32)> = Vec::with_capacity(word.len() * 3);
    each_feature(word, |hash, weight| all.push((hash, weight)));
    all.sort_unstable_by_key(|(hash, _)| *hash);
    all.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    all
}

fn each_feature(word: &str, mut each: impl FnMut(u64, f32)) {
    let mut window = [' ', ' ', '^'];
    for (at, c) in word.chars().chain(std::iter::once('$')).enumerate() {
        window = [window[1], window[2], c];
        if c != '$' {
            each(hash(&[c]), WEIGHTS[0]);
        }
        each(hash(&window[1..]), WEIGHTS[1]);
        if at > 0 {
            each(hash(&window), WEIGHTS[2]);
        }
    }
}

/// FNV-1a over the letters with a final mix, since both ends of the result are used. Stored vectors
/// depend on it.
fn hash(letters: &[char]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64 ^ letters.len() as u64;
    for letter in letters {
        hash = (hash ^ u64::from(u32::from(*letter))).wrapping_mul(0x0000_0100_0000_01B3);
    }
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    hash ^ (hash >> 32)
}
