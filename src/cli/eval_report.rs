//! The report of `mbn eval` as text tables.

use mbn::run::{EvalReport, NoiseReport, NoiseScores};
use mbn::train::weighing::WeightScore;

use super::output;

/// The score; then, where there are any, the weights that were tried and the scores under noise.
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
        let row = |tried: &WeightScore| {
            vec![tried.weight.to_string(), output::loss(Some(tried.loss)), output::percent(Some(tried.accuracy))]
        };
        let rows: Vec<_> = report.weights.iter().map(row).collect();
        text.push_str("\nchosen from these by the lowest loss on validation images:\n");
        text.push_str(&output::table(&["weight", "loss", "accuracy"], &rows));
    }
    if let Some(noise) = &report.noise {
        text.push_str(&format!("\nwith noise of {} standard deviations on the weights:\n", noise.sd));
        text.push_str(&under_noise(noise));
    }
    text
}

fn under_noise(noise: &NoiseReport) -> String {
    let row = |result: &NoiseScores| {
        let NoiseScores { stats, loss, accuracy, draws } = result;
        let scores = [output::loss(Some(loss.mean)), output::loss(loss.sd)];
        let shares = [output::percent(Some(accuracy.mean)), output::percent(accuracy.sd)];
        [vec![stats.clone(), draws.len().to_string()], scores.to_vec(), shares.to_vec()].concat()
    };
    let rows: Vec<_> = noise.results.iter().map(row).collect();
    output::table(&["stats", "draws", "loss", "sd", "accuracy", "sd"], &rows)
}
