//! `mbn compare`: the figures in its tables, what it makes of damaged and edited files, its charts and its page.

mod faults;
mod figures;
mod folders;
mod formats;
mod labels;
mod pages;
mod scale;
mod spreadsheets;
mod support;
