//! Run folders as found in practice: damaged, still being written, together with CSV files of the same runs.

use std::fs;
use std::path::Path;

use super::support::{FakeRun, cell, compare, json, near, one_csv, six};

#[test]
fn the_same_run_from_folder_and_csv_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    six().iter().for_each(|run| drop(run.write(&runs)));
    let csv = dir.path().join("all.csv");
    fs::write(&csv, one_csv()).unwrap();
    let nameless = dir.path().join("nameless.csv");
    let cut = |line: &str| format!("{}\n", line.split_once(',').unwrap().1);
    fs::write(&nameless, one_csv().lines().map(cut).collect::<String>()).unwrap();
    let first = runs.join(six()[0].name());
    let json = json(&[&runs, &csv, &nameless, &first, &first.join("metrics.csv"), &runs], &[]);
    assert_eq!(cell(&json, "accuracy", 4, "bn")["n"], 3);
    let said = compare(&[&csv, &runs, &nameless], &[]);
    said.warns(&["nameless.csv: ", "is the same run as digits-lenet-bn-b4-s0-"]);
    // Other scores under the same name: the folder takes precedence.
    fs::write(&csv, one_csv().replace(",0.5,0.5,", ",0.6,0.4,")).unwrap();
    let said = compare(&[&csv, &runs], &[]);
    said.warns(&["all.csv: 1 row of digits-lenet-bn-b4-s0-", "other scores than in", "which are used"]);
    assert_eq!(said.row("4", "bn")[2], "60.00");
}

#[test]
fn a_run_that_goes_on_stands_apart() {
    let dir = tempfile::tempdir().unwrap();
    six().iter().for_each(|run| drop(run.write(dir.path())));
    let going = FakeRun { reached: 2, status: None, ..FakeRun::new("bn", 4, 7, 0.1) };
    let begun = FakeRun { reached: 0, status: None, ..FakeRun::new("bn", 4, 8, 0.1) };
    going.write(dir.path());
    fs::remove_file(begun.write(dir.path()).join("metrics.csv")).unwrap();
    // Between the last rows and the summary.
    FakeRun { status: None, ..FakeRun::new("bn", 4, 9, 0.6) }.write(dir.path());
    let json = json(&[dir.path()], &[]);
    let bn = cell(&json, "accuracy", 4, "bn");
    assert_eq!(bn["n"], 4);
    near(&bn["mean"], 0.6);
    let apart = json["sections"][0]["apart"].as_array().unwrap();
    let epochs: Vec<_> =
        apart.iter().map(|run| (run["state"].as_str().unwrap(), run["epoch"].as_u64().unwrap())).collect();
    assert_eq!(epochs, [("unfinished", 2), ("unfinished", 0)]);
    let said = compare(&[dir.path()], &[]);
    assert!(said.out.contains("2 of 3") && said.out.contains(&going.name()), "{}", said.out);
    // Its rows do not say that more epochs were to come; those of the other runs do.
    let csv = dir.path().join("rows.csv");
    fs::write(&csv, format!("{}{}", one_csv(), going.rows(1))).unwrap();
    let said = compare(&[&csv], &[]);
    said.warns(&["1 run, known by its rows alone, has fewer epochs"]);
    assert_eq!(said.row("4", "bn")[5], "3");
}

#[test]
fn a_run_that_is_in_no_summary_yet_has_its_label_from_the_sweep_file() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[fixed]\nepochs = 3\n[[variant]]\nlabel = \"mine\"\nnorm = \"bn\"\n";
    let config = mbn::sweep::Sweep::parse("sweep.toml", text).unwrap().jobs.remove(0).config;
    // The run's name depends on its data, which the folder of the sweep records.
    let digest = "0123456789abcdef";
    fs::write(dir.path().join("data.toml"), format!("{} = \"{digest}\"\n", config.dataset)).unwrap();
    let config = config.with_data_digest(digest, "here").unwrap();
    let run = dir.path().join("runs").join(config.run_name().unwrap());
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join("config.toml"), config.to_toml().unwrap()).unwrap();
    fs::write(dir.path().join("sweep.toml"), text).unwrap();
    let json = json(&[dir.path()], &[]);
    assert_eq!(json["sections"][0]["apart"][0]["label"], "mine");
    // Without the sweep file, or with a broken one, the settings name the method.
    fs::write(dir.path().join("sweep.toml"), "[[variant").unwrap();
    let json = super::support::json(&[dir.path()], &[]);
    assert_eq!(json["sections"][0]["apart"][0]["label"], "bn");
}

#[test]
fn a_damaged_folder_gives_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let folders: Vec<_> = six().iter().map(|run| run.write(dir.path())).collect();
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    cut(&folders[0].join("summary.json"));
    cut(&folders[2].join("metrics.csv"));
    fs::remove_file(folders[4].join("config.toml")).unwrap();
    fs::write(folders[4].join("summary.json"), "").unwrap();
    fs::write(folders[1].join("config.toml"), "dataset = ").unwrap();
    fs::write(folders[3].join("diagnostics.csv"), "epoch,step,layer,shift\n1,10,bn1,0.5\n1,10,bn2,0.").unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::create_dir(dir.path().join("broken")).unwrap();
    fs::write(dir.path().join("broken/config.toml"), [0xff, 0xfe, 0]).unwrap();
    let json = json(&[dir.path()], &[]);
    let bn = cell(&json, "accuracy", 4, "bn");
    assert_eq!(bn["n"], 3);
    near(&bn["mean"], 0.6);
    assert_eq!(cell(&json, "accuracy", 4, "mbn")["n"], 3);
    near(&cell(&json, "shift", 4, "mbn")["mean"], 0.5);
    compare(&[dir.path()], &[]).warns(&[
        "summary.json: cannot be read",
        "metrics.csv: ends at epoch 1 of 3; the final scores are those of summary.json",
        "config.toml: not read",
        "diagnostics.csv:3: ",
        "broken: neither its configuration nor its rows can be read",
    ]);
}

#[test]
fn a_sweep_s_summary_names_the_runs_in_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let run = FakeRun::new("mbn", 4, 0, 0.9);
    run.write(&dir.path().join("runs"));
    let row =
        |name: &str, label: &str, seed: u64| format!("{name},{label},digits,lenet,mbn,false,4,4,{seed},3,0.5,done\n");
    // A folder takes precedence; for a run without a folder, the row is all there is.
    let rows = row(&run.name(), "remembering", 0) + &row("gone", "remembering", 1);
    let header =
        "run,label,dataset,model,norm,double_forward,batch_size,norm_batch_size,seed,epochs,test_accuracy,status\n";
    fs::write(dir.path().join("summary.csv"), format!("{header}{rows}")).unwrap();
    let json = json(&[dir.path()], &[]);
    let both = cell(&json, "accuracy", 4, "remembering");
    assert_eq!(both["n"], 2);
    near(&both["mean"], 0.7);
}

#[test]
fn a_folder_for_the_report_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let run = FakeRun::new("bn", 4, 0, 0.7).write(dir.path());
    let file = dir.path().join("file");
    fs::write(&file, "kept").unwrap();
    let said = compare(&[&run], &["--out", file.to_str().unwrap()]);
    assert_eq!(said.code, Some(1));
    said.warns(&["file: is a file; --out takes a folder"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    let said = compare(&[&run], &["--out", file.join("below").to_str().unwrap()]);
    assert_eq!(said.code, Some(1));
    said.warns(&["below: Not a directory"]);
}

#[test]
fn a_file_of_another_origin_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (run, out) = (FakeRun::new("bn", 4, 0, 0.7).write(dir.path()), dir.path().join("report"));
    fs::create_dir(&out).unwrap();
    let chart = "digits-lenet-e3-accuracy.svg";
    for name in ["report.html", "comparison.csv", chart] {
        fs::write(out.join(name), "mine").unwrap();
        let said = compare(&[&run], &["--out", out.to_str().unwrap()]);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
        said.warns(&[name, "was not written by `mbn compare` and is not replaced", "--out"]);
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), "mine");
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "nothing is written beside it");
        fs::remove_file(out.join(name)).unwrap();
    }
    // Its own files are.
    for accuracy in ["70.00", "80.00"] {
        let runs = dir.path().join(accuracy);
        FakeRun::new("bn", 4, 0, accuracy.parse::<f64>().unwrap() / 100.0).write(&runs);
        assert_eq!(compare(&[&runs], &["--out", out.to_str().unwrap()]).code, Some(0));
        for name in ["report.html", chart] {
            assert!(fs::read_to_string(out.join(name)).unwrap().contains(accuracy), "{name}");
        }
    }
}
