//! A summary.csv that is in the sweep folder before the sweep.

use std::fs;

use crate::support::{Folder, TINY, contains};

#[test]
fn rows_whose_run_folders_are_not_here_are_kept() {
    let folder = Folder::new(TINY);
    folder.ends(0, &[]);
    let before = folder.rows();
    fs::remove_dir_all(folder.out().join("runs")).unwrap();
    let (_, err) = folder.ends(0, &["--index", "2"]);
    contains(&err, &["holds no result of their runs: 4"]);
    let after = folder.rows();
    let others = |rows: &crate::support::Rows| [0, 2, 3].map(|i| rows[i].clone());
    assert_eq!((after.len(), others(&after)), (4, others(&before)));
    assert_eq!(after[1]["test_loss"], before[1]["test_loss"]);
    contains(&folder.ends(0, &["--collect"]).1, &["holds no result of their runs: 3"]);
    assert_eq!(folder.rows(), after);
}

#[test]
fn a_summary_that_would_be_lost_is_refused() {
    let folder = Folder::new(TINY);
    fs::create_dir(folder.out()).unwrap();
    let summary = folder.out().join("summary.csv");
    let columns = "run,label,dataset,status,commit";
    for (text, why) in [
        ("name,score\nmine,1\n".to_string(), "not written by a sweep"),
        ("run,label,opinion\na,b,c\n".to_string(), "not written by a sweep"),
        (format!("{columns}\nmine-0123abcd,mine,digits,done,\n"), "its row of the run mine-0123abcd would be lost"),
    ] {
        fs::write(&summary, &text).unwrap();
        let (_, err) = folder.ends(2, &[]);
        contains(&err, &["summary.csv", why, "choose another --out"]);
        assert_eq!(fs::read_to_string(&summary).unwrap(), text);
        assert!(!folder.out().join("runs").exists());
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_refused() {
    let folder = Folder::new(TINY);
    fs::create_dir(folder.out()).unwrap();
    std::os::unix::fs::symlink("elsewhere.csv", folder.out().join("summary.csv")).unwrap();
    contains(&folder.ends(2, &[]).1, &["summary.csv", "symbolic link", "--out"]);
    assert!(folder.out().join("summary.csv").is_symlink());
}

#[test]
fn finished_runs_that_a_changed_file_no_longer_has_are_counted() {
    let folder = Folder::new(TINY);
    folder.ends(0, &["--index", "1"]);
    fs::write(folder.path().join("s.toml"), TINY.replace("seeds = 2", "seeds = [7]")).unwrap();
    let (_, err) = folder.ends(0, &["--index", "1"]);
    contains(&err, &["of no run of the sweep file", "no row in summary.csv: 1"]);
    assert_eq!((folder.rows().len(), folder.runs().len()), (1, 2));
}
