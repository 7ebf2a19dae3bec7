//! Tells the program which commit it was built from, for `--version` and the records of its runs.

use std::path::Path;
use std::process::Command;

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}

fn main() {
    println!("cargo:rerun-if-changed=src");
    let package = env!("CARGO_PKG_VERSION");
    let version = match commit() {
        Some(commit) => {
            println!("cargo:rustc-env=MBN_COMMIT={commit}");
            format!("{package} ({commit})")
        }
        None => package.to_string(),
    };
    println!("cargo:rustc-env=MBN_VERSION={version}");
}

/// The checked-out commit, marked `-dirty` where files differ from it. Outside a checkout of this repository (a packaged
/// crate, say) there is none to name.
fn commit() -> Option<String> {
    git(&["rev-parse", "--show-toplevel"]).filter(|top| Path::new(top) == Path::new(env!("CARGO_MANIFEST_DIR")))?;
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"])
}
