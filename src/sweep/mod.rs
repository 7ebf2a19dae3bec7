//! Sweeps: a file that describes a grid of runs, the list of runs it stands for, and their execution in separate
//! processes, shared by every sweep that works in the same folder.
//!
//! The run folders are the only state: a run is finished when its folder holds a summary, in progress when its folder is
//! locked, interrupted otherwise. So a sweep can be killed and repeated at any time.

mod check;
mod condition;
mod document;
mod effect;
mod estimate;
mod event;
mod existing;
mod file;
mod grid;
mod identity;
mod observe;
mod row;
mod select;
mod slots;
mod state;
mod table;
mod tables;
mod work;
mod worker;

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

pub use check::check;
pub use estimate::Estimate;
pub use event::{Ending, Event, OUT_OF_MEMORY};
pub use existing::foreign;
pub use identity::Need;
pub use observe::{Observer, SweepOptions, Tally};
pub use select::Shard;
pub use state::{State, look};
pub use table::SummaryTable;
pub use work::run;

use crate::Result;
use crate::config::Config;

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// What the results are grouped by: the variant's name, which is no part of the run's hash.
    pub label: String,
    /// The run's name, which is that of its folder once the data are known ([`Sweep::on_data`]).
    pub name: String,
    /// The resolved configuration.
    pub config: Config,
}

impl Job {
    /// `mbn-df, mnist lenet, batch_size 2, lr 0.1, seed 1`: a description for messages.
    pub fn describe(&self) -> String {
        let c = &self.config;
        let micro = match c.norm_batch_size {
            same if same == c.batch_size => String::new(),
            size => format!(", norm_batch_size {size}"),
        };
        let (label, lr, seed) = (&self.label, c.lr, c.seed);
        format!("{label}, {} {}, batch_size {}{micro}, lr {lr}, seed {seed}", c.dataset, c.model, c.batch_size)
    }
}

/// A sweep: its runs, in the order in which they are trained.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The runs: every combination of the grid with the first seed, then with the second, so that a sweep that is half done
    /// is balanced.
    pub jobs: Vec<Job>,
    /// The text of the sweep file.
    pub text: String,
    /// What the user should know of the file: that it is empty; settings without effect in any of the runs, with places.
    pub notes: Vec<String>,
}

impl Sweep {
    /// Reads a sweep file and lists its runs; the format is described in `experiments/README.md`.
    ///
    /// # Errors
    /// The file cannot be read, says something unknown or contradictory, or describes no run at all: the message gives file
    /// and line, and the closest spelling.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(&path.display().to_string(), &crate::text::read(path, "sweep file")?)
    }

    /// The label of each run, followed by the settings in which runs of that label on the same data set differ, those in
    /// `columns` aside.
    ///
    /// # Errors
    /// A configuration cannot be written as TOML; resolved ones can.
    pub fn labels(&self, columns: &[&str]) -> Result<Vec<String>> {
        let settings = self.jobs.iter().map(|job| job.config.flat()).collect::<Result<Vec<_>>>()?;
        let mut differs = BTreeMap::<(&str, &str, &str), (&Value, bool)>::new();
        for (job, settings) in self.jobs.iter().zip(&settings) {
            for (key, value) in settings.iter().filter(|(key, _)| !columns.contains(&key.as_str())) {
                let (first, differs) = differs.entry((&job.label, &job.config.dataset, key)).or_insert((value, false));
                *differs |= *first != value;
            }
        }
        let label = |(job, settings): (&Job, &BTreeMap<String, Value>)| {
            let own =
                |key: &str| differs.get(&(&job.label, &job.config.dataset, key)).is_some_and(|(_, differs)| *differs);
            let shown = settings.iter().filter(|(key, _)| own(key)).map(|(key, value)| format!(" {key}={value}"));
            format!("{}{}", job.label, shown.collect::<String>())
        };
        Ok(self.jobs.iter().zip(&settings).map(label).collect())
    }

    /// As [`Self::load`], from the file's text; errors call it `name`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let (jobs, mut notes) = grid::expand(&file::read(name, text)?)?;
        if text.parse::<toml::Table>().is_ok_and(|table| table.is_empty()) {
            notes.push(format!("{name} holds no settings: the defaults are used, in one run"));
        }
        Ok(Self { jobs, text: text.to_string(), notes })
    }
}
