//! What can be compared.

use serde::Serialize;

use crate::Result;
use crate::lookup::lookup;
use crate::record::{Split, Stats};
use crate::report::read::Run;

/// A quantity that a run ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Fraction of correct answers.
    Accuracy,
    /// Mean cross-entropy in nats.
    Loss,
    /// Accuracy under batch statistics minus accuracy under the method's own rule.
    Gap,
    /// Divergence of a batch's statistics before and after the update: the median of the layers' medians over the run.
    Shift,
    /// Divergence of the statistics that training uses from the training set's, at the end: the median over layers.
    UsedToPopulation,
    /// The same of the statistics that inference uses.
    InferenceToPopulation,
    /// Training images per second.
    ImagesPerS,
    /// Seconds a run took.
    Seconds,
    /// Largest resident set size.
    PeakMemoryMib,
}

/// One line of the table of metrics.
struct Entry {
    metric: Metric,
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    higher_is_better: Option<bool>,
}

const fn entry(
    metric: Metric,
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    higher_is_better: Option<bool>,
) -> Entry {
    Entry { metric, name, title, unit, higher_is_better }
}

static METRICS: &[Entry] = &[
    entry(Metric::Accuracy, "accuracy", "accuracy", "%", Some(true)),
    entry(Metric::Loss, "loss", "loss", "nats", Some(false)),
    entry(Metric::Gap, "gap", "gap: accuracy under batch statistics minus under the method's own", "points", None),
    entry(Metric::Shift, "shift", "shift of batch statistics by an update, median of layer medians", "nats", None),
    entry(
        Metric::UsedToPopulation,
        "used_to_population",
        "divergence of training statistics from the training set's, median over layers",
        "nats",
        None,
    ),
    entry(
        Metric::InferenceToPopulation,
        "inference_to_population",
        "divergence of inference statistics from the training set's, median over layers",
        "nats",
        None,
    ),
    entry(Metric::ImagesPerS, "images_per_s", "training throughput", "images/s", Some(true)),
    entry(Metric::Seconds, "seconds", "time per run", "s", Some(false)),
    entry(Metric::PeakMemoryMib, "peak_memory_mib", "peak memory", "MiB", Some(false)),
];

impl Metric {
    /// Every metric.
    pub fn all() -> impl Iterator<Item = Self> {
        METRICS.iter().map(|entry| entry.metric)
    }

    /// The metric called `name`.
    ///
    /// # Errors
    /// There is none. The message suggests the closest and lists the known ones.
    pub fn find(name: &str) -> Result<Self> {
        // Names are those of columns, with `_`, so here `-` is accepted for it.
        let named = METRICS.iter().find(|entry| entry.name == name.trim().to_lowercase().replace('-', "_"));
        Ok(named.map_or_else(|| lookup("metric", name, METRICS, |entry| entry.name), Ok)?.metric)
    }

    fn entry(self) -> &'static Entry {
        &METRICS[self as usize]
    }

    /// Its name in commands and columns.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// What it is, in words.
    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// Its unit as [`Metric::show`] writes it.
    pub fn unit(self) -> &'static str {
        self.entry().unit
    }

    /// Whether higher values are better; none where neither direction is.
    pub fn higher_is_better(self) -> Option<bool> {
        self.entry().higher_is_better
    }

    /// Whether it depends on split and statistics.
    pub fn is_score(self) -> bool {
        self <= Self::Gap
    }

    /// Whether it is a fraction, shown in percent.
    pub fn is_share(self) -> bool {
        matches!(self, Self::Accuracy | Self::Gap)
    }

    /// What `run` ended with.
    pub fn of(self, run: &Run, split: Split, stats: Option<Stats>) -> Option<f64> {
        let value = match self {
            Self::Accuracy => run.score(split, stats)?.accuracy,
            Self::Loss => run.score(split, stats)?.loss,
            Self::Gap => run.gap(split),
            Self::ImagesPerS => run.images_per_s(),
            Self::Seconds => run.seconds(),
            _ => run.measured.get(self.name()).copied(),
        };
        value.filter(|value| value.is_finite())
    }

    /// Its value at chance level with `classes` classes, where that is defined.
    pub fn chance(self, classes: usize) -> Option<f64> {
        match self {
            Self::Accuracy => Some(1.0 / classes as f64),
            Self::Loss => Some((classes as f64).ln()),
            _ => None,
        }
    }

    /// The ends of an interval of the mean, for reading: a share of images lies between 0 and 1, whatever Student's t says.
    pub(super) fn possible(self, (low, high): (f64, f64)) -> (f64, f64) {
        if self == Self::Accuracy { (low.max(0.0), high.min(1.0)) } else { (low, high) }
    }

    /// A value or a difference in [`Metric::unit`], with a sensible number of digits; in scientific notation where it has too
    /// many before the point, or would be shown as 0.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Accuracy | Self::Gap => format!("{:.2}", 100.0 * value),
            _ if value.abs() >= 1e6 => format!("{value:.3e}"),
            Self::ImagesPerS | Self::Seconds | Self::PeakMemoryMib => format!("{value:.1}"),
            Self::Loss if value.abs() >= 5e-5 => format!("{value:.4}"),
            _ if value == 0.0 || value.abs() >= 1e-3 => format!("{value:.4}"),
            _ => format!("{value:.2e}"),
        }
    }
}
