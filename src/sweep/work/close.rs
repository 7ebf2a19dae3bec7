//! Counting and recording a run that is over.

use std::time::Instant;

use super::{BusySlot, OpenRun, Work};
use crate::Result;
use crate::record::{self, RunDir, Status, Summary};
use crate::sweep::{Ending, State, look};

/// The summary is rewritten no sooner than this many times the duration of the last write, which limits writing to about a
/// twentieth of the time.
const WRITING: u32 = 20;

impl Work<'_> {
    /// Counts a run whose process has ended.
    pub(super) fn close(&mut self, slot: usize, BusySlot { run, begun, .. }: BusySlot, ending: Ending) {
        let index = run.index;
        if let Ending::Failed(why) = &ending {
            self.record_failure(&run, why, begun);
        }
        match (&ending, look(&self.folder(index))) {
            (Ending::Busy, _) => self.elsewhere.push(run),
            (Ending::Stopped, _) if self.is_told_to_stop() => self.tally.stopped = true,
            (_, State::Over(summary)) => {
                self.count(index, &summary);
                self.observer.end(slot, &self.jobs[index], &ending, Some(&summary));
                self.write();
                return self.report();
            }
            (Ending::Failed(_), _) => self.tally.failed += 1,
            _ => self.tally.died += 1,
        }
        self.observer.end(slot, &self.jobs[index], &ending, None);
        self.report();
    }

    /// Writes the summary of a run whose process could not: it failed before it had a folder, because of its data, for
    /// example, or ran out of memory.
    fn record_failure(&self, run: &OpenRun, why: &str, begun: Instant) {
        let (folder, config) = (self.folder(run.index), &self.jobs[run.index].config);
        match look(&folder) {
            State::New | State::Interrupted => {}
            State::Over(summary) if run.failure.as_ref() == Some(&summary) => {}
            State::Over(_) | State::Running => return,
        }
        let record = || {
            let dir = RunDir::create(&folder)?;
            let seconds = begun.elapsed().as_secs_f64();
            let rows = record::read_metrics(&dir.metrics(), usize::MAX).unwrap_or_default();
            Summary::new(config, &rows, None, None, seconds, 0)?.failed(why).write(&dir.summary())?;
            dir.log(&format!("failed: {why}"))
        };
        // If this fails, the run is still reported as failed, and the next call tries it again.
        let _: Result<()> = record();
    }

    /// Counts a run that is over.
    pub(super) fn count(&mut self, index: usize, summary: &Summary) {
        match summary.status {
            Status::Done => self.tally.done += 1,
            Status::Diverged => self.tally.diverged += 1,
            Status::Failed => self.tally.failed += 1,
        }
        if summary.status == Status::Done {
            self.estimate.learn(&self.jobs[index], summary.seconds);
        }
    }

    /// Writes the summary, unless the last write was too recent; at the end of the sweep it is written in any case.
    fn write(&mut self) {
        let (at, took) = self.written;
        if at.elapsed() < took * WRITING {
            return;
        }
        let begun = Instant::now();
        if let Err(error) = self.table.update(self.jobs) {
            self.observer.note(&format!("the summary cannot be written: {error}; the runs continue"));
        }
        self.written = (Instant::now(), begun.elapsed());
    }
}
