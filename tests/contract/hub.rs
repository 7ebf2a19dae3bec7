//! A build without the hub.

#![cfg(not(feature = "hub"))]

use std::process::Command;

use crate::support::failed;

#[cfg(not(feature = "hub"))]
#[test]
fn without_the_hub_a_missing_data_set_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.current_dir(dir.path()).args(["data", "check", "cifar100"]).env_remove("MBN_DATA_DIR");
    failed(
        &command.env("XDG_CACHE_HOME", dir.path()).output().unwrap(),
        1,
        &["cifar100", "the hub feature", "--data-dir"],
    );
}
