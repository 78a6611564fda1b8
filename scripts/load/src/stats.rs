//! Quantiles and medians. In: samples; out: figures.

use serde::{Deserialize, Serialize};

/// What a run of calls looked like, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// Median.
    pub p50_us: f64,
    /// 90th percentile.
    pub p90_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Slowest.
    pub(crate) max_us: f64,
}

impl Spread {
    /// Takes nanoseconds in any order; all zero for no samples.
    pub(crate) fn of(mut samples_ns: Vec<u64>) -> Self {
        samples_ns.sort_unstable();
        let at = |share: f64| quantile(&samples_ns, share) / 1_000.0;
        Self {
            p50_us: at(0.50),
            p90_us: at(0.90),
            p99_us: at(0.99),
            max_us: at(1.0),
        }
    }
}

/// Nearest-rank quantile of sorted samples, 0 for none.
fn quantile(sorted: &[u64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).map_or(0.0, |&ns| ns as f64)
}

/// The middle value; the mean of the middle two for an even count; `None` for none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_and_never_invented() {
        let spread = Spread::of((1..=100).rev().map(|us| us * 1_000).collect());
        assert_eq!(
            (spread.p50_us, spread.p90_us, spread.p99_us, spread.max_us),
            (50.0, 90.0, 99.0, 100.0)
        );
        assert_eq!(Spread::of(vec![7_000]).p99_us, 7.0);
        assert_eq!(Spread::of(Vec::new()).max_us, 0.0);
    }

    #[test]
    fn the_median_does_not_care_for_order_or_outliers() {
        assert_eq!(median(&[9.0, 1.0, 1_000.0]), Some(9.0));
        assert_eq!(median(&[1.0, 3.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }
}
