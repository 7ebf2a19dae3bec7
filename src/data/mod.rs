//! Data sets: one file each, one table that names them ([`DATASETS`]); augmentation and batching.

use crate::Result;

/// One line of the table.
#[derive(Debug)]
pub struct Kind {
    /// Name in commands and files.
    pub name: &'static str,
    /// One line of explanation.
    pub about: &'static str,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Whether training pictures are cropped and flipped at random unless the configuration says otherwise.
    pub augment: bool,
}

/// Every data set the program knows.
pub static DATASETS: &[Kind] = &[];

/// The data set of that name.
///
/// # Errors
/// An unknown name: the message lists the known ones and the closest.
pub fn find(name: &str) -> Result<&'static Kind> {
    crate::config::lookup("data set", name, DATASETS, |k| k.name)
}
