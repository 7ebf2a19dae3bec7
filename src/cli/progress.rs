//! Progress of a run on stderr: a bar on a terminal, else plain lines without control codes.

use std::env;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use mbn::record::{MetricRow, Split};
use mbn::run::{RunPlan, Watcher};
use mbn::train::StepReport;

use super::memory;
use super::output::{self, count, loss, percent, short};

/// Time between two lines within an epoch, where there is no bar.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// Reports a run on stderr.
pub struct Progress {
    quiet: bool,
    bar: Option<ProgressBar>,
    epochs: usize,
    steps_per_epoch: usize,
    running: EpochMeans,
    last_line: Instant,
}

/// Means over the epoch so far, since it began or the run was resumed.
pub(super) struct EpochMeans {
    images: usize,
    correct: usize,
    loss: f64,
    since: Instant,
}

impl EpochMeans {
    pub(super) fn new() -> Self {
        Self { images: 0, correct: 0, loss: 0.0, since: Instant::now() }
    }

    pub(super) fn add(&mut self, step: &StepReport) {
        self.images += step.images;
        self.correct += step.correct;
        self.loss += step.loss * step.images as f64;
    }

    /// `loss 0.1234  accuracy 97.10 %  1234 images/s`
    pub(super) fn describe(&self) -> String {
        let images = self.images.max(1) as f64;
        let rate = self.images as f64 / self.since.elapsed().as_secs_f64().max(1e-9);
        let accuracy = percent(Some(self.correct as f64 / images));
        format!("loss {}  accuracy {accuracy}  {rate:.0} images/s", loss(Some(self.loss / images)))
    }
}

impl Progress {
    /// A bar or lines, whichever stderr can show; if `quiet`, only notes.
    pub fn new(quiet: bool) -> Self {
        let bar = (!quiet && can_draw_bars()).then(|| ProgressBar::new(0).with_style(style(colours())));
        Self { quiet, bar, epochs: 0, steps_per_epoch: 0, running: EpochMeans::new(), last_line: Instant::now() }
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// A line of progress.
    fn line(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(output::harmless(text)),
            None => output::note(text),
        }
    }
}

impl Watcher for Progress {
    fn start(&mut self, plan: &RunPlan) {
        memory::note_step(plan.step_bytes);
        (self.epochs, self.steps_per_epoch) = (plan.epochs, plan.steps_per_epoch);
        if let Some(bar) = &self.bar {
            bar.set_length((plan.epochs * plan.steps_per_epoch) as u64);
            bar.set_position((plan.epoch * plan.steps_per_epoch + plan.batch) as u64);
            bar.reset_eta();
        }
        self.line(&opening(plan));
        (self.running, self.last_line) = (EpochMeans::new(), Instant::now());
    }

    fn note(&mut self, text: &str) {
        self.say(text);
    }

    fn step(&mut self, epoch: usize, batch: usize, report: &StepReport) {
        self.running.add(report);
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
                bar.set_message(self.running.describe());
                bar.set_position((epoch.saturating_sub(1) * self.steps_per_epoch + batch) as u64);
            }
            None if self.last_line.elapsed() >= LINE_INTERVAL => {
                let (epochs, steps) = (self.epochs, self.steps_per_epoch);
                self.line(&format!("epoch {epoch}/{epochs}  step {batch}/{steps}  {}", self.running.describe()));
                self.last_line = Instant::now();
            }
            None => {}
        }
    }

    fn epoch(&mut self, epoch: usize, rows: &[MetricRow]) {
        self.line(&closing(epoch, self.epochs, rows));
        (self.running, self.last_line) = (EpochMeans::new(), Instant::now());
    }
}

/// Whether stderr is a terminal that can redraw lines.
pub(super) fn can_draw_bars() -> bool {
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    !dumb && io::stderr().is_terminal()
}

/// Whether colours may be used: NO_COLOR is not set.
pub(super) fn colours() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn style(colours: bool) -> ProgressStyle {
    let bar = if colours { "{wide_bar:.cyan/dim}" } else { "{wide_bar}" };
    ProgressStyle::with_template(&format!("{{prefix}} {bar} {{msg}}  {{eta}} left"))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The line at the start of training.
fn opening(plan: &RunPlan) -> String {
    let [train, val, test] = plan.image_counts;
    let val = if val > 0 { format!(" + {val} validation") } else { String::new() };
    let resumed = match (plan.epoch, plan.batch) {
        (0, 0) => String::new(),
        (epoch, batch) => format!("; resuming in epoch {} after step {batch}", epoch + 1),
    };
    format!(
        "{}: {train} training{val} + {} ({}), {}, {} of {}, learning rate {}{resumed}",
        plan.run,
        count(test, "test image"),
        plan.origin,
        count(plan.parameters, "parameter"),
        count(plan.epochs, "epoch"),
        count(plan.steps_per_epoch, "step"),
        short(plan.lr)
    )
}

/// The line at the end of an epoch: `epoch 1/3  train 0.3012 91.20 %  test (memory) 0.1034 97.10 %  1234 images/s`
fn closing(epoch: usize, epochs: usize, rows: &[MetricRow]) -> String {
    let mut text = format!("epoch {epoch}/{epochs}");
    for row in rows {
        let stats = if row.split == Split::Train { String::new() } else { format!(" ({})", row.stats) };
        text.push_str(&format!("  {}{stats} {} {}", row.split, loss(row.loss), percent(row.accuracy)));
    }
    if let Some(rate) = rows.iter().find(|row| row.split == Split::Train).and_then(|row| row.images_per_s) {
        text.push_str(&format!("  {rate:.0} images/s"));
    }
    text
}
