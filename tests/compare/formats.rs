//! Tables in the formats of other documents.

use super::support::{FakeRun, compare};

fn runs() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (seed, accuracy) in [0.5, 0.6, 0.7].into_iter().enumerate() {
        FakeRun::new("bn", 2, seed as u64, accuracy).write(dir.path());
        FakeRun { double_forward: true, ..FakeRun::new("mbn", 2, seed as u64, 0.9) }.write(dir.path());
    }
    dir
}

#[test]
fn markdown_has_mean_sd_and_n() {
    let dir = runs();
    let said = compare(&[dir.path()], &["--format", "markdown"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for line in [
        "**digits, lenet, 3 epochs: test accuracy (%)**",
        "| batch | method | mean | sd | 95 % interval | n | diverged | best |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |",
        "| 2 | bn | 60.00 | 10.00 | 35.16 .. 84.84 | 3 | 0 |  |",
        "| 2 | mbn + DF | 90.00 | 0.00 | 90.00 .. 90.00 | 3 | 0 | \\* |",
    ] {
        assert!(said.out.lines().any(|found| found == line), "`{line}` is not in\n{}", said.out);
    }
    // Markdown's special characters are escaped.
    FakeRun { model: "a|b_c", ..FakeRun::new("bn", 2, 0, 0.5) }.write(&dir.path().join("odd"));
    assert!(compare(&[dir.path()], &["--format", "markdown"]).out.contains("a\\|b\\_c"));
}

#[test]
fn latex_has_mean_sd_and_n() {
    let dir = runs();
    let said = compare(&[dir.path()], &["--format", "latex"]);
    for line in [
        "\\caption{digits, lenet, 3 epochs: test accuracy (\\%)}",
        "\\begin{tabular}{rlrrrrrl}",
        "batch & method & mean & sd & 95 \\% interval & n & diverged & best \\\\",
        "2 & bn & 60.00 & 10.00 & 35.16 to 84.84 & 3 & 0 &  \\\\",
        "2 & mbn + DF & +30.00 & 10.00 & 5.16 to 54.84 & 3 & above 0 \\\\",
    ] {
        assert!(said.out.lines().any(|found| found == line), "`{line}` is not in\n{}", said.out);
    }
    let rest = said.out.lines().filter(|line| !line.starts_with('%')).collect::<String>();
    assert_eq!(rest.matches("\\begin{").count(), rest.matches("\\end{").count());
}

#[test]
fn csv_has_the_rows_of_comparison_csv_for_the_metric() {
    let dir = runs();
    let out = tempfile::tempdir().unwrap();
    let said = compare(&[dir.path()], &["--format", "csv", "--metric", "loss", "--out", out.path().to_str().unwrap()]);
    let file = std::fs::read_to_string(out.path().join("comparison.csv")).unwrap();
    let mut lines = file.lines().filter(|line| line.starts_with("dataset,") || line.contains(",loss,"));
    assert!(said.out.lines().count() == 3 && said.out.lines().all(|line| Some(line) == lines.next()), "{}", said.out);
}

#[test]
fn a_format_that_is_none_and_two_at_once_are_wrong_usage() {
    let dir = runs();
    for args in [&["--format", "word"][..], &["--format", "csv", "--json"]] {
        let said = compare(&[dir.path()], args);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    }
}

#[test]
fn re_estimated_statistics_have_rows_of_their_own_beside_the_method_s() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..3 {
        let run = FakeRun::new("bn", 2, seed, 0.5).write(dir.path());
        let path = run.join("summary.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let precise = "\"results\":[{\"split\":\"test\",\"stats\":\"precise\",\"loss\":0.2,\"accuracy\":0.75},";
        std::fs::write(&path, text.replace("\"results\":[", precise)).unwrap();
        FakeRun::new("gn", 2, seed, 0.6).write(dir.path());
    }
    let said = compare(&[dir.path()], &[]);
    assert_eq!(said.row("2", "bn")[2], "50.00");
    assert_eq!((said.row("2", "bn (precise)")[2].as_str(), said.row("2", "bn (precise)")[5].as_str()), ("75.00", "3"));
    assert!(said.out.contains("(precise): the same networks") && !said.out.contains("gn (precise)"), "{}", said.out);
    let csv = compare(&[dir.path()], &["--format", "csv"]).out;
    assert!(csv.lines().any(|line| line.contains(",accuracy,test,precise,3,0,0,0.75,")), "{csv}");
    // So do the other statistics that a trained network is evaluated under.
    for seed in 0..3 {
        let path = FakeRun::new("bn", 2, seed, 0.5).write(dir.path()).join("summary.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let others = ["precise", "weighing", "evalnorm"]
            .map(|stats| format!("{{\"split\":\"test\",\"stats\":\"{stats}\",\"loss\":0.2,\"accuracy\":0.75}},"));
        std::fs::write(&path, text.replace("\"results\":[", &format!("\"results\":[{}", others.concat()))).unwrap();
    }
    let said = compare(&[dir.path()], &[]);
    assert_eq!(said.row("2", "bn")[2], "50.00");
    for stats in ["weighing", "evalnorm"] {
        assert_eq!(said.row("2", &format!("bn ({stats})"))[2], "75.00");
        assert!(said.out.contains(&format!("({stats}): the same networks")), "{}", said.out);
        assert_eq!(compare(&[dir.path()], &["--stats", stats]).row("2", "bn")[2], "75.00");
    }
    // On request, they are the table.
    let said = compare(&[dir.path()], &["--stats", "precise"]);
    assert_eq!(said.row("2", "bn")[2], "75.00");
    assert!(!said.out.contains("(precise)"), "{}", said.out);
}

#[test]
fn where_every_run_diverged_there_are_rows_with_none() {
    let dir = tempfile::tempdir().unwrap();
    let (runs, out) = (dir.path().join("runs"), dir.path().join("out"));
    for seed in 0..2 {
        for norm in ["bn", "gn"] {
            FakeRun { reached: 1, status: Some("diverged"), ..FakeRun::new(norm, 2, seed, 0.5) }.write(&runs);
        }
    }
    let said = compare(&[&runs], &["--out", out.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(said.row("2", "bn")[2..7], ["-", "-", "-", "0", "2"]);
    let rows: Vec<std::collections::BTreeMap<String, String>> =
        csv::Reader::from_path(out.join("comparison.csv")).unwrap().deserialize().map(Result::unwrap).collect();
    let shown: Vec<_> = rows.iter().map(|row| [&row["method"], &row["n"], &row["diverged"], &row["mean"]]).collect();
    assert_eq!(shown, [["bn", "0", "2", ""], ["gn", "0", "2", ""]]);
}
