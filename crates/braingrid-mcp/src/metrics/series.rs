//! Histograms whose series are looked up once. Warm calls have the same few sets of labels: each is
//! made into attributes for the SDK when it first comes, and is found afterwards by the words in it.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{BoundHistogram, Histogram},
};

/// A set of labels of one histogram: words of this program, so there are only so many of them.
pub(super) trait Labels: Ord {
    fn attributes(&self) -> Vec<KeyValue>;
}

/// A histogram of durations in seconds.
pub(super) struct Durations<L> {
    histogram: Histogram<f64>,
    /// Ordered: comparing a few words takes less than hashing them all.
    series: RwLock<BTreeMap<L, BoundHistogram<f64>>>,
}

impl<L: Labels> Durations<L> {
    pub(super) fn new(histogram: Histogram<f64>) -> Self {
        Self {
            histogram,
            series: RwLock::default(),
        }
    }

    pub(super) fn record(&self, labels: L, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = series.get(&labels) {
            return series.record(seconds);
        }
        drop(series);
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let bind = |labels: &L| self.histogram.bind(&labels.attributes());
        let series = series.entry(labels).or_insert_with_key(bind);
        series.record(seconds);
    }
}
