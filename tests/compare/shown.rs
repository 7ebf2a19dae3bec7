//! How figures are shown: digits, limits, and what is said below the tables.

use super::support::{FakeRun, compare, json, near, written};

const HEADER: &str = "run,dataset,model,norm,batch_size,seed,epochs,test_loss,test_accuracy\n";

fn table(scores: &[(f64, f64)]) -> (tempfile::TempDir, std::path::PathBuf) {
    let row = |(seed, (loss, accuracy)): (usize, &(f64, f64))| {
        format!("r{seed},digits,mlp,bn,8,{seed},1,{loss:e},{accuracy}\n")
    };
    written(&format!("{HEADER}{}", scores.iter().enumerate().map(row).collect::<String>()))
}

#[test]
fn huge_and_tiny_losses_do_not_widen_the_columns() {
    for (loss, shown) in
        [(1.4741e26, "1.474e26"), (123_456.0, "123456.0000"), (0.000_7, "0.0007"), (2.5e-6, "2.50e-6"), (0.0, "0.0000")]
    {
        let (_dir, path) = table(&[(loss, 0.5)]);
        assert_eq!(compare(&[&path], &["--metric", "loss"]).row("8", "bn")[2], shown);
    }
}

#[test]
fn an_interval_of_accuracies_ends_at_0_and_at_100_percent_where_it_is_read() {
    let (dir, path) = table(&[(1.0, 0.97), (1.0, 0.999), (1.0, 0.99)]);
    let out = dir.path().join("out");
    let said = compare(&[&path], &["--out", out.to_str().unwrap()]);
    assert_eq!(said.row("8", "bn")[4], "94.95 .. 100.00");
    let chart = std::fs::read_to_string(out.join("digits-mlp-e1-accuracy.svg")).unwrap();
    assert!(chart.contains("(94.95 .. 100.00)"), "{chart}");
    // Other programs get the interval itself.
    let high = json(&[&path], &[])["sections"][0]["tables"][0]["cells"][0]["high"].clone();
    assert!(high.as_f64().unwrap() > 1.02);
    let text = std::fs::read_to_string(out.join("comparison.csv")).unwrap();
    let row: Vec<&str> = text.lines().find(|line| line.contains(",accuracy,")).unwrap().split(',').collect();
    let column = text.lines().next().unwrap().split(',').position(|name| name == "ci_high").unwrap();
    near(&high, row[column].parse().unwrap());
}

#[test]
fn marks_are_explained_and_only_what_applies_is_said() {
    let dir = tempfile::tempdir().unwrap();
    for (batch, status) in [(2, "done"), (4, "done"), (8, "diverged")] {
        for (norm, accuracy) in [("bn", 0.5), ("gn", 0.6)] {
            FakeRun { status: Some(status), ..FakeRun::new(norm, batch, 0, accuracy) }.write(dir.path());
        }
    }
    let said = compare(&[dir.path()], &[]);
    assert!(said.out.contains("!: some of the method's runs at that batch size diverged or failed."), "{}", said.out);
    assert!(said.out.contains("Scores are from the last epoch"));
    let said = compare(&[dir.path()], &["--metric", "seconds"]);
    assert!(said.out.contains("Intervals are 95 %") && !said.out.contains("last epoch"), "{}", said.out);
}

#[test]
fn what_never_distinguishes_methods_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    FakeRun::new("bn", 4, 0, 0.5).write(dir.path());
    for key in ["seed", "batch_size", "epochs", "dataset", "model"] {
        let said = compare(&[dir.path()], &["--by", key]);
        assert_eq!(said.code, Some(2));
        said.warns(&[&format!("--by {key}: it cannot distinguish methods")]);
    }
}
