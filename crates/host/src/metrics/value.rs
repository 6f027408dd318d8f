//! The three kinds of values.

use super::{Kind, Metric, Samples};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Only grows. Clones share the value.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The sum so far.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Goes up and down. Clones share the value.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// Adds, or takes away.
    pub fn add(&self, by: i64) {
        self.0.fetch_add(by, Relaxed);
    }

    /// The value.
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

#[derive(Debug)]
struct Buckets {
    bounds: &'static [f64],
    /// One per bound and one above the last; each counts its own values only.
    counts: Box<[AtomicU64]>,
    /// Bits of an `f64`.
    sum: AtomicU64,
}

/// Counts values by size. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

impl Histogram {
    /// `bounds` grow; values equal to a bound count below it.
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect();
        Self(Arc::new(Buckets { bounds, counts, sum: AtomicU64::new(0f64.to_bits()) }))
    }

    /// Counts one value.
    pub fn observe(&self, value: f64) {
        self.observe_many(value, 1);
    }

    /// Counts `n` equal values: what arrived together costs as much as one.
    pub fn observe_many(&self, value: f64, n: u32) {
        let buckets = &*self.0;
        let at = buckets.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = buckets.counts.get(at) {
            count.fetch_add(u64::from(n), Relaxed);
        }
        let more = value * f64::from(n);
        let add = |bits| Some((f64::from_bits(bits) + more).to_bits());
        // The closure always gives a value, so the update always succeeds.
        buckets.sum.fetch_update(Relaxed, Relaxed, add).ok();
    }

    /// Number of values so far.
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Sum of the values so far.
    pub fn sum(&self) -> f64 {
        f64::from_bits(self.0.sum.load(Relaxed))
    }

    pub(super) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.0.counts.iter().map(|count| count.load(Relaxed)))
    }
}

impl Metric for Counter {
    const KIND: Kind = Kind::Counter;
    type Shape = ();
    fn make((): &()) -> Self {
        Self::default()
    }
    fn sample(&self, out: &mut Samples<'_>, labels: &[(&str, &str)]) {
        out.sample(labels, self.value());
    }
}

impl Metric for Gauge {
    const KIND: Kind = Kind::Gauge;
    type Shape = ();
    fn make((): &()) -> Self {
        Self::default()
    }
    fn sample(&self, out: &mut Samples<'_>, labels: &[(&str, &str)]) {
        out.sample(labels, self.value());
    }
}

impl Metric for Histogram {
    const KIND: Kind = Kind::Histogram;
    type Shape = &'static [f64];
    fn make(bounds: &Self::Shape) -> Self {
        Self::new(bounds)
    }
    fn sample(&self, out: &mut Samples<'_>, labels: &[(&str, &str)]) {
        out.histogram(labels, self);
    }
}
