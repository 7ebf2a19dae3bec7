//! Files of a run: atomic, exact, and readable again after a crash.

use std::fs;
use std::path::Path;

use mbn::config::Layers;
use mbn::record::{MetricRow, RunDir, Status, Summary, atomic, read_finished, read_metrics, read_rows, write_rows};
use proptest::prelude::*;

const HEADER: &str = "run,dataset,model,norm,double_forward,batch_size,norm_batch_size,seed,epoch,step,split,stats,loss,\
                      accuracy,lr,images_per_s,seconds";

fn row(epoch: usize, split: &str, stats: &str, accuracy: Option<f64>) -> MetricRow {
    MetricRow {
        run: "r".into(),
        dataset: "digits".into(),
        model: "lenet".into(),
        norm: "mbn".into(),
        double_forward: true,
        batch_size: 8,
        norm_batch_size: 4,
        seed: u64::MAX,
        epoch,
        step: 10 * epoch,
        split: split.parse().unwrap(),
        stats: stats.parse().unwrap(),
        loss: Some(0.1 + 0.2),
        accuracy,
        lr: Some(1e-7),
        images_per_s: None,
        seconds: Some(1.5),
    }
}

#[test]
fn metrics_have_the_contract_s_columns_and_come_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.csv");
    let rows =
        [row(1, "train", "memory", Some(0.5)), row(1, "test", "batch", None), row(2, "test", "memory", Some(1.0))];
    write_rows(&path, &rows).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().next(), Some(HEADER));
    assert_eq!(
        text.lines().nth(2),
        Some("r,digits,lenet,mbn,true,8,4,18446744073709551615,1,10,test,batch,0.30000000000000004,,1e-7,,1.5")
    );
    assert_eq!(read_metrics(&path, usize::MAX).unwrap(), rows);
    assert_eq!(read_metrics(&path, 1).unwrap(), rows[..2]);
}

#[test]
fn a_torn_last_line_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.csv");
    let rows = [row(1, "train", "memory", Some(0.5)), row(2, "train", "memory", Some(0.75))];
    write_rows(&path, &rows).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let whole = text.trim_end().rfind('\n').unwrap() + 1;
    for end in whole..text.len() {
        fs::write(&path, &text[..end]).unwrap();
        assert_eq!(read_metrics(&path, 9).unwrap(), rows[..1], "cut at {end}");
    }
    fs::write(&path, "").unwrap();
    assert!(read_metrics(&path, 9).unwrap().is_empty());
    assert!(read_metrics(&dir.path().join("absent.csv"), 9).unwrap().is_empty());
}

#[test]
fn rows_that_a_spreadsheet_saved_as_utf_16_are_called_that() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.csv");
    write_rows(&path, &[row(1, "train", "memory", None)]).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("\u{feff}{text}")).unwrap();
    assert_eq!(read_metrics(&path, 9).unwrap().len(), 1, "UTF-8 with a mark");
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect();
        fs::write(&path, &utf16).unwrap();
        let message = read_metrics(&path, 9).unwrap_err().to_string();
        for part in ["metrics.csv: ", "UTF-16", "save it as UTF-8", "--fresh"] {
            assert!(message.contains(part), "{message}");
        }
        fs::write(&path, &utf16[2..]).unwrap();
        let message = read_metrics(&path, 9).unwrap_err().to_string();
        assert!(message.contains("UTF-16 without a byte-order mark"), "{message}");
    }
}

#[test]
fn a_damaged_line_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.csv");
    write_rows(&path, &[row(1, "train", "memory", None), row(2, "test", "memory", None)]).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    for (from, to) in [
        (",2,20,", ",two,20,"),
        (",2,20,", ",20,"),
        (",2,20,", ",2,20,21,"),
        (",test,", ",tset,"),
        ("epoch,step", "epoch,stop"),
    ] {
        fs::write(&path, text.replace(from, to)).unwrap();
        let message = read_metrics(&path, 9).unwrap_err().to_string();
        assert!(message.contains("metrics.csv:"), "{message}");
        assert!(from.starts_with("epoch") || message.contains("metrics.csv:3"), "{message}");
    }
}

proptest! {
    #[test]
    fn any_float_survives(x in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.csv");
        let rows = [MetricRow { loss: Some(x), ..row(1, "train", "memory", None) }];
        write_rows(&path, &rows).unwrap();
        let back = read_rows(&path, |_: &MetricRow| true).unwrap();
        prop_assert_eq!(back[0].loss.map(f64::to_bits), Some(x.to_bits()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), header: bool) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.csv");
        let start = if header { format!("{HEADER}\n").into_bytes() } else { vec![] };
        fs::write(&path, [start, bytes.clone(), b"\n".to_vec()].concat()).unwrap();
        let _ = read_metrics(&path, 9);
        fs::write(dir.path().join("summary.json"), bytes).unwrap();
        prop_assert!(read_finished(dir.path()).is_err());
    }
}

#[test]
fn a_write_leaves_the_old_file_or_the_new() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    atomic::write(&path, b"old").unwrap();
    atomic::write(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    // A folder of that name cannot be replaced: an error, nothing changed, nothing left over.
    let taken = dir.path().join("taken");
    fs::create_dir(&taken).unwrap();
    assert!(atomic::write(&taken, b"new").unwrap_err().to_string().contains("taken"));
    assert!(atomic::write(&dir.path().join("no/such/file"), b"new").is_err());
    assert_eq!(names(dir.path()), ["file", "taken"]);
}

#[test]
fn readers_never_see_a_part() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let contents = [vec![b'a'; 100_000], vec![b'b'; 70_000]];
    atomic::write(&path, &contents[0]).unwrap();
    std::thread::scope(|scope| {
        let writers = [0, 1].map(|i| {
            let (path, contents) = (&path, &contents);
            scope.spawn(move || (0..20).for_each(|_| atomic::write(path, &contents[i]).unwrap()))
        });
        while !writers.iter().all(|writer| writer.is_finished()) {
            assert!(contents.contains(&fs::read(&path).unwrap()));
        }
    });
    assert_eq!(names(dir.path()), ["file"]);
}

#[test]
fn a_folder_is_one_process_s_and_is_tidied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs/r");
    let first = RunDir::create(&path).unwrap();
    let message = RunDir::create(&path).unwrap_err().to_string();
    assert!(message.contains("another process") && message.contains("runs/r"), "{message}");
    drop(first);
    fs::write(path.join(".metrics.csv.123.0.part"), "half").unwrap();
    fs::write(path.join("mine.txt"), "kept").unwrap();
    let again = RunDir::create(&path).unwrap();
    again.log("one\ntwo").unwrap();
    again.log("three").unwrap();
    let log = fs::read_to_string(path.join("log.txt")).unwrap();
    let texts: Vec<&str> = log.lines().filter_map(|line| line.split_once("Z ").map(|(_, text)| text)).collect();
    assert_eq!(texts, ["one two", "three"]);
    atomic::write(&again.last(), b"x").unwrap();
    again.clear().unwrap();
    assert_eq!(names(&path), [".lock", "mine.txt"]);
}

#[test]
fn a_summary_says_how_the_run_ended() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read_finished(dir.path()).unwrap().is_none());
    let config = Layers::new().resolve().unwrap();
    let rows = [
        row(1, "test", "memory", Some(0.25)),
        row(2, "train", "memory", Some(0.5)),
        row(2, "test", "memory", Some(0.5)),
        row(2, "test", "batch", Some(0.75)),
    ];
    let done = Summary::new(&config, &rows, None, Some(0.5), 2.5, 100).unwrap();
    assert_eq!((done.status, done.epochs, done.steps, done.gap), (Status::Done, 2, 20, Some(0.25)));
    assert_eq!(done.results.len(), 3);
    assert_eq!(done.config["mbn"], toml::Value::Table(config.norm_params.clone()));
    done.write(&dir.path().join("summary.json")).unwrap();
    assert_eq!(read_finished(dir.path()).unwrap(), Some(done.clone()));
    let diverged = Summary::new(&config, &[], Some((3, "loss".into())), None, 2.5, 100).unwrap();
    assert_eq!((diverged.status, diverged.epochs), (Status::Diverged, 0));
    assert_eq!(diverged.diverged.map(|d| (d.step, d.tensor)), Some((3, "loss".into())));
    // Another version may have statistics that this one does not know.
    let path = dir.path().join("summary.json");
    let other = fs::read_to_string(&path).unwrap().replace("\"stats\": \"batch\"", "\"stats\": \"oracle\"");
    fs::write(&path, other).unwrap();
    assert_eq!(read_finished(dir.path()).unwrap().unwrap().results, done.results[..2]);
    Summary { status: Status::Failed, ..done }.write(&dir.path().join("summary.json")).unwrap();
    assert!(read_finished(dir.path()).unwrap().is_none(), "a failed run is run again");
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
