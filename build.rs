//! Tells the program which commit it was built from, for the records of its runs.

use std::path::Path;
use std::process::Command;

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}

fn main() {
    println!("cargo:rerun-if-changed=src");
    // Outside a checkout of this repository (a packaged crate, say) there is no commit to name.
    let here =
        git(&["rev-parse", "--show-toplevel"]).filter(|top| Path::new(top) == Path::new(env!("CARGO_MANIFEST_DIR")));
    if here.is_none() {
        return;
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    if let Some(commit) = git(&["describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"]) {
        println!("cargo:rustc-env=MBN_COMMIT={commit}");
    }
}
