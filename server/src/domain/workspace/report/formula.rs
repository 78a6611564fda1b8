//! The arithmetic of reports (catalogue.md §3.7).

/// The value at a percentile by nearest rank: the smallest one that at least `percent` of 100 values do not exceed. `None`
/// without values. The order of the values does not matter; they are sorted in place.
pub fn nearest_rank(values: &mut [i64], percent: u32) -> Option<i64> {
    values.sort_unstable();
    let count = values.len();
    let percent = usize::try_from(percent.clamp(1, 100)).ok()?;
    let rank = count.saturating_mul(percent).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

/// `part` of `whole` as a share of 1, rounded to four digits; `None` when there is no whole.
pub fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| rounded(part, whole, 10_000))
}

/// By how many percent a figure changed, to one digit; `None` when there was nothing before.
pub fn change_percent(now: f64, before: f64) -> Option<f64> {
    (before != 0.0).then(|| ((now - before) / before.abs() * 1000.0).round() / 10.0)
}

/// Σ amount × probability ÷ 100 in whole cents, half-even. Exact: the sum is made before it is divided.
pub fn weighted_cents(deals: impl IntoIterator<Item = (i64, i64)>) -> i64 {
    let sum: i128 = deals
        .into_iter()
        .map(|(cents, percent)| i128::from(cents) * i128::from(percent))
        .sum();
    half_even(sum, 100)
}

/// A mean in whole units, half-even; `None` without values.
pub fn mean(values: impl IntoIterator<Item = i64>) -> Option<i64> {
    let (mut sum, mut count) = (0_i128, 0_i128);
    for value in values {
        sum += i128::from(value);
        count += 1;
    }
    (count > 0).then(|| half_even(sum, count))
}

/// A mean to one digit; `None` without values.
pub fn mean_tenths(values: impl IntoIterator<Item = i64>, unit: i64) -> Option<f64> {
    let (mut sum, mut count) = (0_i64, 0_i64);
    for value in values {
        sum = sum.saturating_add(value);
        count += 1;
    }
    (count > 0 && unit > 0).then(|| rounded(sum, count.saturating_mul(unit), 10))
}

/// `a ÷ b`, the half going to the even neighbour. `b` is above 0.
fn half_even(a: i128, b: i128) -> i64 {
    let (quotient, rest) = (a.div_euclid(b), a.rem_euclid(b));
    let up = match (rest * 2).cmp(&b) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Greater => 1,
        std::cmp::Ordering::Equal => quotient & 1,
    };
    i64::try_from(quotient + up).unwrap_or(i64::MAX)
}

/// `part ÷ whole` to that many steps of a unit.
fn rounded(part: i64, whole: i64, steps: i64) -> f64 {
    let units = half_even(i128::from(part) * i128::from(steps), i128::from(whole));
    // Both are small integers: a share has at most 10 000 steps, and a mean of days stays below 2^53.
    #[expect(
        clippy::cast_precision_loss,
        reason = "figures of reports stay far below 2^53"
    )]
    let (units, steps) = (units as f64, steps as f64);
    units / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let ranks = |values: &[i64]| {
            let mut values = values.to_vec();
            (nearest_rank(&mut values, 50), nearest_rank(&mut values, 90))
        };
        assert_eq!(ranks(&[]), (None, None));
        assert_eq!(ranks(&[7]), (Some(7), Some(7)));
        assert_eq!(ranks(&[4, 1, 3, 2]), (Some(2), Some(4)));
        assert_eq!(ranks(&[50, 20, 15, 40, 35]), (Some(35), Some(50)));
        assert_eq!(ranks(&(1..=10).collect::<Vec<_>>()), (Some(5), Some(9)));
        assert_eq!(nearest_rank(&mut [1, 2], 100), Some(2));
    }

    #[test]
    fn pipelines_are_weighted_exactly_and_half_to_even() {
        assert_eq!(weighted_cents([]), 0);
        assert_eq!(weighted_cents([(1, 50)]), 0);
        assert_eq!(weighted_cents([(3, 50)]), 2);
        assert_eq!(weighted_cents([(1, 50), (1, 50)]), 1);
        assert_eq!(weighted_cents([(5, 10), (5, 10), (5, 10)]), 2);
        assert_eq!(weighted_cents([(10_000_000_000_000, 70)]), 7_000_000_000_000);
    }

    #[test]
    fn shares_means_and_changes() {
        assert_eq!(
            (share(0, 0), share(1, 3), share(2, 2)),
            (None, Some(0.3333), Some(1.0))
        );
        assert_eq!(mean([]), None);
        assert_eq!(
            (mean([70, 71]), mean([71, 72]), mean([1, 2, 4])),
            (Some(70), Some(72), Some(2))
        );
        assert_eq!(mean_tenths([86_400, 129_600], 86_400), Some(1.2));
        assert_eq!(mean_tenths([], 86_400), None);
        assert_eq!(change_percent(12.0, 8.0), Some(50.0));
        assert_eq!(change_percent(5.0, 7.0), Some(-28.6));
        assert_eq!(change_percent(1.0, 0.0), None);
    }
}
