//! CSV files as found in practice: truncated, edited, concatenated, still being written.

use std::fs;
use std::path::Path;

use mbn::report::{CompareOptions, Comparison, CurveX, collect};
use proptest::prelude::*;

use super::support::{FakeRun, HEADER, cell, compare, json, near, one_csv, written};

/// The figures of the six runs, whatever their file looks like.
#[track_caller]
fn whole(path: &Path) {
    let json = json(&[path], &[]);
    let bn = cell(&json, "accuracy", 4, "bn");
    assert_eq!(bn["n"], 3);
    near(&bn["mean"], 0.6);
    near(&bn["sd"], 0.1);
    near(&cell(&json, "accuracy", 4, "mbn")["mean"], 0.9);
}

#[test]
fn a_csv_alone_is_enough() {
    let (_dir, path) = written(&one_csv());
    whole(&path);
    assert_eq!(compare(&[&path], &[]).err, "");
}

#[test]
fn the_look_of_a_csv_does_not_matter() {
    let text = one_csv();
    let quoted: String = text.lines().map(|line| format!("\"{}\"\r\n", line.replace(',', "\", \""))).collect();
    let commented = text.replace(&format!("{HEADER}\n"), &format!("# made on a Monday, in \"haste\n\n{HEADER}\n#\n"));
    let reversed: String =
        text.lines().map(|line| format!("{}\n", line.split(',').rev().collect::<Vec<_>>().join(","))).collect();
    let rows: Vec<&str> = text.lines().skip(1).collect();
    let upside_down = format!("{HEADER}\n{}\n", rows.iter().rev().copied().collect::<Vec<_>>().join("\n"));
    let trailing = text.replace('\n', ",,\n").replacen(",,\n", "\n", 1);
    let pandas = text.replace(",true,", ",True,").replace(",false,", ",False,").replace(",4,4,", ",4.0,4.0,");
    let shouted = text.replace("batch_size", "Batch Size").replace("accuracy", "Accuracy");
    for (what, text) in [
        ("byte order mark", format!("\u{feff}{text}")),
        ("CRLF", text.replace('\n', "\r\n")),
        ("quotes and blanks", quoted),
        ("comments and blank lines", commented),
        ("columns reversed", reversed),
        ("rows reversed", upside_down),
        ("semicolons", text.replace(',', ";")),
        ("tabs", text.replace(',', "\t")),
        ("trailing commas", trailing),
        ("numbers as pandas writes them", pandas),
        ("capitals in the header", shouted),
    ] {
        let (_dir, path) = written(&text);
        whole(&path);
        assert_eq!(compare(&[&path], &[]).err, "", "{what}");
    }
}

#[test]
fn files_put_end_to_end_count_once() {
    let text = one_csv();
    let (_dir, path) = written(&format!("{text}{text}"));
    whole(&path);
    compare(&[&path], &[]).warns(&["all.csv: 54 rows are there twice", "each counts once"]);
    // The first without a final line break, the second with additional columns in front.
    let second: String = text.lines().map(|line| format!("{line},\n").replacen("run,", "run,", 1)).collect();
    let second = second.replacen("seconds,\n", "seconds,note\n", 1);
    let (_dir, path) = written(&format!("{}{second}", text.trim_end()));
    whole(&path);
    compare(&[&path], &[])
        .warns(&["all.csv:55: the line has no line break, so its last cell (`seconds`) may be cut off"]);
}

#[test]
fn a_torn_last_line_costs_itself_alone() {
    let text = one_csv();
    let start = text.trim_end().rfind('\n').unwrap() + 1;
    for end in start + 1..text.len() {
        let (_dir, path) = written(&text[..end]);
        let said = compare(&[&path], &[]);
        assert_eq!(said.code, Some(0));
        said.warns(&["all.csv:55: "]);
        assert_eq!(said.row("4", "bn")[2..4], ["60.00", "10.00"], "cut at {end}");
    }
    // With the accuracy last, a truncated one must not be taken for the whole.
    let last = |row: &str| {
        let mut cells: Vec<&str> = row.split(',').collect();
        let accuracy = cells.remove(13);
        cells.push(accuracy);
        cells.join(",")
    };
    let text: Vec<String> = one_csv().lines().map(last).collect();
    let text = text.join("\n");
    let (_dir, path) = written(&text[..text.len() - 1]);
    let said = compare(&[&path], &["--stats", "batch"]);
    said.warns(&["its last cell (`accuracy`) may be cut off and is not used"]);
    assert_eq!(said.row("4", "mbn")[5], "2");
}

#[test]
fn bad_cells_and_lines_are_named_and_the_rest_is_kept() {
    let mut lines: Vec<String> = one_csv().lines().map(String::from).collect();
    let train = |line: &str, from: &str, to: &str| {
        assert!(line.contains(",train,") && line.contains(from), "{line}");
        line.replacen(from, to, 1)
    };
    // Rows of the training set in the first epochs: no final test score is among them.
    lines[1] = train(&lines[1], ",0.01,", ",0.01,\"");
    lines[4] = train(&lines[4], ",2,20,", ",two,20,");
    lines[10] = train(&lines[10], ",train,", ",train,,,");
    lines[13] = train(&lines[13], ",4,4,", ",four,4,");
    let (_dir, path) = written(&format!("{}\n", lines.join("\n")));
    whole(&path);
    let said = compare(&[&path], &[]);
    said.warns(&[
        "all.csv:2: a quote is not closed",
        "all.csv:5: `epoch` is not a whole number",
        "all.csv:11: the line has 19 cells, the header 17",
        "all.csv:14: `batch_size` is `four`, not a whole number",
    ]);
}

#[test]
fn a_score_that_is_no_fraction_or_no_number_is_not_used() {
    for (from, to, what) in [
        (",0.5,", ",50,", "`accuracy` is `50`, not a fraction between 0 and 1"),
        (",0.5,", ",abc,", "`accuracy` is `abc`, not a number"),
        (",0.5,", ",nan,", "`accuracy` is `nan`, not a finite number"),
    ] {
        let run = FakeRun::new("bn", 4, 0, 0.5);
        let text = run.metrics().replace(",0.5,0.5,", &format!(",0.5,{}", &to[1..]));
        assert!(text.contains(&format!(",0.5{to}")), "{from} {text}");
        let (_dir, path) = written(&text);
        let said = compare(&[&path], &[]);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
        said.warns(&["all.csv:9: ", what, "nothing to tabulate: no run has test accuracy; they have loss"]);
    }
    // A non-finite loss at the end is how a diverged run appears where nothing says how it ended.
    let text = one_csv().replacen(",0.5,0.5,", ",NaN,0.1,", 1);
    let (_dir, path) = written(&text);
    let json = json(&[&path], &[]);
    assert_eq!(
        (&cell(&json, "accuracy", 4, "bn")["n"], &cell(&json, "accuracy", 4, "bn")["diverged"]),
        (&2.into(), &1.into())
    );
    compare(&[&path], &[]).warns(&["all.csv:9: `loss` is `NaN`"]);
}

#[test]
fn missing_columns_are_said() {
    let without = |names: &[&str]| {
        let keep: Vec<bool> = HEADER.split(',').map(|name| !names.contains(&name)).collect();
        let row = |line: &str| {
            let cells = line.split(',').zip(&keep).filter(|(_, keep)| **keep).map(|(cell, _)| cell);
            cells.collect::<Vec<_>>().join(",")
        };
        one_csv().lines().map(|line| row(line) + "\n").collect::<String>()
    };
    let (_dir, path) = written(&without(&["run", "model", "norm_batch_size", "step", "lr", "seconds", "loss"]));
    whole(&path);
    let (_dir, path) = written(&without(&["double_forward", "epoch"]));
    whole(&path);
    compare(&[&path], &[]).warns(&["all.csv:1: no column `double_forward`; taken as false", "no column `epoch`"]);
    let (_dir, path) = written(&without(&["accuracy", "loss"]).replace("seconds", "acuracy"));
    let said = compare(&[&path], &[]);
    assert_eq!(said.code, Some(1));
    said.warns(&["all.csv:1:", "neither `accuracy` (is it `acuracy`", "nor `loss`"]);
    // No header at all.
    let (_dir, path) = written(&one_csv().replacen(&format!("{HEADER}\n"), "", 1));
    let said = compare(&[&path], &[]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    said.warns(&["all.csv:1:", "header"]);
}

#[test]
fn a_summary_alone_is_enough_for_the_tables() {
    let text = "run,label,dataset,model,norm,double_forward,batch_size,norm_batch_size,seed,epochs,lr,device,mbn.size,train_loss,\
         train_accuracy,test_loss,test_accuracy,test_batch_loss,test_batch_accuracy,gap,shift,status,reason,seconds,threads\n\
         a,,digits,lenet,mbn,true,4,4,0,3,0.1,cpu,8,,,0.5,0.80,0.5,0.81,0.01,0.25,done,,10,1\n\
         b,,digits,lenet,mbn,true,4,4,1,3,0.1,cpu,8,,,0.5,0.90,0.5,0.93,0.03,0.75,done,,20,1\n\
         c,,digits,lenet,mbn,true,4,4,2,3,0.1,cpu,8,,,,,,,,,diverged,step 3: loss is not finite,20,1\n\
         d,,digits,lenet,mbn,true,4,4,0,3,0.1,cpu,64,,,0.5,0.70,,,,,done,,10,1\n\
         e,tuned,digits,lenet,mbn,true,4,4,0,3,0.2,cpu,64,,,0.5,0.60,,,,,done,,10,1\n\
         f,,digits,lenet,mbn,true,4,4,3,3,0.1,cpu,8,,,,,,,,,running,,,1\n\
         g,,digits,lenet,mbn,true,4,4,4,3,0.1,cpu,8,,,,,,,,,failed,no disk,,1\n";
    let (_dir, path) = written(text);
    let json = json(&[&path], &["--baseline", "tuned"]);
    let eight = "mbn + DF size=8 lr=0.1";
    let mbn = cell(&json, "accuracy", 4, eight);
    near(&mbn["mean"], 0.85);
    assert_eq!((&mbn["n"], &mbn["diverged"], &mbn["failed"]), (&2.into(), &1.into(), &1.into()));
    near(&cell(&json, "gap", 4, eight)["mean"], 0.02);
    near(&cell(&json, "shift", 4, eight)["mean"], 0.5);
    near(&cell(&json, "seconds", 4, eight)["mean"], 15.0);
    near(&cell(&json, "accuracy", 4, "tuned")["mean"], 0.6);
    assert_eq!(json["sections"][0]["epochs"], 3);
    let states: Vec<_> =
        json["sections"][0]["apart"].as_array().unwrap().iter().map(|run| run["state"].clone()).collect();
    assert_eq!(states, ["diverged", "unfinished", "failed"]);
    let batch = super::support::json(&[&path], &["--stats", "batch"]);
    near(&cell(&batch, "accuracy", 4, eight)["mean"], 0.87);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let said = compare(&[&dir.path().join("absent")], &[]);
    assert_eq!(said.code, Some(1));
    said.warns(&["absent"]);
    assert_eq!(compare(&[dir.path()], &[]).code, Some(1));
    assert_eq!(compare(&[], &[]).code, Some(2));
    let (_dir, path) =
        written("impl,model,norm,batch_size,threads,images_per_s,ms_per_step\nmbn,lenet,bn,2,1,100,20\n");
    let said = compare(&[&path], &[]);
    assert_eq!(said.code, Some(1));
    said.warns(&["was written by `mbn bench` and holds no runs"]);
    let (_dir, path) = written("");
    compare(&[&path], &[]).warns(&["is empty"]);
    let (_dir, path) = written(&format!("{HEADER}\n"));
    compare(&[&path], &[]).warns(&["all.csv: has a header and no rows"]);
    let run = FakeRun::new("bn", 4, 0, 0.7).write(dir.path());
    compare(&[&run.join("config.toml")], &[]).warns(&["config.toml: is not a CSV file; give the folder of the run"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is inserted into or cut out of a file: no panic, and the rows before it are read.
    #[test]
    fn any_damage_is_survived(at in 0.0..1.0f64, cut in 0..200usize, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let text = one_csv().into_bytes();
        let at = (at * text.len() as f64) as usize;
        let end = (at + cut).min(text.len());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("all.csv");
        fs::write(&path, [&text[..at], &bytes, &text[end..]].concat()).unwrap();
        let run = dir.path().join("run");
        FakeRun::new("bn", 4, 9, 0.5).write(&run);
        fs::write(run.join(FakeRun::new("bn", 4, 9, 0.5).name()).join("summary.json"), &bytes).unwrap();
        let runs = collect(&[path, run]).unwrap();
        let comparison = Comparison::new(runs, &CompareOptions::default()).unwrap();
        prop_assert!(comparison.runs.iter().any(|run| run.seed == Some(9) && run.norm == "bn"));
        mbn::report::write(&comparison, CurveX::Examples, &dir.path().join("out")).unwrap();
    }
}
