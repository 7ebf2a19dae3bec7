//! `mbn sweep --dry-run`: the runs, how far each is, and what is left to do.

use std::path::Path;

use mbn::record::Status;
use mbn::sweep::{Estimate, Job, State, Sweep, look};

use super::output;
use super::sweep_progress::duration;

const HEADER: [&str; 12] =
    ["#", "label", "dataset", "model", "batch", "norm batch", "lr", "epochs", "seed", "state", "time", "run"];

/// The settings that are columns of their own.
const COLUMNS: [&str; 7] = ["dataset", "model", "batch_size", "norm_batch_size", "lr", "epochs", "seed"];

const STATES: [&str; 6] = ["new", "interrupted", "running", "done", "diverged", "failed"];

/// What a sweep would do.
pub struct DryRun<'a> {
    runs: Vec<DryRunLine<'a>>,
}

struct DryRunLine<'a> {
    /// From 1, as `--index` counts.
    number: usize,
    job: &'a Job,
    /// Its label and the settings beyond [`HEADER`] in which runs of that label differ.
    label: String,
    state: &'static str,
    /// Time that the run took or, where it can be estimated, will take.
    seconds: Option<f64>,
    /// Whether the sweep would train it.
    open: bool,
}

impl<'a> DryRun<'a> {
    /// Looks at every run in the sweep folder `out`; finished ones count for the time estimate even if not selected.
    ///
    /// # Errors
    /// A configuration cannot be written as TOML; resolved ones can.
    pub fn new(sweep: &'a Sweep, selection: &[usize], out: &Path, retry_failed: bool) -> mbn::Result<Self> {
        let labels = sweep.labels(&COLUMNS)?;
        let states: Vec<State> = sweep.jobs.iter().map(|job| look(&out.join("runs").join(&job.name))).collect();
        let mut estimate = Estimate::default();
        for (job, state) in sweep.jobs.iter().zip(&states) {
            match state {
                State::Over(summary) if summary.status == Status::Done => estimate.learn(job, summary.seconds),
                _ => {}
            }
        }
        let planned = |&index: &usize| {
            let (job, state) = (&sweep.jobs[index], &states[index]);
            let (seconds, open) = match state {
                State::Over(summary) if summary.status == Status::Failed => (estimate.seconds(job), retry_failed),
                State::Over(summary) => (Some(summary.seconds), false),
                _ => (estimate.seconds(job), true),
            };
            DryRunLine { number: index + 1, job, label: labels[index].clone(), state: word(state), seconds, open }
        };
        Ok(Self { runs: selection.iter().map(planned).collect() })
    }

    /// The table of runs, and below it the counts and the time, `jobs` runs at a time.
    pub fn show(&self, jobs: usize) -> String {
        let rows: Vec<Vec<String>> = self.runs.iter().map(DryRunLine::row).collect();
        let count = |state: &str| self.runs.iter().filter(|run| run.state == state).count();
        let shown = |state: &&&str| ["new", "done", "failed"].contains(*state) || count(state) > 0;
        let counts: Vec<String> =
            STATES.iter().filter(shown).map(|state| format!("{} {state}", count(state))).collect();
        let (total, counts) = (output::count(self.runs.len(), "run"), counts.join(", "));
        format!("{}{total}: {counts}; {}\n", output::table(&HEADER, &rows), self.time(jobs))
    }

    fn time(&self, jobs: usize) -> String {
        let mut open = self.runs.iter().filter(|run| run.open).peekable();
        if open.peek().is_none() {
            return "nothing left to do".into();
        }
        match open.map(|run| run.seconds).sum::<Option<f64>>() {
            Some(seconds) => format!("expected time: about {} with --jobs {jobs}", duration(seconds / jobs as f64)),
            None => "expected time: not known until a run has finished".into(),
        }
    }
}

impl DryRunLine<'_> {
    fn row(&self) -> Vec<String> {
        let c = &self.job.config;
        vec![
            self.number.to_string(),
            self.label.clone(),
            c.dataset.clone(),
            c.model.clone(),
            c.batch_size.to_string(),
            c.norm_batch_size.to_string(),
            output::short(c.lr),
            c.epochs.to_string(),
            c.seed.to_string(),
            self.state.to_string(),
            self.seconds.map_or("-".into(), duration),
            self.job.name.clone(),
        ]
    }
}

fn word(state: &State) -> &'static str {
    match state {
        State::New => "new",
        State::Interrupted => "interrupted",
        State::Running => "running",
        State::Over(summary) => match summary.status {
            Status::Done => "done",
            Status::Diverged => "diverged",
            Status::Failed => "failed",
        },
    }
}
