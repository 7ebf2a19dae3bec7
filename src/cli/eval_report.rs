//! What `mbn eval` says of a checkpoint, as tables.

use mbn::run::EvalReport;
use mbn::train::weighing::Tried;

use super::output;

/// The score, and what is to be known of how it came about.
pub fn describe(report: &EvalReport) -> String {
    let row = vec![
        report.dataset.clone(),
        report.split.clone(),
        report.stats.clone(),
        report.images.to_string(),
        output::loss(Some(report.loss)),
        output::percent(Some(report.accuracy)),
    ];
    let mut text = output::table(&["dataset", "split", "stats", "images", "loss", "accuracy"], &[row]);
    if let Some(weight) = report.weight {
        text.push_str(&format!("\nweight of each image's own statistics: {weight}\n"));
    }
    if !report.weights.is_empty() {
        let row = |tried: &Tried| {
            vec![tried.weight.to_string(), output::loss(Some(tried.loss)), output::percent(Some(tried.accuracy))]
        };
        let rows: Vec<_> = report.weights.iter().map(row).collect();
        text.push_str("\nof these, the least loss on validation images:\n");
        text.push_str(&output::table(&["weight", "loss", "accuracy"], &rows));
    }
    text
}
