//! Training the runs of a sweep, several in parallel.

mod close;

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::slots::{BusySlot, OpenRun, time_left};
use super::worker::{Message, Worker};
use super::{Estimate, Event, Job, Observer, State, SummaryTable, Sweep, SweepOptions, Tally, identity, look};
use crate::record::Status;
use crate::{Error, Result};

/// How often the stop flag is checked.
const TICK: Duration = Duration::from_millis(100);

/// How often runs in other processes are checked, and progress is reported at most.
const RECHECK: Duration = Duration::from_secs(1);

/// Trains the runs of a sweep that are not finished, each in its own process, and writes `summary.csv`. Runs that another
/// sweep is training are waited for, and taken over if it stops.
///
/// # Errors
/// The sweep folder cannot be written to or holds a `summary.csv` with rows that would be lost; a process cannot be started. A run that fails is not an error.
pub fn run(sweep: &Sweep, options: &SweepOptions, observer: &mut dyn Observer) -> Result<Tally> {
    let runs = options.out.join("runs");
    let mut table = SummaryTable::new(&options.out, &sweep.jobs)?;
    fs::create_dir_all(&runs).map_err(Error::io(&runs))?;
    identity::record(&options.out, &sweep.jobs)?;
    table.keep(&sweep.text)?;
    table.update(&sweep.jobs)?; // before the first run: what cannot be written should be known now
    table.notes(&sweep.jobs).iter().for_each(|note| observer.note(&format!("note: {note}")));
    let (to, from) = channel();
    let slots = (0..options.jobs.max(1)).map(|_| None).collect();
    let mut work = Work {
        jobs: &sweep.jobs,
        options,
        observer,
        runs,
        table,
        estimate: Estimate::default(),
        queue: VecDeque::new(),
        elsewhere: vec![],
        slots,
        tally: Tally { total: options.selection.len(), ..Tally::default() },
        to,
        from,
        looked: Instant::now(),
        reported: Instant::now(),
        written: (Instant::now(), Duration::ZERO),
    };
    work.plan();
    work.all()?;
    work.table.update(&sweep.jobs)?;
    Ok(work.tally)
}

struct Work<'a> {
    jobs: &'a [Job],
    options: &'a SweepOptions<'a>,
    observer: &'a mut dyn Observer,
    runs: PathBuf,
    table: SummaryTable,
    estimate: Estimate,
    queue: VecDeque<OpenRun>,
    /// Runs that other processes are training.
    elsewhere: Vec<OpenRun>,
    slots: Vec<Option<BusySlot>>,
    tally: Tally,
    to: Sender<(usize, Message)>,
    from: Receiver<(usize, Message)>,
    /// When those elsewhere were last checked.
    looked: Instant,
    /// When progress was last reported.
    reported: Instant,
    /// When the summary was last written, and how long that took.
    written: (Instant, Duration),
}

impl Work<'_> {
    /// Counts what is finished and lists what is not.
    fn plan(&mut self) {
        for &index in &self.options.selection {
            match look(&self.folder(index)) {
                State::Over(summary) if summary.status == Status::Failed && self.options.retry_failed => {
                    self.queue.push_back(OpenRun { index, failure: Some(summary) });
                }
                State::Over(summary) => self.count(index, &summary),
                _ => self.queue.push_back(OpenRun { index, failure: None }),
            }
        }
        self.report();
    }

    /// Trains what is listed.
    fn all(&mut self) -> Result<()> {
        loop {
            if self.is_told_to_stop() {
                if self.slots.iter().flatten().any(|slot| slot.worker.is_some()) {
                    self.observer.note("interrupted: the running jobs finish their step and save");
                }
                self.tally.stopped |= !(self.queue.is_empty() && self.elsewhere.is_empty());
                self.queue.clear();
                self.elsewhere.clear();
                self.slots.iter_mut().flatten().for_each(|slot| slot.worker = None);
            } else {
                self.fill()?;
            }
            let idle = self.slots.iter().all(Option::is_none);
            if idle && self.queue.is_empty() && self.elsewhere.is_empty() {
                return Ok(());
            }
            match self.from.recv_timeout(TICK) {
                Ok((slot, message)) => self.hear(slot, message),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Gives every free slot a run, if there is one that no other process is training.
    fn fill(&mut self) -> Result<()> {
        while let Some(slot) = self.slots.iter().position(Option::is_none) {
            if self.queue.is_empty() && self.looked.elapsed() >= RECHECK {
                self.queue.extend(self.elsewhere.drain(..));
                self.looked = Instant::now();
            }
            let Some(run) = self.queue.pop_front() else { return Ok(()) };
            match look(&self.folder(run.index)) {
                State::Over(summary) if run.failure.as_ref() != Some(&summary) => {
                    self.count(run.index, &summary);
                    self.report();
                }
                State::Running => self.elsewhere.push(run),
                _ => self.start(slot, run)?,
            }
        }
        Ok(())
    }

    fn start(&mut self, slot: usize, run: OpenRun) -> Result<()> {
        let job = &self.jobs[run.index];
        let worker = Worker::start((self.options.command)(job), job, slot, self.to.clone())?;
        self.observer.begin(slot, job);
        self.slots[slot] = Some(BusySlot { run, worker: Some(worker), begun: Instant::now(), parts: None });
        Ok(())
    }

    fn hear(&mut self, number: usize, message: Message) {
        let Some(slot) = &mut self.slots[number] else { return };
        let job = &self.jobs[slot.run.index];
        match message {
            Message::Event(event) => {
                if let Event::Step { done, total, .. } = &event {
                    slot.advance(*done, *total);
                }
                self.observer.event(number, job, &event);
                if self.reported.elapsed() >= RECHECK {
                    self.report();
                }
            }
            Message::Gone(ending) => {
                if let Some(slot) = self.slots[number].take() {
                    self.close(number, slot, ending);
                }
            }
        }
    }

    fn is_told_to_stop(&self) -> bool {
        self.options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    fn report(&mut self) {
        self.tally.left = time_left(self.jobs, &self.estimate, self.queue.iter(), &self.slots);
        self.tally.under_way = self.slots.iter().flatten().map(BusySlot::done).sum();
        self.observer.tally(&self.tally);
        self.reported = Instant::now();
    }

    fn folder(&self, index: usize) -> PathBuf {
        self.runs.join(&self.jobs[index].name)
    }
}
