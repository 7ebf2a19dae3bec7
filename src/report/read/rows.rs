//! Runs from the rows of a `metrics.csv`.

use std::collections::hash_map::{Entry, HashMap};
use std::path::Path;

use super::cells::whole;
use super::columns::Columns;
use super::identity::{COLUMNS, FRACTION, IDENTITY, identify};
use super::notes::Notes;
use super::rates::{Owner, Rates};
use super::run::{Insertion, Point, Run, Series};
use super::settings;
use super::sheet::{Sheet, Step};
use crate::Error;
use crate::record::{Split, Stats};

/// Reads the runs out of the text of the file at `path`, in order of appearance.
pub(super) fn read(path: &Path, text: &str, notes: &mut Notes) -> Vec<Run> {
    let (runs, places, rates) = (vec![], HashMap::new(), Rates::default());
    let mut reader = RowReader { path, runs, places, last: None, rates, twice: (0, 0), mixed: (0, 0) };
    let mut sheet = Sheet::new(path, text, &COLUMNS);
    let mut columns = Columns::of(&sheet);
    while let Some(step) = sheet.next(notes) {
        match step {
            Step::Header => {
                columns = Columns::of(&sheet);
                reader.last = None;
                columns.check(&sheet, path, notes);
            }
            Step::Row => reader.row(&sheet, &columns, notes),
        }
    }
    notes.twice(path, reader.twice);
    if let (count @ 1.., line) = reader.mixed {
        let text = format!(
            "no column `split`, and rows of the same epoch have different scores ({count} of them): training and test \
             scores cannot be told apart; add the column; the file is not read"
        );
        notes.line(path, line, "mixed", text);
        return vec![];
    }
    for (place, rate) in reader.rates.first() {
        reader.runs[place].settings.insert(settings::ROWS_LR.into(), settings::rounded(rate));
    }
    reader.runs
}

struct RowReader<'a> {
    path: &'a Path,
    runs: Vec<Run>,
    /// The run of each set of cells that tell runs apart; none where they could not be read.
    places: HashMap<Vec<String>, Option<usize>>,
    /// That of the last row, since rows of a run usually follow each other.
    last: Option<(Vec<String>, Option<usize>)>,
    rates: Rates,
    /// Number of duplicate rows, and the line of the first.
    twice: (usize, usize),
    /// Number of rows with other scores for the same epoch where no column names the split, and the line of the first.
    mixed: (usize, usize),
}

impl RowReader<'_> {
    fn row(&mut self, sheet: &Sheet, columns: &Columns, notes: &mut Notes) {
        let Some(first) = self.place(sheet, columns, notes) else { return };
        let path = self.path;
        let mut wrong = |name: &str, cell: &str, what: &str| {
            let kind = format!("{name} {what}");
            notes.line(path, sheet.line(), &kind, format!("`{name}` is `{cell}`, {what}; the cell is not used"));
        };
        let mut float = |i: usize| match sheet.number(columns.get(i)) {
            Ok(Some(x)) if !x.is_finite() => {
                wrong(COLUMNS[i], sheet.cell(columns.get(i)), "not a finite number");
                None
            }
            Ok(Some(x)) if COLUMNS[i] == "accuracy" && !(0.0..=1.0).contains(&x) => {
                wrong("accuracy", sheet.cell(columns.get(i)), &format!("not {FRACTION}"));
                None
            }
            Ok(x) => x,
            Err(()) => {
                wrong(COLUMNS[i], sheet.cell(columns.get(i)), "not a number");
                None
            }
        };
        let (loss, accuracy, images_per_s, seconds) = (float(13), float(14), float(15), float(16));
        let rate = sheet.number(columns.get(17)).ok().flatten().filter(|rate| rate.is_finite() && *rate > 0.0);
        let count = |i: usize| whole(sheet.cell(columns.get(i))).map(|n| n.and_then(|n| usize::try_from(n).ok()));
        let Some((split, stats)) = self.measured_on(sheet, columns, notes) else { return };
        let epoch = match (columns.get(9), count(9)) {
            (None, _) => series(&mut self.runs[first], split, stats).points.last().map_or(1, |point| point.epoch + 1),
            (_, Ok(Some(epoch))) => epoch,
            _ => {
                notes.line(path, sheet.line(), "epoch", "`epoch` is not a whole number; the line is not read");
                return;
            }
        };
        let Some(place) = self.of_rate(first, epoch, rate.filter(|_| columns.get(9).is_some())) else {
            let text =
                "no column `run`, and neither settings nor `lr` say which run it belongs to; the line is not read";
            notes.line(path, sheet.line(), "run", text);
            return;
        };
        let step = count(10).ok().flatten();
        if let Some(rate) = rate {
            self.rates.add(place, epoch, rate);
        }
        let series = series(&mut self.runs[place], split, stats);
        match series.add(Point { epoch, step, loss, accuracy, images_per_s, seconds }) {
            Insertion::New => {}
            Insertion::Same if self.twice.0 == 0 => self.twice = (1, sheet.line()),
            Insertion::Same => self.twice.0 += 1,
            Insertion::Conflict if split.is_none() && self.mixed.0 == 0 => self.mixed = (1, sheet.line()),
            Insertion::Conflict if split.is_none() => self.mixed.0 += 1,
            Insertion::Conflict => {
                let run = &self.runs[place];
                let missing = match (run.is_named, columns.get(12)) {
                    (_, None) => "no column `stats`, and ",
                    (false, _) => "no column `run`, and no setting or rate tells the rows apart: ",
                    _ => "",
                };
                let name = &run.name;
                let text =
                    format!("{missing}epoch {epoch} of {name} occurs again with other scores; the first are used");
                notes.line(path, sheet.line(), "conflict", text);
            }
        }
        // A non-finite loss under `batch` or `precise`, measured beside the method's own rule, is no divergence.
        let own = split == Some(Split::Train) || !stats.is_some_and(Stats::is_extra);
        if own && sheet.number(columns.get(13)).is_ok_and(|loss| loss.is_some_and(|loss| !loss.is_finite())) {
            let run = &mut self.runs[place];
            run.not_finite = run.not_finite.max(epoch);
        }
    }

    /// The split (none without such a column) and the statistics of a row; none where their names are unknown.
    fn measured_on(
        &self,
        sheet: &Sheet,
        columns: &Columns,
        notes: &mut Notes,
    ) -> Option<(Option<Split>, Option<Stats>)> {
        let (split, stats) = (sheet.cell(columns.get(11)), sheet.cell(columns.get(12)));
        if columns.get(11).is_some() && split.is_empty() {
            notes.line(self.path, sheet.line(), "no split", "the split is empty; the line is not read");
            return None;
        }
        let mut cell = |i: usize, why: Error| {
            let text = format!("`{}`: {why}; the line is not read", COLUMNS[i]);
            notes.line(self.path, sheet.line(), COLUMNS[i], text);
        };
        let split = columns.get(11).map(|_| split.parse()).transpose().map_err(|why| cell(11, why)).ok()?;
        let stats = Some(stats).filter(|stats| !stats.is_empty()).map(str::parse).transpose();
        Some((split, stats.map_err(|why| cell(12, why)).ok()?))
    }

    /// The run that a row belongs to, by its cells.
    fn place(&mut self, sheet: &Sheet, columns: &Columns, notes: &mut Notes) -> Option<usize> {
        let cells = || columns.of_run().map(|column| sheet.cell(column));
        if let Some((last, place)) = &self.last
            && last.iter().map(String::as_str).eq(cells())
        {
            return *place;
        }
        let cells: Vec<String> = cells().map(String::from).collect();
        let names = columns.settings.iter().map(|(name, _)| name.clone());
        let place = match self.places.entry(cells.iter().cloned().chain(names).collect()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let run = identify(&std::array::from_fn(|i| cells[i].clone()));
                let run = run.map_err(|(column, why)| notes.line(self.path, sheet.line(), column, why)).ok();
                let place = run.map(|mut run| {
                    let settings = columns.settings.iter().zip(&cells[IDENTITY..]).filter(|(_, cell)| !cell.is_empty());
                    run.settings.extend(settings.map(|((key, _), cell)| (key.clone(), settings::plain(cell))));
                    self.runs.push(Run { source: self.path.to_path_buf(), ..run });
                    self.runs.len() - 1
                });
                *free.insert(place)
            }
        };
        self.last = Some((cells, place));
        place
    }

    /// The run that a row belongs to, among those with the cells of the run `first`: without a name, runs are told apart by
    /// their rates. None where these do not say.
    fn of_rate(&mut self, first: usize, epoch: usize, rate: Option<f64>) -> Option<usize> {
        let Some(rate) = rate.filter(|_| !self.runs[first].is_named) else { return Some(first) };
        match self.rates.owner(first, epoch, rate) {
            Owner::Run(run) => Some(run),
            Owner::Unknown => None,
            Owner::New => {
                let (series, not_finite) = (vec![], 0);
                self.runs.push(Run { series, not_finite, ..self.runs[first].clone() });
                self.rates.add_alike(first, self.runs.len() - 1);
                Some(self.runs.len() - 1)
            }
        }
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
