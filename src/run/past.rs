//! What an earlier attempt at a run left to resume from.

use std::path::PathBuf;

use candle_core::Device;

use super::Session;
use super::identity::check_data;
use super::session::check_task;
use crate::config::Config;
use crate::model::Store;
use crate::record::{self, MetricRow, RunDir};
use crate::train::{Checkpoint, Position, ShiftRow, Trainer};
use crate::{Error, Result};

/// The checkpoint, and the records up to it.
pub(super) struct RunHistory {
    path: PathBuf,
    checkpoint: Checkpoint,
    position: Position,
    rows: Vec<MetricRow>,
    shifts: Vec<ShiftRow>,
}

/// Where training begins: a trainer, how far it has come, and its records.
pub(super) struct StartingPoint {
    pub(super) trainer: Trainer,
    pub(super) position: Position,
    pub(super) rows: Vec<MetricRow>,
    pub(super) shifts: Vec<ShiftRow>,
    /// The commits whose builds have worked on the run, this one last.
    pub(super) commits: Vec<String>,
}

/// The header field that holds them.
pub(super) const COMMITS: &str = "commits";

impl RunHistory {
    /// What is in the run's folder; none where there is no checkpoint.
    ///
    /// # Errors
    /// A checkpoint or records that are damaged or do not belong together.
    pub(super) fn read(dir: &RunDir, device: &Device) -> Result<Option<Self>> {
        let path = dir.last();
        if !path.exists() {
            return Ok(None);
        }
        let checkpoint = Checkpoint::load(&path, device)?;
        let position = checkpoint.position(&path)?;
        let rows = record::read_metrics(&dir.metrics(), position.epoch)?;
        if rows.len() != position.rows {
            let (read, epoch, written) = (rows.len(), position.epoch, position.rows);
            let why = format!(
                "it has {read} rows up to epoch {epoch}, the checkpoint counts {written}; restore the complete file, or start over \
                 with --fresh"
            );
            return Err(Error::data(dir.metrics(), why));
        }
        let shifts = record::read_rows(&dir.diagnostics(), |row: &ShiftRow| row.step <= position.step)?;
        Ok(Some(Self { path, checkpoint, position, rows, shifts }))
    }
}

impl StartingPoint {
    /// A new run, initialized from its seed.
    pub(super) fn fresh(config: &Config, session: &Session, steps: usize) -> Result<Self> {
        let trainer = Trainer::new(config, session.task(), Store::fresh(config.seed), &session.device, steps)?;
        let commits = record::commit().into_iter().map(String::from).collect();
        Ok(Self { trainer, position: Position::default(), rows: vec![], shifts: vec![], commits })
    }

    /// Where an earlier attempt stopped.
    ///
    /// # Errors
    /// A checkpoint of another data set or network.
    pub(super) fn resumed(past: RunHistory, config: &Config, session: &Session, steps: usize) -> Result<Self> {
        let RunHistory { path, checkpoint, position, rows, shifts } = past;
        let broken = |error: Error| match error {
            Error::Tensor(error) => Error::checkpoint(&path, Error::from(error).to_string()),
            other => other,
        };
        check_task(&path, checkpoint.task(&path)?, session.task())?;
        let header = checkpoint.field(&path, "config")?;
        let recorded = header.parse().map_err(|_| Error::checkpoint(&path, "its header's `config` is not TOML"))?;
        check_data(&path, &recorded, config)?;
        if position.epoch > config.epochs || position.batch > steps {
            return Err(Error::checkpoint(path, "its position lies beyond the end of the run; --fresh starts over"));
        }
        let recorded = checkpoint.metadata.get(COMMITS).map_or("", String::as_str);
        let mut commits: Vec<String> = recorded.split_whitespace().map(String::from).collect();
        if let Some(own) = record::commit().filter(|own| commits.last().is_none_or(|last| last != own)) {
            commits.push(own.to_string());
        }
        let store = Store::from_tensors(checkpoint.tensors);
        let mut trainer = Trainer::new(config, session.task(), store, &session.device, steps).map_err(broken)?;
        trainer.optimizer.restore(checkpoint.optimizer, position.step).map_err(|error| broken(error.into()))?;
        trainer.step = position.step;
        Ok(Self { trainer, position, rows, shifts, commits })
    }
}
