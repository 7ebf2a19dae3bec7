//! Progress of a sweep on stderr: on a terminal one bar for the whole sweep and a line per running job, else a line per
//! finished run.

use std::collections::HashSet;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mbn::record::{Split, Summary};
use mbn::sweep::{Ending, Event, Job, Observer, Tally};

use super::output::{self, percent};
use super::progress::{can_draw_bars, colours};

/// Reports a sweep on stderr.
pub struct SweepProgress {
    quiet: bool,
    bars: Option<Bars>,
    tally: Tally,
    /// Notes printed already: many runs have the same notes on their data.
    said: HashSet<String>,
}

/// Steps of the bar per run, since a run may take hours.
const PARTS: u64 = 1000;

struct Bars {
    all: MultiProgress,
    sweep: ProgressBar,
    jobs: Vec<ProgressBar>,
}

impl SweepProgress {
    /// A reporter for `total` runs, `jobs` at a time; if `quiet`, it reports only what went wrong.
    pub fn new(quiet: bool, total: usize, jobs: usize) -> Self {
        let bars = (!quiet && can_draw_bars()).then(|| Bars::new(total, jobs));
        Self { quiet, bars, tally: Tally::default(), said: HashSet::new() }
    }

    /// Removes the bars.
    pub fn finish(&mut self) {
        if let Some(bars) = self.bars.take() {
            // A bar that cannot be cleared stays on the screen.
            let _ = bars.all.clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.all.println(output::harmless(text))),
            None => output::note(text),
        }
    }
}

impl Bars {
    fn new(total: usize, jobs: usize) -> Self {
        let all = MultiProgress::new();
        let bar = if colours() { "{wide_bar:.cyan/dim}" } else { "{wide_bar}" };
        let style =
            |template: String| ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let sweep = all.add(ProgressBar::new(total as u64 * PARTS));
        sweep.set_style(style(format!("{{prefix}} {bar} {{msg}}")));
        let line = style("  {prefix}  {percent:>3} %  {wide_msg}".into()); // cut where the terminal ends
        let jobs = (0..jobs.min(total)).map(|_| all.add(ProgressBar::new(1).with_style(line.clone()))).collect();
        Self { all, sweep, jobs }
    }
}

impl Observer for SweepProgress {
    fn begin(&mut self, slot: usize, job: &Job) {
        if let Some(bar) = self.bars.as_ref().and_then(|bars| bars.jobs.get(slot)) {
            bar.set_position(0);
            bar.set_prefix(job.describe());
            bar.set_message("starting");
        }
    }

    fn event(&mut self, slot: usize, job: &Job, event: &Event) {
        match event {
            Event::Note(text) => {
                if self.said.insert(text.clone()) {
                    self.line(&format!("{}: {text}", job.describe()));
                }
            }
            Event::Step { done, total, text } => {
                if let Some(bar) = self.bars.as_ref().and_then(|bars| bars.jobs.get(slot)) {
                    bar.set_length(*total as u64);
                    bar.set_position(*done as u64);
                    bar.set_message(text.clone());
                }
            }
            Event::Over(_) => {}
        }
    }

    fn end(&mut self, slot: usize, job: &Job, ending: &Ending, summary: Option<&Summary>) {
        if let Some(bar) = self.bars.as_ref().and_then(|bars| bars.jobs.get(slot)) {
            bar.set_position(0);
            bar.set_prefix("idle");
            bar.set_message("");
        }
        let what = match (ending, summary) {
            (Ending::Failed(why), _) => format!("failed: {why}"),
            (Ending::Died(why), _) => format!("{why}; the same command resumes the run"),
            (Ending::Busy, _) => "another process is training it".into(),
            (Ending::Stopped, _) => "stopped, saved".into(),
            (Ending::Diverged, Some(summary)) => match &summary.diverged {
                Some(at) => format!("diverged at step {}: {} is not finite", at.step, at.tensor),
                None => "diverged".into(),
            },
            (_, Some(summary)) => {
                let test = summary.results.iter().find(|score| score.split == Split::Test);
                format!("test {}, {}", percent(test.and_then(|t| t.accuracy)), duration(summary.seconds))
            }
            (_, None) => "its summary is missing".into(),
        };
        if !self.quiet || matches!(ending, Ending::Failed(_) | Ending::Died(_)) {
            let place = match ending {
                Ending::Busy | Ending::Stopped => String::new(),
                _ => format!("[{}/{}] ", self.tally.over() + 1, self.tally.total),
            };
            self.line(&format!("{place}{}: {what}", job.describe()));
        }
    }

    fn tally(&mut self, tally: &Tally) {
        if let Some(bars) = &self.bars {
            let bad = |n: usize, what: &str| if n > 0 { format!("{n} {what}, ") } else { String::new() };
            let left = tally.left.map_or("?".into(), duration);
            let (diverged, failed) = (bad(tally.diverged, "diverged"), bad(tally.failed + tally.died, "failed"));
            bars.sweep.set_position(((tally.over() as f64 + tally.under_way) * PARTS as f64) as u64);
            bars.sweep.set_prefix(format!("{}/{} runs", tally.over(), tally.total));
            bars.sweep.set_message(format!("{diverged}{failed}{left} left"));
        }
        self.tally = tally.clone();
    }

    fn note(&mut self, text: &str) {
        self.line(text);
    }
}

/// `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`
pub fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        _ if seconds < 99.5 => format!("{seconds:.0} s"),
        0..=99 => format!("{minutes} min"),
        100..=2879 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1440, minutes / 60 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn times_are_as_long_as_they_need_to_be() {
        let shown = [0.123, 9.96, 61.0, 130.0, 12_000.0, 200_000.0].map(duration);
        assert_eq!(shown, ["0.1 s", "10 s", "61 s", "2 min", "3 h 20 min", "2 d 7 h"]);
    }
}
