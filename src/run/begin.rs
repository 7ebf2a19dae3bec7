//! Beginning a run, going on with one, or finding it finished; and what is recorded when that fails.

use std::path::Path;
use std::time::Instant;

use super::execute::Run;
use super::past::Past;
use super::{Options, Outcome, Session, Watcher};
use crate::config::Config;
use crate::record::{self, RunDir, Summary};
use crate::{Error, Result};

/// Trains what a resolved `config` describes, or continues where an earlier call was broken off. A finished run is not
/// repeated.
///
/// # Errors
/// Data, device or folder that cannot be used; a damaged checkpoint (it is left as it is); nothing to resume where
/// that was demanded. A run that had begun leaves a summary that says `failed` and why, and can still be resumed. One
/// that leaves the finite numbers is no error but an outcome: its summary says `diverged`.
pub fn run(config: &Config, options: &Options, watcher: &mut dyn Watcher) -> Result<Outcome> {
    let path = options.out.join(config.run_name()?);
    if let Some(outcome) = finished(&path, options, watcher)? {
        return Ok(outcome);
    }
    let last = path.join(record::LAST);
    if options.must_resume && !last.exists() {
        return Err(Error::checkpoint(last, "nothing to resume: there is no checkpoint yet; leave out --resume"));
    }
    let session = Session::open(config, &options.source)?;
    let dir = RunDir::create(&path)?;
    if options.fresh {
        dir.clear()?;
    } else if let Some(outcome) = finished(&path, options, watcher)? {
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

/// The outcome of a run that is over already.
fn finished(path: &Path, options: &Options, watcher: &mut dyn Watcher) -> Result<Option<Outcome>> {
    if options.fresh {
        return Ok(None);
    }
    match record::read_finished(path) {
        Err(error @ Error::Data { .. }) if options.recover => {
            watcher.note(&format!("{error}: going on from the checkpoint"));
            Ok(None)
        }
        found => Ok(found?.map(|summary| Outcome::Done {
            dir: path.to_path_buf(),
            summary: Box::new(summary),
            already: true,
        })),
    }
}

/// Begins or resumes in a folder that is ours alone.
fn attempt(
    config: &Config,
    options: &Options,
    dir: &RunDir,
    session: Session,
    watcher: &mut dyn Watcher,
) -> Result<Outcome> {
    let past = match Past::read(dir, &session.device) {
        Err(damage @ (Error::Checkpoint { .. } | Error::Data { .. })) if options.recover => {
            let text = format!("{damage}: set aside, the run starts over");
            dir.log(&text)?;
            watcher.note(&text);
            dir.set_aside()?;
            None
        }
        past => past?,
    };
    let mut run = Run::open(config, options, dir, session, past)?;
    dir.log(&format!("start at epoch {} batch {}", run.position.epoch, run.position.batch))?;
    watcher.start(&run.plan()?);
    let ended = run.train(watcher);
    run.close(ended)
}

/// Records that a run failed, as far as the system still lets us: without a summary it counts as broken off.
fn give_up(config: &Config, dir: &RunDir, begun: Instant, error: &Error) {
    let _ = dir.log(&format!("failed: {error}"));
    let rows = record::read_metrics(&dir.metrics(), usize::MAX).unwrap_or_default();
    if let Ok(summary) = Summary::new(config, &rows, None, None, begun.elapsed().as_secs_f64(), 0) {
        let _ = summary.failed(error.to_string()).write(&dir.summary());
    }
}
