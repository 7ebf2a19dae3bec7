//! Remarks on how the runs of a section were made: machines, commits, number of test images.

use std::collections::BTreeSet;

use super::document::Section;
use super::metric::Metric;
use crate::record::Split;
use crate::report::read::{Notes, Run};
use crate::text;

/// Test scores of fewer images than this say little.
const FEW_IMAGES: usize = 100;

/// As many runs show by their accuracies how many images they were scored on.
const MANY_RUNS: usize = 20;

/// Remarks on the `runs` of a section, of which a table shows `metric`.
pub(super) fn on(section: &Section, runs: &[&Run], metric: Metric, notes: &mut Notes) {
    let name = section.name();
    let machines: BTreeSet<&str> = runs.iter().map(|run| run.machine.as_str()).filter(|m| !m.is_empty()).collect();
    if machines.len() > 1 {
        let machines = machines.into_iter().collect::<Vec<_>>().join("; ");
        notes.say(format!("{name}: throughput and times are from different machines: {machines}"));
    }
    let commits: BTreeSet<&str> = runs.iter().filter_map(|run| run.commit.as_deref()).collect();
    let commits: Vec<&str> = commits.into_iter().collect();
    if commits.len() > 1 {
        notes.say(format!("{name}: the runs were made by programs of different commits: {}", text::first(&commits, 2)));
    } else if let Some(commit) = commits.first().filter(|commit| commit.ends_with("-dirty")) {
        notes.say(format!("{name}: the runs were made by a program with uncommitted changes: {commit}"));
    }
    if section.split == Split::Test
        && metric.is_score()
        && let Some(least) =
            recorded_images(runs).or_else(|| images_by_scores(section, runs)).filter(|n| *n < FEW_IMAGES)
    {
        let images = text::count(least, "image");
        let has_val = runs.iter().any(|run| run.score(Split::Val, section.stats).is_some());
        let advice = if has_val { "; --split val compares on validation images" } else { "" };
        notes.say(format!("{name}: test scores are of {images} only{advice}"));
    }
}

/// The smallest number of test images in the settings of the runs, where one is limited.
fn recorded_images(runs: &[&Run]) -> Option<usize> {
    let limits = runs.iter().filter_map(|run| run.settings.get("test_limit")?.parse::<usize>().ok());
    limits.filter(|limit| *limit > 0).min()
}

/// The number of images of which all accuracies are fractions, where it is small, and no rounding of the table explains it:
/// the losses have more digits.
fn images_by_scores(section: &Section, runs: &[&Run]) -> Option<usize> {
    let scores: Vec<_> = runs.iter().filter_map(|run| run.score(section.split, section.stats)).collect();
    let accuracies: Vec<f64> = scores.iter().filter_map(|score| score.accuracy).collect();
    let values: BTreeSet<u64> = accuracies.iter().map(|accuracy| accuracy.to_bits()).collect();
    let is_whole = |x: f64| (x - x.round()).abs() < 1e-6;
    let rounded = scores.iter().filter_map(|score| score.loss).all(|loss| is_whole(1e4 * loss));
    if accuracies.len() < MANY_RUNS || values.len() < 3 || rounded {
        return None;
    }
    (1..FEW_IMAGES).find(|n| accuracies.iter().all(|accuracy| is_whole(*n as f64 * accuracy)))
}
