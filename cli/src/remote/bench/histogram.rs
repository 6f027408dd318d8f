//! Latencies in log-linear buckets: 64 to every power of two, so a value is off by 1.6 % at most.

const SUB_BITS: u32 = 6;
const BUCKETS: usize = (58 << SUB_BITS) + (1 << SUB_BITS);

/// Counts of values, in whatever unit the caller uses.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Adds one value.
    pub(crate) fn record(&mut self, value: u64) {
        self.record_many(value, 1);
    }

    /// Adds `times` equal values.
    pub(crate) fn record_many(&mut self, value: u64, times: u64) {
        if let Some(slot) = self.counts.get_mut(bucket(value)) {
            *slot += times;
        }
        self.count += times;
        self.sum += u128::from(value) * u128::from(times);
        self.max = self.max.max(value);
    }

    /// How many values were added.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Greatest value, exact; 0 if there is none.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// Mean of the values, exact; 0 if there is none.
    pub(crate) fn mean(&self) -> u64 {
        let mean = self.sum.checked_div(u128::from(self.count)).unwrap_or(0);
        u64::try_from(mean).unwrap_or(u64::MAX)
    }

    /// Smallest bucket bound that at least `per_mille` of 1000 values do not exceed; 0 if there
    /// is none.
    pub(crate) fn percentile(&self, per_mille: u64) -> u64 {
        let wanted = (u128::from(self.count) * u128::from(per_mille.min(1000))).div_ceil(1000);
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if wanted <= seen {
                return upper_bound(index).min(self.max);
            }
        }
        self.max
    }
}

/// Values below 64 have a bucket each; from there on the top seven bits choose.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(SUB_BITS + 1);
    let index = (u64::from(shift) << SUB_BITS) + (value >> shift);
    usize::try_from(index).unwrap_or(BUCKETS - 1)
}

fn upper_bound(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    let shift = (index >> SUB_BITS).saturating_sub(1);
    let top = index - (shift << SUB_BITS);
    ((u128::from(top) + 1) << shift).saturating_sub(1).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_within_its_bucket() {
        let mut value = 1_u64;
        while value < u64::MAX / 3 {
            for v in [value - 1, value, value + 1] {
                let index = bucket(v);
                assert!(index < BUCKETS, "{v}");
                assert!(v <= upper_bound(index), "{v}");
                assert!(index == 0 || upper_bound(index - 1) < v, "{v}");
                assert!(upper_bound(index) - v <= v / 64, "{v}");
            }
            value = value * 3 / 2 + 1;
        }
        assert!(bucket(u64::MAX) < BUCKETS);
        assert_eq!(upper_bound(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn percentiles() {
        let mut h = Histogram::default();
        assert_eq!((h.percentile(990), h.max(), h.mean()), (0, 0, 0));
        for v in 1..=1000 {
            h.record(v * 1000);
        }
        let close = |got: u64, want: u64| got >= want && got - want <= want / 60;
        assert!(close(h.percentile(500), 500_000), "{}", h.percentile(500));
        assert!(close(h.percentile(990), 990_000), "{}", h.percentile(990));
        assert_eq!(h.percentile(1000), 1_000_000);
        assert_eq!((h.max(), h.mean(), h.count()), (1_000_000, 500_500, 1000));
    }

    #[test]
    fn one_slow_in_a_thousand() {
        let mut h = Histogram::default();
        h.record_many(10, 999);
        h.record(5_000);
        assert_eq!(h.percentile(999), 10);
        assert_eq!(h.percentile(1000), 5_000);
    }
}
