//! The records of a sweep, and `mbn compare` on them.

use std::process::Command;

use crate::support::{Folder, TINY, contains, text};

#[test]
fn a_run_that_fails_on_its_data_has_a_row() {
    let folder = Folder::new(&format!("{TINY}\n[[include]]\nlabel = \"photographs\"\ndataset = \"mnist\"\n"));
    // Files with the right names but wrong contents: they exist, so the check before the first run passes.
    let data = folder.path().join("data").join("mnist");
    std::fs::create_dir_all(&data).unwrap();
    for split in ["train", "t10k"] {
        for kind in ["images-idx3", "labels-idx1"] {
            std::fs::write(data.join(format!("{split}-{kind}-ubyte")), [0, 0, 8, 3, 0, 0, 0, 1]).unwrap();
        }
    }
    let args = ["--data-dir", "data"];
    let (out, err) = folder.ends(1, &args);
    contains(&out, &["6 runs: 4 done, 2 failed"]);
    contains(&err, &["photographs", "failed: ", "2 runs failed; --retry-failed repeats"]);
    let rows = folder.rows();
    let failed: Vec<_> = rows.iter().filter(|row| row["status"] == "failed").collect();
    assert_eq!((rows.len(), failed.len()), (6, 2));
    for row in failed {
        assert_eq!((row["label"].as_str(), row["test_accuracy"].as_str()), ("photographs", ""));
        assert!(row["reason"].contains("train-images-idx3-ubyte"), "{}", row["reason"]);
    }
    // As with any failure, only `--retry-failed` tries again; without files it then fails for another reason.
    let (out, err) = folder.ends(1, &args);
    contains(&out, &["4 done, 2 failed"]);
    assert!(!err.contains("failed: "), "{err}");
    std::fs::write(data.join("train-images-idx3-ubyte"), b"no images at all").unwrap();
    let before = folder.rows();
    folder.ends(1, &["--data-dir", "data", "--retry-failed"]);
    let reason =
        |rows: &crate::support::Rows| rows.iter().find(|row| row["status"] == "failed").unwrap()["reason"].clone();
    assert_ne!(reason(&folder.rows()), reason(&before));
}

#[test]
fn a_label_of_two_lines_is_one_and_compare_reads_it() {
    let folder = Folder::new(&TINY.replace("\"mine\"", "\"\"\"all\n  mine\"\"\"").replace("seeds = 2", "seeds = 1"));
    folder.ends(0, &[]);
    assert_eq!(folder.rows()[1]["label"], "all mine");
    let compare = Command::new(env!("CARGO_BIN_EXE_mbn")).arg("compare").arg(folder.out()).output().unwrap();
    assert!(compare.status.success(), "{}", text(&compare.stderr));
    contains(&text(&compare.stdout), &["all mine"]);
}

#[test]
fn compare_tells_the_values_of_a_grid_apart_on_every_path() {
    let folder = Folder::new(
        "seeds = 2\n[fixed]\nmodel = \"mlp\"\nnorm = \"bn\"\nbatch_size = 8\nepochs = 1\ntrain_limit = 16\n\
         test_limit = 16\n[grid]\nlr = [0.05, 0.2]\n",
    );
    folder.ends(0, &["--jobs", "2"]);
    let all = folder.path().join("all.csv");
    let rows = folder.runs().into_iter().map(|run| std::fs::read_to_string(run.join("metrics.csv")).unwrap());
    std::fs::write(&all, rows.collect::<String>()).unwrap();
    let out = folder.out();
    for path in [out.clone(), out.join("runs"), out.join("summary.csv"), all] {
        let mut compare = Command::new(env!("CARGO_BIN_EXE_mbn"));
        let compare = compare.arg("compare").arg(&path).args(["--json"]).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&compare.stdout).unwrap();
        let groups = json["sections"][0]["groups"].as_array().unwrap();
        let cells = json["sections"][0]["tables"][0]["cells"].as_array().unwrap();
        assert_eq!((groups.len(), cells.len()), (2, 2), "{}: {json:#}", path.display());
        assert!(cells.iter().all(|cell| cell["n"] == 2 && cell["label"].as_str().unwrap().starts_with("bn lr")));
        if !path.ends_with("all.csv") {
            assert_eq!([&cells[0]["label"], &cells[1]["label"]], ["bn lr=0.05", "bn lr=0.2"], "{}", path.display());
        }
    }
}
