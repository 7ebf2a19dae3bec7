//! Learning rates in rows: they tell runs apart that have no name.

use std::collections::{BTreeMap, HashMap};

/// The rate of each run in each epoch; runs are numbered.
#[derive(Default)]
pub(super) struct Rates {
    by_run: HashMap<usize, BTreeMap<usize, f64>>,
    /// The runs that have the same identifying cells as a run.
    alike: HashMap<usize, Vec<usize>>,
}

/// Which run without a name a row belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// That one.
    Run(usize),
    /// One that had no row yet.
    New,
    /// One of several, and nothing says which.
    Unknown,
}

impl Rates {
    /// The run with the identifying cells of the run `first` that has this rate in this epoch: at the end of an epoch, a run
    /// has one rate.
    pub fn owner(&self, first: usize, epoch: usize, rate: f64) -> Owner {
        let own = [first];
        let alike = self.alike.get(&first).map_or(&own[..], Vec::as_slice);
        let rates = |run: &usize| self.by_run.get(run).into_iter().flatten();
        let here = |run: &&usize| self.by_run.get(*run)?.get(&epoch).copied();
        if let Some(run) = alike.iter().find(|run| here(run) == Some(rate)) {
            return Owner::Run(*run);
        }
        let open: Vec<&usize> = alike.iter().filter(|run| here(run).is_none()).collect();
        let constant = open.iter().find(|run| rates(run).any(|(_, other)| *other == rate));
        match (constant, &open[..]) {
            (Some(run), _) | (None, [run]) => Owner::Run(**run),
            (None, []) => Owner::New,
            _ => Owner::Unknown,
        }
    }

    /// Notes that `run` has the identifying cells of the run `first`.
    pub fn add_alike(&mut self, first: usize, run: usize) {
        self.alike.entry(first).or_insert_with(|| vec![first]).push(run);
    }

    /// Notes a run's rate in an epoch; the first counts.
    pub fn add(&mut self, run: usize, epoch: usize, rate: f64) {
        self.by_run.entry(run).or_default().entry(epoch).or_insert(rate);
    }

    /// Every run with the rate of its first epoch.
    pub fn first(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.by_run.iter().filter_map(|(run, rates)| Some((*run, *rates.first_key_value()?.1)))
    }
}
