//! Runs from the rows of a `metrics.csv`.

use std::collections::hash_map::{Entry, HashMap};
use std::path::Path;

use super::cells::whole;
use super::identity::{COLUMNS, FRACTION, IDENTITY, identify, near_miss};
use super::notes::Notes;
use super::run::{Insertion, Point, Run, Series};
use super::settings;
use super::sheet::{Sheet, Step};
use crate::Error;
use crate::record::{Split, Stats};

/// Reads the runs out of the text of the file at `path`, in order of appearance.
pub(super) fn read(path: &Path, text: &str, notes: &mut Notes) -> Vec<Run> {
    let (runs, places, rates) = (vec![], HashMap::new(), HashMap::new());
    let mut reader = RowReader { path, runs, places, last: None, rates, twice: (0, 0), mixed: (0, 0) };
    let mut sheet = Sheet::new(path, text, &COLUMNS);
    let mut columns = [None; COLUMNS.len()];
    while let Some(step) = sheet.next(notes) {
        match step {
            Step::Header => {
                columns = sheet.columns(COLUMNS);
                reader.last = None;
                reader.check_header(&sheet, &columns, notes);
            }
            Step::Row => reader.row(&sheet, &columns, notes),
        }
    }
    if let (count @ 1.., line) = reader.twice {
        let rows = if count == 1 { "1 row is".into() } else { format!("{count} rows are") };
        notes.file(path, format!("{rows} there twice (the first in line {line}); each counts once"));
    }
    if let (count @ 1.., line) = reader.mixed {
        let text = format!(
            "no column `split`, and rows of the same epoch have different scores ({count} of them): training and test \
             scores cannot be told apart; add the column; the file is not read"
        );
        notes.line(path, line, "mixed", text);
        return vec![];
    }
    for (place, (_, rate)) in reader.rates {
        reader.runs[place].settings.insert(settings::ROWS_LR.into(), settings::rounded(rate));
    }
    reader.runs
}

struct RowReader<'a> {
    path: &'a Path,
    runs: Vec<Run>,
    /// The run of each set of identifying cells; none where they could not be read.
    places: HashMap<[String; IDENTITY], Option<usize>>,
    /// That of the last row, since rows of a run usually follow each other.
    last: Option<([String; IDENTITY], Option<usize>)>,
    /// Each run's first epoch with a learning rate, and that rate.
    rates: HashMap<usize, (usize, f64)>,
    /// Number of duplicate rows, and the line of the first.
    twice: (usize, usize),
    /// Number of rows with other scores for the same epoch where no column names the split, and the line of the first.
    mixed: (usize, usize),
}

impl RowReader<'_> {
    /// Remarks on missing columns that change the meaning of the rows.
    fn check_header(&self, sheet: &Sheet, columns: &[Option<usize>], notes: &mut Notes) {
        let defaults = [("double_forward", "taken as false"), ("epoch", "epochs are counted in the order of the rows")];
        for (name, instead) in defaults {
            let place = COLUMNS.iter().position(|column| *column == name);
            if place.and_then(|place| columns[place]).is_none() {
                let near = near_miss(name, sheet.header());
                notes.line(self.path, sheet.line(), name, format!("no column `{name}`{near}; {instead}"));
            }
        }
    }

    fn row(&mut self, sheet: &Sheet, columns: &[Option<usize>; COLUMNS.len()], notes: &mut Notes) {
        let Some(place) = self.place(sheet, columns, notes) else { return };
        let path = self.path;
        let mut wrong = |name: &str, cell: &str, what: &str| {
            let kind = format!("{name} {what}");
            notes.line(path, sheet.line(), &kind, format!("`{name}` is `{cell}`, {what}; the cell is not used"));
        };
        let mut float = |i: usize| match sheet.number(columns[i]) {
            Ok(Some(x)) if !x.is_finite() => {
                wrong(COLUMNS[i], sheet.cell(columns[i]), "not a finite number");
                None
            }
            Ok(Some(x)) if COLUMNS[i] == "accuracy" && !(0.0..=1.0).contains(&x) => {
                wrong("accuracy", sheet.cell(columns[i]), &format!("not {FRACTION}"));
                None
            }
            Ok(x) => x,
            Err(()) => {
                wrong(COLUMNS[i], sheet.cell(columns[i]), "not a number");
                None
            }
        };
        let (loss, accuracy, images_per_s, seconds) = (float(13), float(14), float(15), float(16));
        let rate = sheet.number(columns[17]).ok().flatten().filter(|rate| rate.is_finite());
        let count = |i: usize| whole(sheet.cell(columns[i])).map(|n| n.and_then(|n| usize::try_from(n).ok()));
        let Some((split, stats)) = self.measured_on(sheet, columns, notes) else { return };
        let series = series(&mut self.runs[place], split, stats);
        let epoch = match (columns[9], count(9)) {
            (None, _) => series.points.last().map_or(1, |point| point.epoch + 1),
            (_, Ok(Some(epoch))) => epoch,
            _ => {
                notes.line(path, sheet.line(), "epoch", "`epoch` is not a whole number; the line is not read");
                return;
            }
        };
        let step = count(10).ok().flatten();
        if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
            let first = self.rates.entry(place).or_insert((epoch, rate));
            if epoch < first.0 {
                *first = (epoch, rate);
            }
        }
        match series.add(Point { epoch, step, loss, accuracy, images_per_s, seconds }) {
            Insertion::New => {}
            Insertion::Same if self.twice.0 == 0 => self.twice = (1, sheet.line()),
            Insertion::Same => self.twice.0 += 1,
            Insertion::Conflict if split.is_none() && self.mixed.0 == 0 => self.mixed = (1, sheet.line()),
            Insertion::Conflict if split.is_none() => self.mixed.0 += 1,
            Insertion::Conflict => {
                let run = &self.runs[place].name;
                let text = format!("epoch {epoch} of {run} occurs again with other scores; the first are used");
                notes.line(path, sheet.line(), "conflict", text);
            }
        }
        // A non-finite loss under `batch` or `precise`, measured beside the method's own rule, is no divergence.
        let own = split == Some(Split::Train) || !stats.is_some_and(Stats::is_extra);
        if own && sheet.number(columns[13]).is_ok_and(|loss| loss.is_some_and(|loss| !loss.is_finite())) {
            let run = &mut self.runs[place];
            run.not_finite = run.not_finite.max(epoch);
        }
    }

    /// The split (none without such a column) and the statistics of a row; none where their names are unknown.
    fn measured_on(
        &self,
        sheet: &Sheet,
        columns: &[Option<usize>; COLUMNS.len()],
        notes: &mut Notes,
    ) -> Option<(Option<Split>, Option<Stats>)> {
        let mut cell = |i: usize, why: Error| {
            let text = format!("`{}`: {why}; the line is not read", COLUMNS[i]);
            notes.line(self.path, sheet.line(), COLUMNS[i], text);
        };
        let (split, stats) = (sheet.cell(columns[11]), sheet.cell(columns[12]));
        let split = columns[11].map(|_| split.parse()).transpose().map_err(|why| cell(11, why)).ok()?;
        let stats = Some(stats).filter(|stats| !stats.is_empty()).map(str::parse).transpose();
        Some((split, stats.map_err(|why| cell(12, why)).ok()?))
    }

    /// The run that a row belongs to.
    fn place(&mut self, sheet: &Sheet, columns: &[Option<usize>; 18], notes: &mut Notes) -> Option<usize> {
        if let Some((cells, place)) = &self.last
            && cells.iter().zip(columns).all(|(cell, column)| cell == sheet.cell(*column))
        {
            return *place;
        }
        let cells: [String; IDENTITY] = std::array::from_fn(|i| sheet.cell(columns[i]).to_string());
        let place = match self.places.entry(cells.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let run = identify(&cells);
                let run = run.map_err(|(column, why)| notes.line(self.path, sheet.line(), column, why)).ok();
                let place = run.map(|run| {
                    self.runs.push(Run { source: self.path.to_path_buf(), ..run });
                    self.runs.len() - 1
                });
                *free.insert(place)
            }
        };
        self.last = Some((cells, place));
        place
    }
}

/// The series of a run for a split and statistics, created where it does not exist. Training is one series, although its
/// statistics may change, as when they are frozen.
pub(super) fn series(run: &mut Run, split: Option<Split>, stats: Option<Stats>) -> &mut Series {
    let place = run
        .series
        .iter()
        .position(|series| series.split == split && (split == Some(Split::Train) || series.stats == stats));
    let place = place.unwrap_or_else(|| {
        run.series.push(Series { split, stats, points: vec![] });
        run.series.len() - 1
    });
    &mut run.series[place]
}
