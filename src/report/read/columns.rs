//! Where the columns of a table of rows are.

use super::identity::{COLUMNS, IDENTITY, near_miss};
use super::notes::Notes;
use super::settings;
use super::sheet::Sheet;
use std::path::Path;

/// The columns of a `metrics.csv`, and those that users add to it.
pub(super) struct Columns {
    known: [Option<usize>; COLUMNS.len()],
    /// Settings, each with its column: they tell runs apart.
    pub settings: Vec<(String, usize)>,
}

impl Columns {
    /// The columns of the sheet's current header.
    pub fn of(sheet: &Sheet) -> Self {
        let setting = |(i, name): (usize, &String)| {
            // In such rows, `lr` is the rate of a step.
            let key = settings::of_column(name).filter(|key| key != "lr")?;
            Some((key, i)).filter(|_| sheet.columns([name])[0] == Some(i))
        };
        Self {
            known: sheet.columns(COLUMNS),
            settings: sheet.header().iter().enumerate().filter_map(setting).collect(),
        }
    }

    /// The place of column number `i` of [`COLUMNS`].
    pub fn get(&self, i: usize) -> Option<usize> {
        self.known[i]
    }

    /// Those that tell runs apart: the identifying ones and the settings.
    pub fn of_run(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        self.known[..IDENTITY].iter().copied().chain(self.settings.iter().map(|(_, i)| Some(*i)))
    }

    /// Remarks on missing columns that change the meaning of the rows.
    pub fn check(&self, sheet: &Sheet, path: &Path, notes: &mut Notes) {
        let defaults = [("double_forward", "taken as false"), ("epoch", "epochs are counted in the order of the rows")];
        for (name, instead) in defaults {
            if sheet.columns([name])[0].is_none() {
                let near = near_miss(name, sheet.header());
                notes.line(path, sheet.line(), name, format!("no column `{name}`{near}; {instead}"));
            }
        }
        check_twice(sheet, path, notes);
    }
}

/// Remarks on columns of the same name.
pub(super) fn check_twice(sheet: &Sheet, path: &Path, notes: &mut Notes) {
    let header = sheet.header();
    for (i, name) in header.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        if header[..i].contains(name) {
            notes.line(path, sheet.line(), name, format!("two columns are called `{name}`; the second is ignored"));
        }
    }
}
