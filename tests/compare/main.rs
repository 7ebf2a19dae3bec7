//! `mbn compare`: the figures in its tables, damaged and edited files, charts and HTML page.

mod faults;
mod figures;
mod folders;
mod formats;
mod labels;
mod nameless;
mod pages;
mod remarks;
mod scale;
mod shown;
mod spreadsheets;
mod support;
