//! Counters, gauges and histograms, rendered as Prometheus text.
//!
//! Values are atomics: a handle is taken once (per label set) and then costs one addition. A
//! family holds a bounded number of label sets; further ones are counted together under labels
//! that all read `other`, and `rmq_metrics_series_dropped_total` counts how often that happened.

mod render;
mod value;

pub use render::Samples;
pub use value::{Counter, Gauge, Histogram};

use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Label sets of a family when nothing else is said.
pub const SERIES_MAX: usize = 10_000;

/// What kind a metric is, as `# TYPE` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// Name, help and label names of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Describe {
    /// With its unit as ending.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Label names in the order in which values are given; their value sets must be bounded.
    pub labels: &'static [&'static str],
}

/// Something a family can hold one of per label set.
pub trait Metric: Clone + Send + Sync + 'static {
    /// Kind.
    const KIND: Kind;
    /// What a new one needs to know.
    type Shape: Clone + Send + Sync;
    /// At zero.
    fn make(shape: &Self::Shape) -> Self;
    #[doc(hidden)]
    fn sample(&self, out: &mut Samples<'_>, labels: &[(&str, &str)]);
}

struct FamilyState<M: Metric> {
    describe: Describe,
    shape: M::Shape,
    series_max: usize,
    series: RwLock<HashMap<Box<[Box<str>]>, M>>,
    dropped: Counter,
}

/// A metric with labels. Clones share their values.
#[derive(Clone)]
pub struct Family<M: Metric>(Arc<FamilyState<M>>);

impl<M: Metric> fmt::Debug for Family<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("name", &self.0.describe.name).finish_non_exhaustive()
    }
}

impl<M: Metric> Family<M> {
    /// The one with these label values, made if need be. Keep it where it is used often.
    pub fn with(&self, values: &[&str]) -> M {
        let state = &*self.0;
        debug_assert_eq!(values.len(), state.describe.labels.len(), "{}", state.describe.name);
        let key: Box<[Box<str>]> = values.iter().map(|value| Box::from(*value)).collect();
        if let Some(metric) = state.series.read().get(&key) {
            return metric.clone();
        }
        let mut series = state.series.write();
        let full = state.series_max <= series.len() && !series.contains_key(&key);
        let key = if full {
            state.dropped.increment();
            values.iter().map(|_| Box::from("other")).collect()
        } else {
            key
        };
        series.entry(key).or_insert_with(|| M::make(&state.shape)).clone()
    }

    /// Forgets the one with these label values (its topic was deleted, its group has gone).
    pub fn remove(&self, values: &[&str]) {
        let key: Box<[Box<str>]> = values.iter().map(|value| Box::from(*value)).collect();
        self.0.series.write().remove(&key);
    }

    fn render(&self, out: &mut Samples<'_>) {
        let state = &*self.0;
        let mut series: Vec<(Box<[Box<str>]>, M)> =
            state.series.read().iter().map(|(key, m)| (key.clone(), m.clone())).collect();
        series.sort_by(|(a, _), (b, _)| a.cmp(b));
        out.begin(state.describe.name, state.describe.help, M::KIND);
        let mut labels = Vec::with_capacity(state.describe.labels.len());
        for (values, metric) in &series {
            labels.clear();
            labels.extend(state.describe.labels.iter().copied().zip(values.iter().map(|v| &**v)));
            metric.sample(out, &labels);
        }
    }
}

type Render = Box<dyn Fn(&mut Samples<'_>) + Send + Sync>;

/// All metrics of a process or component. Clones share them.
#[derive(Clone)]
pub struct Registry(Arc<RegistryState>);

struct RegistryState {
    /// Added to every series.
    common: Vec<(String, String)>,
    metrics: Mutex<Vec<Arc<Render>>>,
    dropped: Counter,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("common", &self.0.common).finish_non_exhaustive()
    }
}

impl Registry {
    /// `common` labels are added to every series (`cluster`, `node_type`, …).
    pub fn new(common: Vec<(String, String)>) -> Self {
        let dropped = Counter::default();
        let registry = Self(Arc::new(RegistryState {
            common,
            metrics: Mutex::new(Vec::new()),
            dropped: dropped.clone(),
        }));
        registry.collect(move |out| {
            out.begin(
                "rmq_metrics_series_dropped_total",
                "Uses of label sets beyond the bound of their metric.",
                Kind::Counter,
            );
            dropped.sample(out, &[]);
        });
        registry
    }

    /// A counter without labels.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.single(name, help, &())
    }

    /// A gauge without labels.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.single(name, help, &())
    }

    /// A histogram without labels; `bounds` grow, the one to infinity is added.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        bounds: &'static [f64],
    ) -> Histogram {
        self.single(name, help, &bounds)
    }

    fn single<M: Metric>(&self, name: &'static str, help: &'static str, shape: &M::Shape) -> M {
        let metric = M::make(shape);
        let shown = metric.clone();
        self.collect(move |out| {
            out.begin(name, help, M::KIND);
            shown.sample(out, &[]);
        });
        metric
    }

    /// Counters by label set, at most [`SERIES_MAX`] of them.
    pub fn counters(&self, describe: Describe) -> Family<Counter> {
        self.family(describe, (), SERIES_MAX)
    }

    /// Gauges by label set, at most [`SERIES_MAX`] of them.
    pub fn gauges(&self, describe: Describe) -> Family<Gauge> {
        self.family(describe, (), SERIES_MAX)
    }

    /// Histograms by label set, at most [`SERIES_MAX`] of them.
    pub fn histograms(&self, describe: Describe, bounds: &'static [f64]) -> Family<Histogram> {
        self.family(describe, bounds, SERIES_MAX)
    }

    /// Any metric by label set with a bound of its own.
    pub fn family<M: Metric>(
        &self,
        describe: Describe,
        shape: M::Shape,
        series_max: usize,
    ) -> Family<M> {
        let family = Family(Arc::new(FamilyState {
            describe,
            shape,
            series_max,
            series: RwLock::default(),
            dropped: self.0.dropped.clone(),
        }));
        let shown = family.clone();
        self.collect(move |out| shown.render(out));
        family
    }

    /// Values that are computed when they are asked for: `render` calls
    /// [`Samples::begin`] and then [`Samples::sample`] per series.
    pub fn collect(&self, render: impl Fn(&mut Samples<'_>) + Send + Sync + 'static) {
        self.0.metrics.lock().push(Arc::new(Box::new(render)));
    }

    /// Everything as Prometheus text (version 0.0.4).
    pub fn render(&self) -> String {
        // Collectors may take other locks: do not hold ours meanwhile.
        let metrics = self.0.metrics.lock().clone();
        let mut out = Samples::new(&self.0.common);
        for metric in metrics {
            metric(&mut out);
        }
        out.into_text()
    }
}

#[cfg(test)]
mod tests;
