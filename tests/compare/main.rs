//! `mbn compare`: the figures in its tables, what it makes of damaged and edited files, its pictures and its page.

mod faults;
mod figures;
mod pages;
mod scale;
mod support;
