//! `mbn bench`.

use mbn::norm::NORMS;

use crate::support::{mbn, refused, stderr, stdout};

/// The rows of `mbn bench` with these arguments; checks the columns.
#[track_caller]
fn rows(args: &[&str]) -> Vec<Vec<String>> {
    let out = mbn(&[&["bench"], args].concat());
    assert_eq!(out.status.code(), Some(0), "{args:?}: {}", stderr(&out));
    let text = stdout(&out);
    let mut rows = text.lines().map(|line| line.split(',').map(String::from).collect::<Vec<_>>());
    assert_eq!(rows.next().unwrap().join(","), "impl,model,norm,batch_size,threads,images_per_s,ms_per_step");
    rows.collect()
}

/// Those of lenet with `bn` and `mbn-df` on 1 and 2 images.
#[track_caller]
fn bench(more: &[&str]) -> Vec<Vec<String>> {
    let cases = ["--models", "lenet", "--norms", "bn", "mbn-df", "--batch-sizes", "1", "2"];
    let rows = rows(&[&cases[..], more].concat());
    let named: Vec<String> = rows.iter().map(|row| row[1..4].join(",")).collect();
    assert_eq!(named, ["lenet,bn,1", "lenet,bn,2", "lenet,mbn-df,1", "lenet,mbn-df,2"], "{more:?}");
    rows
}

#[test]
fn bench_of_all_normalizers_has_each_by_itself_and_with_double_forward_where_it_has_it() {
    let found = rows(&["--models", "mlp", "--norms", "all", "--batch-sizes", "4", "--seconds", "0"]);
    let mut expected = vec![];
    for kind in NORMS {
        expected.push(kind.name.to_string());
        expected.extend(kind.refreshes.then(|| format!("{}-df", kind.name)));
    }
    assert_eq!(found.iter().map(|row| row[2].clone()).collect::<Vec<_>>(), expected);
    for row in found {
        // After a fully connected layer, a channel of an image is a single value.
        let refused = row[2] == "in";
        assert_eq!(row[5].parse::<f64>().is_ok_and(|rate| rate > 0.0), !refused, "{row:?}");
    }
}

#[test]
fn bench_prints_the_columns_of_the_pytorch_script_and_leaves_refused_cells_empty() {
    for row in bench(&["--seconds", "0.01"]) {
        let refused = row[2] == "bn" && row[3] == "1";
        assert_eq!(row[5].parse::<f64>().is_ok_and(|rate| rate > 0.0), !refused, "{row:?}");
        assert_eq!(row[6].is_empty(), refused, "{row:?}");
    }
}

#[test]
fn bench_of_evaluation_has_the_same_columns_and_refuses_no_batch() {
    for row in bench(&["--eval", "--threads", "2", "--seconds", "0"]) {
        assert!(row[5].parse::<f64>().is_ok_and(|rate| rate > 0.0), "one value per channel is no hindrance: {row:?}");
        assert!(row[0].starts_with("mbn-") && row[4] == "2" && !row[6].is_empty(), "{row:?}");
    }
}

#[test]
fn bench_refuses_what_it_cannot_measure_before_it_measures() {
    refused(&["bench", "--eval=yes"], &["--eval", "'yes'"]);
    refused(&["bench", "--eval", "--separate-refresh"], &["--eval", "--separate-refresh"]);
    refused(&["bench", "--eval", "--models", "lenet", "lenett"], &["did you mean `lenet`?"]);
    refused(&["bench", "--models", "lenet", "--norms", "bn", "mnb"], &["did you mean `mbn`?"]);
    refused(&["bench", "--models", "lenet", "--norms", "gn-df"], &["double_forward", "gn"]);
    refused(&["bench", "--models", "lenet", "--batch-sizes", "2", "0"], &["batch_size"]);
    refused(&["bench", "--seconds=-1"], &["--seconds", "number of seconds"]);
    refused(&["bench", "--seconds", "-1"], &["--seconds", "number of seconds"]);
    refused(&["train", "--epochs", "-1"], &["--epochs", "'-1'"]);
    refused(&["bench", "--threads", "0"], &["--threads"]);
}
