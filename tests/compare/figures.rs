//! The computed figures, against published tables and against sums written out here.

use std::fs;

use mbn::report::{Sample, t_quantile, welch};

use super::support::{FakeRun, cell, compare, entry, json, near};

#[test]
fn quantiles_are_those_of_the_tables() {
    let table = [
        (1.0, 12.706_204_736),
        (2.0, 4.302_652_730),
        (3.0, 3.182_446_305),
        (4.0, 2.776_445_105),
        (9.0, 2.262_157_163),
        (29.0, 2.045_229_642),
        (100.0, 1.983_971_519),
        (1000.0, 1.962_339_081),
    ];
    for (dof, t) in table {
        assert!((t_quantile(0.975, dof) - t).abs() < 2e-9 * t, "{dof}: {} is not {t}", t_quantile(0.975, dof));
    }
    for (p, dof, t) in [(0.95, 5.0, 2.015_048_373), (0.995, 10.0, 3.169_272_673), (0.9995, 4.0, 8.610_301_581)] {
        assert!((t_quantile(p, dof) - t).abs() < 2e-9 * t, "{p} {dof}: {}", t_quantile(p, dof));
    }
    // One and two degrees of freedom have closed forms.
    for p in [0.6, 0.75, 0.9, 0.99, 0.9999] {
        let cauchy = (std::f64::consts::PI * (p - 0.5)).tan();
        let two = (2.0 * p - 1.0) * (2.0 / (1.0 - (2.0 * p - 1.0f64).powi(2))).sqrt();
        assert!((t_quantile(p, 1.0) / cauchy - 1.0).abs() < 1e-9, "{p}");
        assert!((t_quantile(p, 2.0) / two - 1.0).abs() < 1e-9, "{p}");
    }
    assert!(t_quantile(0.975, 2.5) < t_quantile(0.975, 2.0) && t_quantile(0.975, 2.5) > t_quantile(0.975, 3.0));
}

#[test]
fn samples_and_differences() {
    let sample = Sample::of(&[2.0, 4.0, 9.0]).unwrap();
    // sd = sqrt((9 + 1 + 16) / 2), half the interval 4.3027 sd / sqrt 3
    assert_eq!((sample.n, sample.mean), (3, 5.0));
    assert!((sample.sd.unwrap() - 13f64.sqrt()).abs() < 1e-12);
    assert!((sample.high.unwrap() - (5.0 + 4.302_652_730 * (13f64 / 3.0).sqrt())).abs() < 1e-7);
    assert_eq!(Sample::of(&[1.0]).unwrap(), Sample { n: 1, mean: 1.0, sd: None, low: None, high: None });
    assert_eq!(Sample::of(&[]), None);
    // Equal variances and numbers: Welch's degrees of freedom are 2 n - 2 = 4.
    let difference = welch(&[2.0, 4.0, 6.0], &[1.0, 3.0, 5.0]).unwrap();
    assert!((difference.high.unwrap() - (1.0 + 2.776_445_105 * (8f64 / 3.0).sqrt())).abs() < 1e-7);
    assert_eq!(difference.sign(), None);
    assert_eq!(welch(&[2.0, 4.0], &[1.0]), None);
}

#[test]
fn a_cell_is_the_last_epoch_s_mean_over_seeds() {
    let dir = tempfile::tempdir().unwrap();
    for (seed, (bn, mbn)) in [(0.5, 0.9), (0.6, 0.91), (0.7, 0.95)].into_iter().enumerate() {
        FakeRun::new("bn", 2, seed as u64, bn).write(dir.path());
        FakeRun { double_forward: true, ..FakeRun::new("mbn", 2, seed as u64, mbn) }.write(dir.path());
    }
    let said = compare(&[dir.path()], &[]);
    assert_eq!(said.err, "");
    assert_eq!(said.row("2", "bn")[2..], ["60.00", "10.00", "35.16 .. 84.84", "3", "0"]);
    let mean = (0.9 + 0.91 + 0.95) / 3.0;
    let json = json(&[dir.path()], &[]);
    let mbn = cell(&json, "accuracy", 2, "mbn + DF");
    near(&mbn["mean"], mean);
    let sd = ((0.9f64 - mean).powi(2) + (0.91f64 - mean).powi(2) + (0.95f64 - mean).powi(2)).sqrt() / 2f64.sqrt();
    near(&mbn["sd"], sd);
    near(&mbn["low"], mean - 4.302_652_729_749_464 * sd / 3f64.sqrt());
    // The differences are 0.4, 0.31, 0.25.
    let pair = entry(&json, "pairs", "accuracy", 2, "mbn + DF").unwrap();
    let sd = ((0.08f64).powi(2) + (0.01f64).powi(2) + (0.07f64).powi(2)).sqrt() / 2f64.sqrt();
    near(&pair["mean"], 0.32);
    near(&pair["sd"], sd);
    near(&pair["high"], 0.32 + 4.302_652_729_749_464 * sd / 3f64.sqrt());
    near(&cell(&json, "gap", 2, "bn")["mean"], 0.01);
    near(&cell(&json, "loss", 2, "bn")["mean"], 0.4);
    near(&cell(&json, "images_per_s", 2, "bn")["mean"], 200.0);
    near(&cell(&json, "peak_memory_mib", 2, "bn")["mean"], 64.5);
}

#[test]
fn without_a_seed_in_common_there_are_no_pairs_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..3 {
        FakeRun::new("bn", 2, seed, 0.5).write(dir.path());
        FakeRun::new("gn", 2, seed + 3, 0.7).write(dir.path());
    }
    let said = compare(&[dir.path()], &[]);
    said.warns(&["no method shares a seed and a batch size with the baseline `bn`, so no paired differences"]);
    assert!(!said.out.contains("difference from"), "{}", said.out);
    assert_eq!(said.row("2", "gn")[2], "70.00");
}

#[test]
fn the_best_is_marked_only_where_intervals_say_so() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..4u64 {
        let noise = [0.0, 0.02, -0.02, 0.01][seed as usize];
        // At 2 the difference is constant over seeds, far below the spread between them; at 4 its sign changes.
        for (batch, gain) in [(2, 0.005 + 0.001 * noise), (4, noise)] {
            FakeRun::new("bn", batch, seed, 0.8 + noise).write(dir.path());
            FakeRun::new("gn", batch, seed, 0.8 + noise + gain).write(dir.path());
        }
    }
    let json = json(&[dir.path()], &[]);
    assert_eq!(cell(&json, "accuracy", 2, "gn")["best"], true);
    assert_eq!(cell(&json, "accuracy", 2, "bn")["best"], false);
    assert_eq!(cell(&json, "accuracy", 4, "gn")["best"], false);
    assert_eq!(cell(&json, "loss", 2, "gn")["best"], true, "the smaller loss is the better one");
    assert_eq!(cell(&json, "gap", 2, "bn")["best"], false);
    // A third method, far behind but with a single run: its interval excludes nothing.
    FakeRun::new("none", 2, 0, 0.1).write(dir.path());
    let json = super::support::json(&[dir.path()], &[]);
    assert_eq!(cell(&json, "accuracy", 2, "gn")["best"], false);
}

#[test]
fn diverged_runs_are_counted_and_on_demand_guess() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..3 {
        let diverged = FakeRun { reached: 1, status: Some("diverged"), ..FakeRun::new("bn", 2, seed, 0.3) };
        if seed == 0 { diverged } else { FakeRun::new("bn", 2, seed, 0.9) }.write(dir.path());
        FakeRun::new("gn", 2, seed, 0.5 + 0.01 * seed as f64).write(dir.path());
    }
    let json = json(&[dir.path()], &[]);
    let bn = cell(&json, "accuracy", 2, "bn");
    near(&bn["mean"], 0.9);
    assert_eq!((&bn["n"], &bn["diverged"], &bn["best"]), (&2.into(), &1.into(), &false.into()), "survivors do not win");
    assert_eq!(json["sections"][0]["apart"][0]["state"], "diverged");
    let json = super::support::json(&[dir.path()], &["--diverged", "chance"]);
    let bn = cell(&json, "accuracy", 2, "bn");
    near(&bn["mean"], (0.1 + 0.9 + 0.9) / 3.0);
    near(&cell(&json, "loss", 2, "bn")["mean"], (10f64.ln() + 0.1 + 0.1) / 3.0);
    near(&cell(&json, "gap", 2, "bn")["mean"], 0.01);
    assert_eq!((&bn["n"], &bn["diverged"]), (&3.into(), &1.into()));
}

#[test]
fn tasks_are_never_mixed() {
    let dir = tempfile::tempdir().unwrap();
    FakeRun::new("bn", 4, 0, 0.7).write(dir.path());
    FakeRun { model: "mlp", ..FakeRun::new("bn", 4, 0, 0.1) }.write(dir.path());
    FakeRun { epochs: 9, reached: 9, ..FakeRun::new("bn", 4, 0, 0.2) }.write(dir.path());
    let json = json(&[dir.path()], &[]);
    let sections = json["sections"].as_array().unwrap();
    let mean = |i: usize| sections[i]["tables"][0]["cells"][0]["mean"].as_f64().unwrap();
    assert_eq!((sections.len(), mean(0), mean(1), mean(2)), (3, 0.7, 0.2, 0.1));
}

#[test]
fn where_the_number_of_epochs_belongs_to_the_batch_size_it_is_one_task() {
    let dir = tempfile::tempdir().unwrap();
    for (batch, epochs) in [(2, 1), (8, 4)] {
        for norm in ["bn", "gn"] {
            FakeRun { epochs, reached: epochs, ..FakeRun::new(norm, batch, 0, 0.5) }.write(dir.path());
        }
    }
    let said = compare(&[dir.path()], &[]);
    assert!(said.out.starts_with("digits, lenet, epochs by batch size: test accuracy"), "{}", said.out);
    let json = json(&[dir.path()], &[]);
    assert_eq!((json["sections"].as_array().unwrap().len(), &json["sections"][0]["epochs_by_size"]), (1, &true.into()));
    // One run that breaks the rule, and they are separate sections again.
    FakeRun { epochs: 2, reached: 2, ..FakeRun::new("bn", 8, 1, 0.5) }.write(dir.path());
    let json = super::support::json(&[dir.path()], &[]);
    let epochs: Vec<_> = json["sections"].as_array().unwrap().iter().map(|s| s["epochs"].as_u64()).collect();
    assert_eq!(epochs, [Some(1), Some(2), Some(4)]);
}

#[test]
fn the_overview_has_a_row_for_each_method_and_a_column_for_each_batch_size() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..3 {
        let noise = 0.001 * seed as f64;
        FakeRun::new("bn", 2, seed, 0.05 + noise).write(dir.path());
        FakeRun::new("bn", 16, seed, 0.9 + noise).write(dir.path());
        FakeRun::new("gn", 2, seed, 0.8 + noise).write(dir.path());
    }
    FakeRun { status: Some("diverged"), ..FakeRun::new("gn", 16, 0, 0.1) }.write(dir.path());
    let said = compare(&[dir.path()], &[]);
    let table = "test accuracy (%): means by batch size; * best; ! diverged or failed runs\n\
                 method      2      16\n\
                 bn       5.10   90.10\n\
                 gn      80.10*      -!\n";
    assert!(said.out.contains(table), "{}", said.out);
}

#[test]
fn where_the_normalization_batch_varies_it_is_the_axis() {
    let dir = tempfile::tempdir().unwrap();
    for micro in [2, 8, 128] {
        let run =
            FakeRun { norm_batch_size: micro, ..FakeRun::new("bn", 128, micro as u64, 0.5 + micro as f64 / 1000.0) };
        run.write(dir.path());
    }
    let json = json(&[dir.path()], &[]);
    assert_eq!(json["sections"][0]["x"], "norm_batch_size");
    near(&cell(&json, "accuracy", 8, "bn")["mean"], 0.508);
    near(&cell(&json, "accuracy", 128, "bn")["mean"], 0.628);
}

#[test]
fn the_shift_is_that_of_the_last_epoch_where_distances_are_meant() {
    let dir = tempfile::tempdir().unwrap();
    let run = FakeRun::new("mbn", 4, 0, 0.5).write(dir.path());
    let rows = "epoch,step,layer,shift,used_to_population,inference_to_population\n\
                1,10,bn1,0.25,8,\n1,10,bn2,0.75,8,4\n2,20,bn1,1.5,0.5,\n2,20,bn2,1.5,1.5,\n";
    fs::write(run.join("diagnostics.csv"), rows).unwrap();
    let json = json(&[dir.path()], &[]);
    near(&cell(&json, "shift", 4, "mbn")["mean"], 1.0);
    near(&cell(&json, "used_to_population", 4, "mbn")["mean"], 1.0);
    near(&cell(&json, "inference_to_population", 4, "mbn")["mean"], 4.0);
}

#[test]
fn other_statistics_and_splits_can_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    FakeRun::new("bn", 4, 0, 0.7).write(dir.path());
    FakeRun::new("gn", 4, 0, 0.6).write(dir.path());
    let batch = json(&[dir.path()], &["--stats", "batch"]);
    near(&cell(&batch, "accuracy", 4, "bn")["mean"], 0.71);
    near(&cell(&batch, "accuracy", 4, "gn")["mean"], 0.6);
    let train = json(&[dir.path()], &["--split", "train"]);
    near(&cell(&train, "accuracy", 4, "bn")["mean"], 0.72);
    compare(&[dir.path()], &["--split", "val"]).warns(&[
        "finished runs without accuracy on val, not in the table: bn at batch size 4 (1), gn at batch size 4 (1)",
        "`val_fraction`",
    ]);
    let shift = compare(&[dir.path()], &["--metric", "shift"]);
    shift.warns(&["`diagnostics = true`"]);
    for (flag, wrong, near) in [("--split", "tests", "test"), ("--stats", "memroy", "memory")] {
        let said = compare(&[dir.path()], &[flag, wrong]);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
        said.warns(&[flag, wrong, &format!("did you mean `{near}`?")]);
    }
}
