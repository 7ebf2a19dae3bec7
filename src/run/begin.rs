//! Starting a run, resuming it, or finding it finished; and recording its failure.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::execute::ActiveRun;
use super::identity::{check_data, on_other_data};
use super::past::RunHistory;
use super::{Outcome, RunOptions, Session, Watcher};
use crate::config::Config;
use crate::record::{self, RunDir, Summary};
use crate::{Error, Result, data};

/// Trains what a resolved `config` describes, or resumes where an earlier call was interrupted. A finished run is not
/// repeated.
///
/// # Errors
/// Data, device or folder that cannot be used; a damaged checkpoint (it is left as it is); nothing to resume where
/// [`RunOptions::must_resume`] is set. A run that fails after it has started leaves a summary that says `failed` and
/// why, and can still be resumed. A run that becomes non-finite is not an error: its summary says `diverged`.
pub fn run(config: &Config, options: &RunOptions, watcher: &mut dyn Watcher) -> Result<Outcome> {
    let dataset = data::load(&config.dataset, &options.source)?;
    let config = &config.with_data_digest(&dataset.digest, &dataset.origin)?;
    let path = options.out.join(config.run_name()?);
    if let Some(outcome) = finished(&path, config, options, watcher)? {
        // Nothing is computed, so that the run's device need not be here.
        let config = Config { device: Config::default().device, ..config.clone() };
        let session = Session::new(&config, dataset)?;
        warnings(&config, &session).iter().for_each(|text| watcher.note(text));
        return Ok(outcome);
    }
    let last = path.join(record::LAST);
    let other = if last.exists() { None } else { on_other_data(&options.out, config)? };
    if options.must_resume && !last.exists() {
        return Err(nothing_to_resume(last, config, other));
    }
    if let Some((dir, digest)) = other {
        let (own, dir) = (&dataset.digest, dir.display());
        watcher.note(&format!(
            "note: {dir} has the same settings on other data (digest {digest}, here {own}); this is a new run"
        ));
    }
    let session = Session::new(config, dataset)?;
    let dir = RunDir::create(&path)?;
    if options.fresh {
        dir.clear()?;
    } else if let Some(outcome) = finished(&path, config, options, watcher)? {
        return Ok(outcome); // by another process, while this one was getting ready
    }
    dir.reopen()?;
    let begun = Instant::now();
    let result = attempt(config, options, &dir, session, watcher);
    if let Err(error) = &result {
        give_up(config, &dir, begun, error);
    }
    result
}

fn nothing_to_resume(last: PathBuf, config: &Config, other: Option<(PathBuf, String)>) -> Error {
    let why = match (other, &config.data_digest) {
        (Some((dir, digest)), Some(own)) => format!(
            "nothing to resume: the run with these settings in {} is on other data (digest {digest}, here {own}); point \
             --data-dir to its data, or leave out --resume for a new run",
            dir.display()
        ),
        _ => "nothing to resume: there is no checkpoint yet; leave out --resume".into(),
    };
    Error::checkpoint(last, why)
}

/// The outcome of a run that is already over.
fn finished(path: &Path, config: &Config, options: &RunOptions, watcher: &mut dyn Watcher) -> Result<Option<Outcome>> {
    if options.fresh {
        return Ok(None);
    }
    let found = match record::read_finished(path) {
        Err(error @ Error::Data { .. }) if options.recover => {
            watcher.note(&format!("{error}: resuming from the checkpoint"));
            return Ok(None);
        }
        found => found?,
    };
    let Some(summary) = found else { return Ok(None) };
    check_data(path, &summary.config, config)?;
    Ok(Some(Outcome::Done { dir: path.to_path_buf(), summary: Box::new(summary), already: true }))
}

/// Starts or resumes the run in its locked folder.
fn attempt(
    config: &Config,
    options: &RunOptions,
    dir: &RunDir,
    session: Session,
    watcher: &mut dyn Watcher,
) -> Result<Outcome> {
    let past = match RunHistory::read(dir, &session.device) {
        Err(damage @ (Error::Checkpoint { .. } | Error::Data { .. })) if options.recover => {
            let text = format!("{damage}: set aside, the run starts over");
            dir.log(&text)?;
            watcher.note(&text);
            dir.set_aside()?;
            None
        }
        past => past.map_err(discardable)?,
    };
    for warning in warnings(config, &session) {
        dir.log(&warning)?;
        watcher.note(&warning);
    }
    let mut run = ActiveRun::open(config, options, dir, session, past)?;
    if let [first, .., last] = &run.commits[..] {
        let text = format!("note: this run was begun by commit {first}; it goes on with {last}");
        dir.log(&text)?;
        watcher.note(&text);
    }
    dir.log(&format!("start at epoch {} batch {}", run.position.epoch, run.position.batch))?;
    watcher.start(&run.plan()?);
    let ended = run.train(watcher);
    run.close(ended)
}

/// What the user should know of the data, whether they are trained on now or were earlier.
fn warnings(config: &Config, session: &Session) -> Vec<String> {
    let remarks = [session.dataset.remarks.clone(), session.remarks(config)].concat();
    remarks.iter().map(|remark| format!("warning: {}: {remark}", config.dataset)).collect()
}

/// The error about a run's own damaged checkpoint, with the way to do without it.
fn discardable(error: Error) -> Error {
    match error {
        Error::Checkpoint { path, reason } if !reason.contains("--fresh") => {
            Error::checkpoint(path, format!("{reason}; or discard the run's files and start over with --fresh"))
        }
        other => other,
    }
}

/// Records that a run failed, if that is possible: without a summary it counts as interrupted.
fn give_up(config: &Config, dir: &RunDir, begun: Instant, error: &Error) {
    let _ = dir.log(&format!("failed: {error}"));
    let rows = record::read_metrics(&dir.metrics(), usize::MAX).unwrap_or_default();
    if let Ok(summary) = Summary::new(config, &rows, None, None, begun.elapsed().as_secs_f64(), 0) {
        let _ = summary.failed(error.to_string()).write(&dir.summary());
    }
}
