//! The tables of the terminal and of the HTML page.

use std::collections::BTreeSet;

use super::document::{Comparison, MethodScore, Pair, PostHocScore, Section, Table, UnscoredRun};
use super::horizontal::BatchSizeAxis;
use super::metric::Metric;
use crate::record::Stats;
use crate::stats::Sample;
use crate::text::count;

/// A table of text; `-` stands for a missing value.
#[derive(Debug, Clone)]
pub struct Grid {
    /// The title.
    pub title: String,
    /// The columns' names.
    pub header: Vec<String>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
}

impl Section {
    /// `digits, lenet, 3 epochs`
    pub fn name(&self) -> String {
        let word = |text: &str| if text.is_empty() { "?".to_string() } else { text.to_string() };
        let by_size = || self.epochs_by_size.then(|| "epochs by batch size".into());
        let epochs = self.epochs.map(|n| count(n, "epoch")).or_else(by_size);
        let batch = self.batch_size.map(|size| format!("batch size {size}"));
        let parts = [Some(word(&self.dataset)), Some(word(&self.model)), epochs, batch];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The table of `metric`, where it was measured.
    pub fn table(&self, metric: Metric) -> Option<&Table> {
        self.tables.iter().find(|table| table.metric == metric)
    }

    /// What a score was measured on: `test`, and the statistics where they were asked for.
    pub fn measured_on(&self, metric: Metric) -> String {
        match (&self.stats, metric) {
            (_, metric) if !metric.is_score() => String::new(),
            (Some(stats), Metric::Accuracy | Metric::Loss) => format!("{} ({stats} statistics)", self.split),
            _ => self.split.to_string(),
        }
    }

    fn x_name(&self) -> &'static str {
        match self.x {
            BatchSizeAxis::BatchSize => "batch",
            BatchSizeAxis::NormBatchSize => "norm batch",
        }
    }

    fn title(&self, metric: Metric) -> String {
        let on = self.measured_on(metric);
        let on = if on.is_empty() { on } else { format!("{on} ") };
        format!("{}: {on}{} ({})", self.name(), metric.title(), metric.unit())
    }
}

/// The means alone, a row for each method and a column for each batch size; none where that is one row or column.
pub fn overview(section: &Section, table: &Table) -> Option<Grid> {
    let sizes: BTreeSet<usize> = table.cells.iter().map(|cell| cell.x).collect();
    if sizes.len() < 2 || section.groups.len() < 2 {
        return None;
    }
    let show = |label: &str, x: usize| {
        let cell = table.cells.iter().find(|cell| cell.x == x && cell.label == label);
        let mean = cell.and_then(|cell| cell.sample).map_or("-".into(), |sample| table.metric.show(sample.mean));
        let mark = match cell {
            Some(cell) if cell.best => '*',
            Some(cell) if cell.diverged + cell.failed > 0 => '!',
            _ => ' ',
        };
        format!("{mean}{mark}")
    };
    let row = |label: &str| std::iter::once(label.to_string()).chain(sizes.iter().map(|x| show(label, *x))).collect();
    let mut rows: Vec<Vec<String>> = section.groups.iter().map(|group| row(&group.label)).collect();
    let any = |is: fn(&MethodScore) -> bool, what| if table.cells.iter().any(is) { what } else { "" };
    let marks = any(|cell| cell.best, "; * best").to_string()
        + any(|cell| cell.diverged + cell.failed > 0, "; ! diverged or failed runs");
    let mut header: Vec<String> = std::iter::once("method".into()).chain(sizes.iter().map(usize::to_string)).collect();
    // The marks follow the right-aligned column of numbers.
    for (column, name) in header.iter_mut().enumerate().skip(1) {
        let width = rows.iter().map(|row| row[column].len()).chain([name.len() + 1]).max().unwrap_or(0);
        rows.iter_mut().for_each(|row| row[column] = format!("{:>width$}", row[column]));
        *name = format!("{:>1$} ", name, width - 1);
    }
    let title = format!("{}: means by {}{marks}", section.title(table.metric), section.x.title());
    Some(Grid { title, header, rows })
}

/// Mean, standard deviation, interval and n of every method at every batch size.
pub fn scores(section: &Section, table: &Table) -> Grid {
    let any = |count: fn(&MethodScore) -> usize| table.cells.iter().any(|cell| count(cell) > 0);
    let (failed, best) = (any(|cell| cell.failed), any(|cell| usize::from(cell.best)));
    let mut header = vec![section.x_name(), "method", "mean", "sd", "95 % interval", "n", "diverged"];
    header.extend(failed.then_some("failed"));
    header.extend(best.then_some("best"));
    let row = |cell: &MethodScore, label: String| {
        let mut row = vec![cell.x.to_string(), label];
        let ends = |ends| table.metric.possible(ends);
        row.extend(numbers(table.metric, cell.sample, String::new(), ends));
        row.push(cell.diverged.to_string());
        row.extend(failed.then(|| cell.failed.to_string()));
        row.extend(best.then(|| if cell.best { "*" } else { "" }.to_string()));
        row
    };
    let rows = table.cells.iter().flat_map(|own| {
        let same = table.post_hoc.iter().filter(|cell| cell.score.x == own.x && cell.score.label == own.label);
        let beside = same.map(|PostHocScore { stats, score }| row(score, format!("{} ({stats})", own.label)));
        std::iter::once(row(own, own.label.clone())).chain(beside)
    });
    Grid { title: section.title(table.metric), header: words(header), rows: rows.collect() }
}

/// Every method's difference from the baseline; none where there is nothing to compare.
pub fn differences(section: &Section, table: &Table) -> Option<Grid> {
    let baseline = section.baseline.as_ref().filter(|_| !table.pairs.is_empty())?;
    let row = |pair: &Pair| {
        let difference = pair.difference;
        let plus = |value: f64| if value > 0.0 { "+" } else { "" };
        let mut row = vec![pair.x.to_string(), pair.label.clone()];
        row.extend(numbers(table.metric, Some(difference), plus(difference.mean).into(), |ends| ends));
        row.push(side(difference).into());
        row
    };
    Some(Grid {
        title: format!("{}: difference from {baseline} on the same seeds", section.title(table.metric)),
        header: words(vec![section.x_name(), "method", "difference", "sd", "95 % interval", "pairs", "interval is"]),
        rows: table.pairs.iter().map(row).collect(),
    })
}

/// On which side of 0 an interval lies.
fn side(difference: Sample) -> &'static str {
    match (difference.low, difference.sign()) {
        (None, _) => "-",
        (_, None) => "around 0",
        (_, Some(true)) => "above 0",
        (_, Some(false)) => "below 0",
    }
}

/// The runs without final scores; none where there are none.
pub fn apart(section: &Section) -> Option<Grid> {
    let row = |run: &UnscoredRun| {
        let of = run.epochs.map_or(String::new(), |epochs| format!(" of {epochs}"));
        vec![run.run.clone(), run.label.clone(), run.state.to_string(), format!("{}{of}", run.epoch)]
    };
    (!section.apart.is_empty()).then(|| Grid {
        title: format!("{}: runs without final scores", section.name()),
        header: words(vec!["run", "method", "state", "epochs"]),
        rows: section.apart.iter().map(row).collect(),
    })
}

fn words(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(String::from).collect()
}

/// Mean, sd, interval (its ends as `ends` limits them), n.
fn numbers(
    metric: Metric,
    sample: Option<Sample>,
    sign: String,
    ends: impl Fn((f64, f64)) -> (f64, f64),
) -> [String; 4] {
    let show = |value: Option<f64>| value.map_or("-".into(), |value| metric.show(value));
    let Some(Sample { n, mean, sd, low, high }) = sample else {
        return ["-".into(), "-".into(), "-".into(), "0".into()];
    };
    let interval = match low.zip(high).map(ends) {
        Some((low, high)) => format!("{} .. {}", metric.show(low), metric.show(high)),
        _ => "-".into(),
    };
    [format!("{sign}{}", metric.show(mean)), show(sd), interval, n.to_string()]
}

/// Explanations of what occurs in `tables`.
pub fn legend<'a>(comparison: &Comparison, tables: impl IntoIterator<Item = &'a Table>) -> Vec<&'static str> {
    let (mut cells, mut beside) = (Vec::<&MethodScore>::new(), BTreeSet::new());
    let (mut scored, mut marked) = (false, false);
    for table in tables {
        scored |= table.metric.is_score() && !table.cells.is_empty();
        let sizes: BTreeSet<usize> = table.cells.iter().map(|cell| cell.x).collect();
        marked |= sizes.len() > 1 && table.cells.iter().any(|cell| cell.diverged + cell.failed > 0);
        cells.extend(&table.cells);
        beside.extend(table.post_hoc.iter().map(|cell| cell.stats));
    }
    if cells.is_empty() {
        return vec![];
    }
    let mut lines = vec![];
    lines.extend(scored.then_some(
        "Scores are from the last epoch (never the best), under each method's own inference statistics unless stated otherwise.",
    ));
    lines.push("Intervals are 95 % Student's t intervals for the mean of n runs; a single run has none. They are not corrected for multiple comparisons.");
    lines.extend(beside.into_iter().filter_map(|stats| match stats {
        Stats::Precise => {
            Some("(precise): the same networks under statistics re-estimated over training images; not part of the comparison.")
        }
        Stats::Weighing => Some(
            "(weighing): the same networks with each image's own statistics mixed in, by a weight chosen on validation images; not \
             part of the comparison.",
        ),
        Stats::Evalnorm => Some(
            "(evalnorm): the same networks normalizing as a training batch does on average; not part of the comparison.",
        ),
        _ => None,
    }));
    if cells.iter().any(|cell| cell.best) {
        lines.push(
            "best (*): at least three runs, none of them lost, and the interval of its lead over every other method at that size excludes 0 \
             (paired by seed where both share at least three seeds, else Welch's).",
        );
    }
    lines.extend(marked.then_some("!: some of the method's runs at that batch size diverged or failed."));
    if cells.iter().any(|cell| cell.diverged > 0) {
        lines.push(if comparison.diverged_as_chance {
            "Diverged runs count at chance level in accuracy and loss; for other metrics they are left out of the mean and counted separately."
        } else {
            "Diverged runs are left out of the mean and counted separately, so such a mean covers only the surviving runs (--diverged chance \
             counts them at chance level)."
        });
    }
    lines
}
