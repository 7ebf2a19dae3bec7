//! What is said about runs beside their figures.

use std::fs;

use super::support::{FakeRun, compare, compare_piped, one_csv, written};

/// A summary of a sweep, with its commits, and a table without `data_digest` where `old`.
fn summary(commits: &[&str], old: bool) -> String {
    let digest = if old { "" } else { "data_digest," };
    let header = format!("run,dataset,model,norm,batch_size,seed,epochs,{digest}test_accuracy,shift,status,commit\n");
    let row = |(seed, commit): (usize, &&str)| {
        let digest = if old { "" } else { "0123," };
        format!("r{seed},digits,mlp,bn,8,{seed},1,{digest}0.{seed}1,0.5,done,{commit}\n")
    };
    header + &commits.iter().enumerate().map(row).collect::<String>()
}

#[test]
fn runs_made_by_different_commits_are_named_once() {
    for (commits, what) in [
        (&["aaa1", "aaa1", "aaa1"][..], None),
        (&["aaa1-dirty", "aaa1-dirty", "aaa1-dirty"], Some("made by a program with uncommitted changes: aaa1-dirty")),
        (&["aaa1", "bbb2", "ccc3", "ddd4"], Some("programs of different commits: aaa1, bbb2 and 2 more")),
    ] {
        let (_dir, path) = written(&summary(commits, false));
        let said = compare(&[&path], &[]);
        assert_eq!(said.err.lines().count(), usize::from(what.is_some()), "{}", said.err);
        said.warns(&[what.unwrap_or_default()]);
    }
}

#[test]
fn shifts_of_the_old_definition_are_not_shown_as_the_new_one() {
    let (_dir, path) = written(&summary(&["aaa1", "aaa1", "aaa1"], false));
    assert_eq!(compare(&[&path], &["--metric", "shift"]).row("8", "bn")[2], "0.5000");
    let (_dir, path) = written(&summary(&["aaa1", "aaa1", "aaa1"], true));
    let said = compare(&[&path], &["--metric", "shift"]);
    said.warns(&["all.csv:2: `shift` is the mean over layers and steps here", "(and so in 2 more lines)"]);
    assert!(!said.out.contains("0.5000"), "{}", said.out);
    // A run folder of that time, with and without the measurements themselves.
    let dir = tempfile::tempdir().unwrap();
    let run = FakeRun::new("bn", 4, 0, 0.5).write(dir.path());
    let path = run.join("summary.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"seconds\"", "\"shift\":7.5,\"seconds\"")).unwrap();
    compare(&[dir.path()], &[]).warns(&["`shift` is the mean over layers and steps here"]);
    fs::write(run.join("diagnostics.csv"), "epoch,step,layer,shift\n1,10,bn1,0.5\n").unwrap();
    let said = compare(&[dir.path()], &["--metric", "shift"]);
    assert!(said.row("4", "bn")[2] == "0.5000" && !said.err.contains("mean over layers"), "{}", said.err);
}

#[test]
fn a_method_without_batch_statistics_is_not_told_to_measure_them() {
    let dir = tempfile::tempdir().unwrap();
    FakeRun::new("gn", 4, 0, 0.5).write(dir.path());
    let run = FakeRun::new("bn", 4, 0, 0.5).write(dir.path());
    fs::write(run.join("diagnostics.csv"), "epoch,step,layer,shift\n1,10,bn1,0.5\n").unwrap();
    let said = compare(&[dir.path()], &["--metric", "shift"]);
    said.warns(&["methods without batch statistics have no shift: gn"]);
    assert!(!said.err.contains("diagnostics"), "{}", said.err);
}

#[test]
fn scores_on_a_handful_of_test_images_are_named() {
    let dir = tempfile::tempdir().unwrap();
    FakeRun { settings: "test_limit = 10", ..FakeRun::new("bn", 4, 0, 0.5) }.write(dir.path());
    compare(&[dir.path()], &[]).warns(&["test scores are of 10 images only"]);
    assert!(!compare(&[dir.path()], &["--split", "train"]).err.contains("images"));
    // A summary need not have the setting, but all accuracies of many runs are tenths, and the losses are not rounded.
    let row =
        |seed: u64| format!("r{seed},digits,mlp,bn,8,{seed},1,0.{},{}\n", seed % 7 + 1, 0.123_456_7 + seed as f64);
    let header = "run,dataset,model,norm,batch_size,seed,epochs,test_accuracy,test_loss\n";
    let (_dir, path) = written(&format!("{header}{}", (0..24).map(row).collect::<String>()));
    compare(&[&path], &[]).warns(&["test scores are of 10 images only"]);
}

#[test]
fn two_columns_of_one_name_and_missing_ones_are_named() {
    let text = one_csv().replace(",lr,", ",accuracy,");
    let (_dir, path) = written(&text);
    let said = compare(&[&path], &[]);
    said.warns(&["all.csv:1: two columns are called `accuracy`; the second is ignored"]);
    assert_eq!(said.row("4", "bn")[2], "60.00");
    let (_dir, path) =
        written("dataset,model,norm,batch_size,seed,test_accuracy,test_accuracy\ndigits,mlp,bn,4,0,0.5,0.7\n");
    let said = compare(&[&path], &[]);
    said.warns(&["two columns are called `test_accuracy`; the second is ignored"]);
    assert_eq!(said.row("4", "bn")[2], "50.00");
    // Without the column `stats`, rows under batch statistics look like the method's own.
    let (_dir, path) = written(&one_csv().replace(",stats,", ",sorts,"));
    compare(&[&path], &[]).warns(&["no column `stats`, and epoch 1 of digits-lenet-bn-b4-s0"]);
    let (_dir, path) = written(&one_csv().replacen(",train,ema,", ",,ema,", 1));
    compare(&[&path], &[]).warns(&["all.csv:2: the split is empty; the line is not read"]);
}

#[test]
fn a_csv_can_come_through_a_pipe() {
    let paths: &[&str] = if cfg!(target_os = "linux") { &["-", "/dev/stdin"] } else { &["-"] };
    for path in paths {
        let said = compare_piped(path, &one_csv());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{path}");
        assert_eq!(said.row("4", "bn")[2], "60.00");
    }
    let said = compare_piped("-", "");
    assert_eq!(said.code, Some(1));
    said.warns(&["-: is empty"]);
}

#[test]
fn where_nothing_is_to_be_tabulated_that_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    FakeRun::new("bn", 4, 0, 0.5).write(dir.path());
    for (args, what) in [
        (&["--metric", "shift"][..], "nothing to tabulate: no run has shift; they have accuracy, loss, gap"),
        (&["--split", "val"], "nothing to tabulate: no run has val accuracy"),
    ] {
        for format in [&[][..], &["--json"]] {
            let said = compare(&[dir.path()], &[args, format].concat());
            assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
            said.warns(&[what]);
        }
    }
}

#[test]
fn flags_without_effect_on_the_metric_are_named() {
    let dir = tempfile::tempdir().unwrap();
    FakeRun::new("bn", 4, 0, 0.5).write(dir.path());
    let said = compare(&[dir.path()], &["--metric", "seconds", "--split", "test", "--stats", "batch"]);
    assert_eq!(said.code, Some(0));
    said.warns(&["note: --split has no effect on --metric seconds", "note: --stats has no effect on --metric seconds"]);
    compare(&[dir.path()], &["--metric", "gap", "--stats", "batch"])
        .warns(&["note: --stats has no effect on --metric gap"]);
    assert!(!compare(&[dir.path()], &["--split", "test", "--stats", "batch"]).err.contains("no effect"));
}

#[test]
fn control_characters_in_names_do_not_reach_the_terminal() {
    let header = "run,label,dataset,model,norm,batch_size,seed,epochs,\"a\nb\",test_accuracy\n";
    let row =
        |seed: u64| format!("r{seed},,\u{1b}[2Jdigits,mlp,\"b\nn\u{7}\",4,{seed},1,\u{1b}[31mx{seed},0.5{seed}\n");
    let (_dir, path) = written(&format!("{header}{}{}", row(0), row(1)));
    let said = compare(&[&path], &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(said.row("4", "b n\u{fffd}")[5], "2");
    let (_dir, path) = written(&one_csv().replace(",bn,", ",\u{1b}]0;bn\u{7},").replacen(",test,", ",te\u{1b}st,", 1));
    for said in [said, compare(&[&path], &[]), compare(&[&path], &["--by", "\u{1b}[1m"])] {
        let text = format!("{}{}", said.out, said.err);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}
