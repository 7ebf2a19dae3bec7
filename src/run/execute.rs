//! The training loop of a run, with its records.

mod rows;

use std::time::Instant;

use super::memory;
use super::past::{COMMITS, RunHistory, StartingPoint};
use super::{Outcome, RunOptions, RunPlan, Session, Watcher};
use crate::config::Config;
use crate::record::{self, MetricRow, RunDir, Split, Summary};
use crate::train::{self, Checkpoint, Part, Position, PreUpdateMoments, ShiftRow, StepReport, Trainer};
use crate::{Error, Result};

/// A run in progress, in its folder.
pub(super) struct ActiveRun<'a> {
    config: &'a Config,
    options: &'a RunOptions,
    name: String,
    dir: &'a RunDir,
    session: Session,
    trainer: Trainer,
    pub(super) position: Position,
    rows: Vec<MetricRow>,
    shifts: Vec<ShiftRow>,
    /// The commits whose builds have worked on the run, this one last.
    pub(super) commits: Vec<String>,
    /// Images whose pooled statistics stand for the training set's.
    population: Vec<u32>,
    /// Lower bound on the memory of a step, in bytes.
    step_bytes: u64,
    started: Instant,
    saved: Instant,
}

impl<'a> ActiveRun<'a> {
    pub(super) fn open(
        config: &'a Config,
        options: &'a RunOptions,
        dir: &'a RunDir,
        session: Session,
        past: Option<RunHistory>,
    ) -> Result<Self> {
        let steps = session.steps_per_epoch(config);
        let StartingPoint { trainer, position, rows, shifts, commits } = match past {
            Some(past) => StartingPoint::resumed(past, config, &session, steps)?,
            None => StartingPoint::fresh(config, &session, steps)?,
        };
        let step_bytes = memory::step_bytes(trainer.network()?, session.task(), config);
        memory::check(config, step_bytes)?;
        record::atomic::write(&dir.config(), config.to_toml()?.as_bytes())?;
        let population = session.sample(config.precise_examples);
        let (name, now) = (config.run_name()?, Instant::now());
        let (started, saved) = (now, now);
        Ok(Self {
            config,
            options,
            name,
            dir,
            session,
            trainer,
            position,
            rows,
            shifts,
            commits,
            population,
            step_bytes,
            started,
            saved,
        })
    }

    pub(super) fn plan(&self) -> Result<RunPlan> {
        let count = |part: Part| part.indices.len();
        Ok(RunPlan {
            run: self.name.clone(),
            epochs: self.config.epochs,
            steps_per_epoch: self.session.steps_per_epoch(self.config),
            epoch: self.position.epoch,
            batch: self.position.batch,
            parameters: self.trainer.parameter_count(),
            step_bytes: self.step_bytes,
            image_counts: [count(self.session.train()), count(self.session.val()), count(self.session.test())],
            origin: self.session.dataset.origin.clone(),
            lr: train::full_rate(self.config),
        })
    }

    /// Trains to the end; returns false if stopped before it.
    pub(super) fn train(&mut self, watcher: &mut dyn Watcher) -> Result<bool> {
        while self.position.epoch < self.config.epochs {
            if !self.train_epoch(watcher)? {
                return Ok(false);
            }
            let rows = self.evaluate()?;
            self.session.check_data()?;
            self.end_epoch(&rows)?;
            watcher.epoch(self.position.epoch, &rows);
        }
        Ok(true)
    }

    fn train_epoch(&mut self, watcher: &mut dyn Watcher) -> Result<bool> {
        let steps = self.session.steps_per_epoch(self.config);
        let order = self.session.order(self.config, self.position.epoch);
        self.freeze()?;
        while self.position.batch < steps {
            if self.options.stop.is_some_and(|stop| stop.load(std::sync::atomic::Ordering::Relaxed)) {
                self.save()?;
                return Ok(false);
            }
            let begun = Instant::now();
            let report = self.step(&order, steps)?;
            let position = &mut self.position;
            position.batch += 1;
            position.step = self.trainer.step;
            position.loss_sum += report.loss * report.images as f64;
            position.correct += report.correct;
            position.images += report.images;
            position.train_seconds += begun.elapsed().as_secs_f64();
            watcher.step(position.epoch + 1, position.batch, &report);
            if self.saved.elapsed() >= self.options.checkpoint_every {
                self.save()?;
            }
        }
        Ok(true)
    }

    /// Whether the current epoch normalizes by frozen statistics.
    fn is_frozen(&self) -> bool {
        self.position.epoch + self.config.freeze_epochs >= self.config.epochs
    }

    /// Freezes the statistics at the start of the first frozen epoch: those of the training images under its initial
    /// weights. A run resumed later has them in its checkpoint.
    fn freeze(&mut self) -> Result<()> {
        let begins = self.position.epoch + self.config.freeze_epochs == self.config.epochs && self.position.batch == 0;
        if begins && self.is_frozen() {
            let network = self.trainer.network()?;
            let statistics = train::precise::population(network, self.session.sampled(&self.population))?;
            if let Some(layer) = train::precise::first_not_finite(network, &statistics)? {
                let tensor = format!("statistics of {layer} over training images");
                return Err(Error::Diverged { step: self.trainer.step, tensor });
            }
            train::precise::set(network, &statistics)?;
        }
        self.trainer.frozen = self.is_frozen();
        Ok(())
    }

    /// One update, with its diagnostics where they are due: every `diagnostics_every` steps, and at the end of an epoch,
    /// where they include the statistics of the training set.
    fn step(&mut self, order: &[u32], steps: usize) -> Result<StepReport> {
        let batch = self.session.batch(self.config, order, self.position.epoch, self.position.batch)?;
        let last = self.position.batch + 1 == steps;
        let scheduled = (self.trainer.step + 1).is_multiple_of(self.config.diagnostics_every);
        // Where statistics are frozen, no batch shifts them.
        let due = self.config.diagnostics && !self.trainer.frozen && (last || scheduled);
        let mut before = PreUpdateMoments::default();
        let report = self.trainer.step(&batch, &mut |network| {
            if due {
                before = PreUpdateMoments::of(network);
            }
        })?;
        if due {
            let population = last.then(|| self.session.sampled(&self.population));
            let place = (self.position.epoch + 1, self.trainer.step);
            let size = self.config.norm_batch_size;
            let (network, progress) = (self.trainer.network()?, self.trainer.progress());
            self.shifts.extend(before.compare(network, progress, &batch, size, place, population)?);
        }
        Ok(report)
    }

    /// Seconds the run has taken, excluding interruptions.
    fn seconds(&self) -> f64 {
        self.position.seconds + self.started.elapsed().as_secs_f64()
    }

    /// Writes the records first and the checkpoint last: a run killed in between writes the same rows again when resumed.
    fn end_epoch(&mut self, rows: &[MetricRow]) -> Result<()> {
        self.rows.extend_from_slice(rows);
        record::write_rows(&self.dir.metrics(), &self.rows)?;
        let accuracy = rows.iter().find(|row| row.split == Split::Val).and_then(|row| row.accuracy);
        let improved = accuracy.is_some_and(|now| self.position.best.is_none_or(|best| now > best));
        if improved {
            self.position.best = accuracy;
            self.checkpoint(None)?.save(&self.dir.best())?;
        }
        let Position { epoch, step, seconds, best, .. } = self.position;
        self.position =
            Position { epoch: epoch + 1, rows: self.rows.len(), step, seconds, best, ..Position::default() };
        self.save()
    }

    fn save(&mut self) -> Result<()> {
        if self.config.diagnostics {
            record::write_rows(&self.dir.diagnostics(), &self.shifts)?;
        }
        let position = Position { seconds: self.seconds(), ..self.position.clone() };
        self.checkpoint(Some(&position))?.save(&self.dir.last())?;
        self.saved = Instant::now();
        Ok(())
    }

    fn checkpoint(&self, position: Option<&Position>) -> Result<Checkpoint> {
        let (config, task) = (self.config.to_toml()?, self.session.task());
        let mut checkpoint = Checkpoint::of(&self.trainer, &config, &self.config.model, task, position)?;
        checkpoint.metadata.insert(COMMITS.to_string(), self.commits.join(" "));
        Ok(checkpoint)
    }

    /// The outcome, with the summary written where the run is over.
    pub(super) fn close(self, ended: Result<bool>) -> Result<Outcome> {
        let diverged = match ended {
            Ok(false) => {
                self.dir.log(&format!("interrupted after step {}", self.trainer.step))?;
                return Ok(Outcome::Interrupted { dir: self.dir.path().to_path_buf(), step: self.trainer.step });
            }
            Ok(true) => None,
            Err(Error::Diverged { step, tensor }) => Some((step, tensor)),
            Err(error) => return Err(error),
        };
        record::write_rows(&self.dir.metrics(), &self.rows)?;
        let shifts = record::by_layer(self.shifts.iter().filter_map(|row| Some((row.layer.as_str(), row.shift?))));
        let parameters = self.trainer.parameter_count();
        let shift = record::median_of_medians(&shifts);
        let summary = Summary::new(self.config, &self.rows, diverged, shift, self.seconds(), parameters)?;
        let summary = summary.with_shifts(shifts).with_commits(&self.commits);
        summary.write(&self.dir.summary())?;
        self.dir.log(&format!("{} after step {}", summary.status, self.trainer.step))?;
        let dir = self.dir.path().to_path_buf();
        Ok(Outcome::Done { dir, summary: Box::new(summary), already: false })
    }
}
