//! Words as small vectors of their letters: `recieve` lies near `receive`, `meetings` near `meeting`, in any
//! language and without a model.
//!
//! A word is padded to `^word$` and cut into pairs and triples of letters, and its letters are counted too,
//! which is what survives a swap of two. Each feature is hashed to one of [`DIMENSIONS`] with a sign of its
//! own, so that collisions cancel instead of adding up. Vectors are made of *words*, not of chunks: a chunk of
//! three hundred words spreads so many features over any affordable number of dimensions that one misspelt
//! word drowns in noise (with 256 dimensions the noise is larger than the signal), while between two words
//! the noise is an eighth, and the exact [`likeness`] of the best decides. The words found near then go to
//! the full-text index.

use super::vectors::Vector;

/// Dimensions of a word's vector. On questions about 22 000 words, 128 found nothing that 64 had not.
pub const DIMENSIONS: usize = 64;

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
    let norm = |features: &[(u64, f32)]| {
        features
            .iter()
            .map(|(_, weight)| weight * weight)
            .sum::<f32>()
            .sqrt()
    };
    let norms = norm(&one) * norm(&other);
    if norms > 0.0 {
        (shared / norms).min(1.0)
    } else {
        0.0
    }
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

/// FNV-1a over the letters with a final mix, since both ends of the result are used.
fn hash(letters: &[char]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64 ^ letters.len() as u64;
    for letter in letters {
        hash = (hash ^ u64::from(u32::from(*letter))).wrapping_mul(0x0000_0100_0000_01B3);
    }
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn misspellings_and_forms_are_near_and_others_far() {
        let pairs = [
            ("receive", "recieve"),
            ("kubernetes", "kubernets"),
            ("authentication", "authentification"),
            ("meeting", "meetings"),
            ("organisation", "organization"),
            ("besprechung", "besprechungen"),
            ("встреча", "встречи"),
            ("colour", "color"),
        ];
        for (one, other) in pairs {
            let hashed = word_vector(one).cosine(&word_vector(other));
            assert!(
                likeness(one, other) > 0.45,
                "{one} {other} {}",
                likeness(one, other)
            );
            assert!(hashed > 0.3, "{one} {other} {hashed}");
        }
        for (one, other) in [
            ("receive", "kubernetes"),
            ("meeting", "salary"),
            ("colour", "garden"),
            ("cat", "dog"),
        ] {
            assert!(
                likeness(one, other) < 0.3,
                "{one} {other} {}",
                likeness(one, other)
            );
        }
        assert!(likeness("meeting", "meetings") > likeness("meeting", "melting"));
    }

    proptest! {
        #[test]
        fn likeness_is_a_likeness(one in "[a-zé会]{1,12}", other in "[a-zé会]{1,12}") {
            let forth = likeness(&one, &other);
            prop_assert!((0.0..=1.0).contains(&forth));
            prop_assert!((forth - likeness(&other, &one)).abs() < 1e-5);
            prop_assert!(likeness(&one, &one) > 0.999);
            prop_assert!(word_vector(&one).cosine(&word_vector(&one)) > 0.99 );
        }
    }
}
