//! Files saved by editors and spreadsheets: read, or the reason given once.

use std::fs;

use super::support::{FakeRun, HEADER, cell, compare, json, near, written};

/// Three seeds under one header, accuracies 0.5, 0.6 and 0.75.
fn text() -> String {
    let runs =
        [0.5, 0.6, 0.75].into_iter().zip(0..).map(|(accuracy, seed)| FakeRun::new("bn", 4, seed, accuracy).metrics());
    let rows: String = runs.map(|text| text.replace(&format!("{HEADER}\n"), "")).collect();
    format!("{HEADER}\n{rows}")
}

/// The text with every cell of the rows changed, and the delimiter.
fn changed(delimiter: &str, cell: impl Fn(&str, &str) -> String) -> String {
    let names: Vec<&str> = HEADER.split(',').collect();
    let line = |line: &str| {
        let cells = line.split(',').zip(&names).map(|(text, name)| cell(name, text));
        format!("{}\n", cells.collect::<Vec<_>>().join(delimiter))
    };
    format!("{}\n{}", names.join(delimiter), text().lines().skip(1).map(line).collect::<String>())
}

fn comma(text: &str) -> String {
    if text.parse::<f64>().is_ok() { text.replace('.', ",") } else { text.to_string() }
}

#[test]
fn what_a_spreadsheet_leaves_is_read() {
    let percent = |sign: &'static str| {
        move |name: &str, text: &str| match name {
            "accuracy" => format!("{:.1}{sign}", 100.0 * text.parse::<f64>().unwrap()),
            _ => text.to_string(),
        }
    };
    let german = changed(";", |_, text| comma(text));
    let quoted = changed(",", |_, text| if text.contains('.') { format!("\"{}\"", comma(text)) } else { text.into() });
    let words = |pair: [&'static str; 2]| {
        changed(",", move |name, text| match (name, text) {
            ("double_forward", "true") => pair[0].into(),
            ("double_forward", _) => pair[1].into(),
            _ => text.into(),
        })
    };
    let thousands = changed(",", |name, text| match name {
        "images_per_s" => "\"12,345.5\"".into(),
        _ => text.into(),
    });
    for (what, text) in [
        ("semicolons and decimal commas", german.clone()),
        ("the same, told by its first line", format!("sep=;\n{german}")),
        ("a first line that says the usual", format!("sep=,\n{}", text())),
        ("that line saved again", format!("\"sep=,\",,,\n{}", text())),
        ("quoted decimal commas", quoted),
        ("per cent", changed(",", percent("%"))),
        ("per cent, set apart, with commas", changed(";", |n, t| comma(&percent(" %")(n, t)).replace('.', ","))),
        ("thousands", thousands),
        ("words in capitals", words(["TRUE", "FALSE"])),
        ("words in German", words(["WAHR", "FALSCH"])),
        ("line ends of old", text().replace('\n', "\r")),
    ] {
        let (_dir, path) = written(&text);
        let said = compare(&[&path], &[]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{what}");
        let json = json(&[&path], &[]);
        let bn = cell(&json, "accuracy", 4, "bn");
        assert_eq!(bn["n"], 3, "{what}");
        assert!((bn["mean"].as_f64().unwrap() - 1.85 / 3.0).abs() < 1e-12, "{what}: {bn}");
    }
}

#[test]
fn a_quoted_cell_of_two_lines_is_one_cell() {
    let mut lines: Vec<String> = text().lines().map(|line| format!("{line},")).collect();
    lines[0].push_str("note");
    lines[3].push_str("\"first line\r\nsecond, with \"\"quotes\"\"\"");
    lines[5].push_str("\"\n\n\"");
    let (_dir, path) = written(&format!("{}\n", lines.join("\n")));
    let said = compare(&[&path], &[]);
    assert_eq!((said.err.as_str(), said.row("4", "bn")[5].as_str()), ("", "3"));
    // A quote that is never closed costs only its own line, and every remark has the right line.
    lines[8].push_str("\"never closed");
    lines[9] = lines[9].replace(",3,30,", ",three,30,");
    let (_dir, path) = written(&format!("{}\n", lines.join("\n")));
    let said = compare(&[&path], &[]);
    said.warns(&["all.csv:12: a quote is not closed", "all.csv:13: `epoch`"]);
}

#[test]
fn a_label_of_two_lines_is_shown_on_one() {
    let row = |seed: u64| format!("r{seed},\"my\nlabel\",digits,lenet,mbn,false,4,{seed},3,0.5,done\n");
    let header = "run,label,dataset,model,norm,double_forward,batch_size,seed,epochs,test_accuracy,status\n";
    let (_dir, path) = written(&format!("{header}{}{}", row(1), row(2)));
    let said = compare(&[&path], &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(said.row("4", "my label")[5], "2");
}

#[test]
fn the_same_mistake_in_every_line_is_said_once() {
    let percent = changed(",", |name, text| match name {
        "accuracy" => (100.0 * text.parse::<f64>().unwrap()).to_string(),
        _ => text.into(),
    });
    let (_dir, path) = written(&percent);
    let said = compare(&[&path], &[]);
    said.warns(&[
        "all.csv:2: `accuracy` is `",
        "not a fraction between 0 and 1",
        "% sign",
        "(and so in 26 more lines)",
    ]);
    assert_eq!(said.err.lines().filter(|line| line.contains("all.csv")).count(), 1, "{}", said.err);
    // An ambiguous comma is reported.
    let (_dir, path) = written(&changed(",", |name, text| match name {
        "images_per_s" => "\"1,234\"".into(),
        _ => text.into(),
    }));
    let said = compare(&[&path], &[]);
    said.warns(&["all.csv:2: `images_per_s` is `1,234`, not a number", "(and so in 26 more lines)"]);
}

#[test]
fn numbers_that_are_none_in_any_spelling_mean_that_a_run_diverged() {
    for word in ["nan", "-nan(ind)", "1.#QNAN", "#NUM!", "-inf"] {
        let text = text().replace(",0.25,0.75,", &format!(",{word},0.1,"));
        let (_dir, path) = written(&text);
        let json = json(&[&path], &[]);
        let bn = cell(&json, "accuracy", 4, "bn");
        assert_eq!((&bn["n"], &bn["diverged"]), (&2.into(), &1.into()), "{word}");
    }
}

/// The text without the column `split`, its rows those that `keep` takes.
fn without_split(keep: impl Fn(&str) -> bool) -> String {
    let cut = |line: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells.remove(10);
        format!("{}\n", cells.join(","))
    };
    text().lines().enumerate().filter(|(i, line)| *i == 0 || keep(line)).map(|(_, line)| cut(line)).collect()
}

#[test]
fn without_a_column_split_training_scores_do_not_pass_for_test_scores() {
    // Training and test rows mixed: they cannot be told apart.
    let (_dir, path) = written(&without_split(|_| true));
    for args in [&[][..], &["--split", "test"]] {
        let said = compare(&[&path], args);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
        said.warns(&["all.csv:", "no column `split`", "training and test scores cannot be told apart"]);
    }
    // Rows of one kind: the user knows which.
    let (_dir, path) = written(&without_split(|line| line.contains(",train,")));
    let said = compare(&[&path], &[]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    said.warns(&["all.csv: no column `split`", "--split"]);
    let said = compare(&[&path], &["--split", "train"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("train accuracy"), "{}", said.out);
    near(&cell(&json(&[&path], &["--split", "train"]), "accuracy", 4, "bn")["mean"], 1.85 / 3.0 + 0.02);
    fs::remove_file(path).unwrap();
}

#[test]
fn a_split_or_statistics_of_another_name_are_named_and_not_guessed() {
    let (_dir, path) = written(&text().replace(",test,ema,", ",testing,ema,").replace(",batch,", ",batched,"));
    let said = compare(&[&path], &["--split", "train"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.warns(&[
        "all.csv:3: `split`: unknown split `testing` (did you mean `test`?)",
        "(and so in 8 more lines)",
        "all.csv:4: `stats`: unknown kind of statistics `batched` (did you mean `batch`?)",
    ]);
}

#[test]
fn a_batch_of_none_is_not_replaced_by_the_normalization_batch() {
    let (_dir, path) = written(&text().replace(",4,4,", ",0,4,"));
    let said = compare(&[&path], &[]);
    assert_eq!(said.code, Some(1));
    said.warns(&["all.csv:2: `batch_size` is `0`, not a batch size"]);
}
