//! The charts of a section: metrics against batch size, and training curves.

use super::by_size::by_size;
use super::curves::{CurveX, curves};
use super::document::{Comparison, Section};
use super::metric::Metric;
use super::svg::Chart;

/// A chart and its file name.
#[derive(Debug, Clone)]
pub struct ChartFile {
    /// The file's name.
    pub name: String,
    /// Whether it is a training curve.
    pub is_curve: bool,
    /// The chart.
    pub chart: Chart,
}

/// The metrics that are drawn against batch size, in the order of the report.
const DRAWN: [Metric; 7] = [
    Metric::Accuracy,
    Metric::Loss,
    Metric::Gap,
    Metric::Shift,
    Metric::UsedToPopulation,
    Metric::InferenceToPopulation,
    Metric::ImagesPerS,
];

/// The charts of section number `number`.
pub fn of_section(comparison: &Comparison, number: usize, x: CurveX) -> Vec<ChartFile> {
    let section = &comparison.sections[number];
    let stem = comparison.stem(number);
    let first = [comparison.metric].into_iter().chain(DRAWN.into_iter().filter(|metric| *metric != comparison.metric));
    let file = |name: String, is_curve, mut chart: Chart| {
        chart.id = format!("{stem}-{name}");
        ChartFile { name: format!("{}.svg", chart.id), is_curve, chart }
    };
    let by_size =
        first.filter_map(|metric| Some(file(metric.name().into(), false, by_size(comparison, section, metric)?)));
    let curves = curves(comparison, section, x).into_iter().map(|(name, chart)| file(name, true, chart));
    by_size.chain(curves).collect()
}

impl Comparison {
    /// The prefix of the file names of section number `number`.
    fn stem(&self, number: usize) -> String {
        let stem = |section: &Section| {
            let epochs = section.epochs.map_or(String::new(), |epochs| format!("-e{epochs}"));
            let text = format!("{}-{}{epochs}", section.dataset, section.model);
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>()
        };
        let own = stem(&self.sections[number]);
        let before = self.sections[..number].iter().filter(|section| stem(section) == own).count();
        if before > 0 { format!("{own}-{}", before + 1) } else { own }
    }
}
