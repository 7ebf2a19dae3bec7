//! Charts and HTML page: well-formed, self-contained, and with the figures of the tables.

use std::fs;
use std::path::Path;

use roxmltree::{Document, ParsingOptions};

use super::support::{FakeRun, cell, compare, entry, json};

/// Runs over two methods, three batch sizes and three seeds, one of them diverged; one name contains markup.
fn write(dir: &Path) {
    for seed in 0..3 {
        for batch in [2, 4, 16] {
            let noise = 0.01 * seed as f64;
            FakeRun::new("bn", batch, seed, 0.5 + 0.02 * batch as f64 - noise).write(dir);
            let run = FakeRun { double_forward: true, ..FakeRun::new("mbn", batch, seed, 0.9 + noise) };
            if (batch, seed) == (4, 2) { FakeRun { reached: 1, status: Some("diverged"), ..run } } else { run }
                .write(dir);
        }
    }
    FakeRun { model: "</script><b>&\"'", ..FakeRun::new("bn", 2, 0, 0.5) }.write_as(dir, "odd");
}

impl FakeRun {
    /// As [`FakeRun::write`], under a folder name that a file system takes.
    fn write_as(&self, runs: &Path, folder: &str) {
        let dir = runs.join(folder);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.toml"), self.config().replace("&\"'", "&'")).unwrap();
    }
}

fn parse(text: &str) -> Document<'_> {
    Document::parse_with_options(text, ParsingOptions { allow_dtd: true, ..ParsingOptions::default() }).unwrap()
}

#[test]
fn charts_are_xml_and_hold_the_figures() {
    let dir = tempfile::tempdir().unwrap();
    let (runs, out) = (dir.path().join("runs"), dir.path().join("out"));
    write(&runs);
    let said = compare(&[&runs], &["--out", out.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let names: Vec<String> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".svg"))
        .collect();
    for wanted in ["accuracy", "loss", "gap", "images_per_s", "accuracy-curve-b2", "loss-curve-b16"] {
        assert!(names.contains(&format!("digits-lenet-e3-{wanted}.svg")), "{wanted}: {names:?}");
    }
    for name in &names {
        let text = fs::read_to_string(out.join(name)).unwrap();
        let chart = parse(&text);
        assert_eq!(chart.root_element().tag_name().namespace(), Some("http://www.w3.org/2000/svg"));
        assert!(!text.contains("NaN") && !text.contains("inf"), "{name}: {text}");
    }
    let text = fs::read_to_string(out.join("digits-lenet-e3-accuracy.svg")).unwrap();
    for figure in
        ["bn, batch size 2: 53.00 % (50.52 .. 55.48), n = 3", "mbn + DF, batch size 4: 90.50 %", "n = 2, 1 diverged"]
    {
        assert!(text.contains(figure), "{figure} is not in {text}");
    }
    let words: String = parse(&text)
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text())
        .collect::<Vec<_>>()
        .join(" ");
    assert!(words.replace('\u{a0}', " ").contains("not in the means: mbn + DF at 4 (1)"), "{words}");
    let curve = fs::read_to_string(out.join("digits-lenet-e3-accuracy-curve-b2.svg")).unwrap();
    assert!(curve.contains("bn, epoch 2: 55.50 %"), "{curve}");
}

/// Position of the mark with that title.
fn place(chart: &Document, title: &str) -> (f64, f64) {
    let mark = chart.descendants().find(|node| node.text().is_some_and(|text| text.starts_with(title))).unwrap();
    let transform = mark.parent().unwrap().attribute("transform").unwrap();
    let numbers = transform.trim_start_matches("translate(").trim_end_matches(')');
    let (x, y) = numbers.split_once(' ').unwrap();
    (x.parse().unwrap(), y.parse().unwrap())
}

#[test]
fn batch_sizes_stand_at_their_logarithms() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for (batch, accuracy) in [(2, 0.5), (4, 0.6), (16, 0.7)] {
        FakeRun::new("bn", batch, 0, accuracy).write(dir.path());
    }
    compare(&[dir.path()], &["--out", out.to_str().unwrap()]);
    let text = fs::read_to_string(out.join("digits-lenet-e3-accuracy.svg")).unwrap();
    let chart = parse(&text);
    let [two, four, sixteen] = ["2", "4", "16"].map(|size| place(&chart, &format!("bn, batch size {size}:")));
    assert!(((sixteen.0 - two.0) - 3.0 * (four.0 - two.0)).abs() < 0.5, "{two:?} {four:?} {sixteen:?}");
    assert!(((two.1 - four.1) - (four.1 - sixteen.1)).abs() < 0.5 && two.1 > four.1, "{two:?} {four:?} {sixteen:?}");
}

#[test]
fn where_one_method_fails_the_others_are_told_apart_by_their_errors() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for (batch, accuracy) in [(2, 0.1), (4, 0.9), (16, 0.99)] {
        FakeRun::new("bn", batch, 0, accuracy).write(dir.path());
    }
    compare(&[dir.path()], &["--out", out.to_str().unwrap()]);
    let text = fs::read_to_string(out.join("digits-lenet-e3-accuracy.svg")).unwrap();
    assert!(text.contains("test accuracy (%), by log error") && text.contains(">99<"), "{text}");
    let chart = parse(&text);
    let [worst, middle, best] = ["2", "4", "16"].map(|size| place(&chart, &format!("bn, batch size {size}:")).1);
    // Errors of 90, 10 and 1 %: log10(9) and log10(10) apart.
    assert!(((worst - middle) - 9f64.log10() * (middle - best)).abs() < 0.5, "{worst} {middle} {best}");
}

#[test]
fn curves_can_be_drawn_against_images_and_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    FakeRun::new("bn", 4, 0, 0.5).write(dir.path());
    for (x, title, last) in [("examples", "training images seen", 120.0), ("seconds", "seconds since the start", 4.5)] {
        let said = compare(&[dir.path()], &["--x", x, "--out", out.to_str().unwrap()]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let text = fs::read_to_string(out.join("digits-lenet-e3-loss-curve-b4.svg")).unwrap();
        assert!(text.contains(title), "{text}");
        // At every third; the last epoch is at the end of the axis, `last`.
        let chart = parse(&text);
        let [one, three] = [1, 3].map(|epoch| place(&chart, &format!("bn, epoch {epoch}:")).0);
        let two = place(&chart, "bn, epoch 2:").0;
        assert!(
            (three - two - (two - one)).abs() < 0.3 && (two - one - (one - 64.0)).abs() < 0.3,
            "{last}: {one} {two} {three}"
        );
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (runs, out) = (dir.path().join("runs"), dir.path().join("out"));
    write(&runs);
    let said = compare(&[&runs], &["--out", out.to_str().unwrap()]);
    assert!(said.err.contains("report.html"), "{}", said.err);
    let text = fs::read_to_string(out.join("report.html")).unwrap();
    for outside in ["http:", "https:", "//cdn", "@import", "src=", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!text.contains(outside), "{outside}");
    }
    let page = parse(&text);
    let named = |name: &'static str| page.descendants().filter(move |node| node.has_tag_name(name));
    for node in page.descendants() {
        assert!(node.attribute("href").is_none_or(|link| link == "data:,"), "{node:?}");
        for attribute in node.attributes().filter(|attribute| attribute.value().contains("url(")) {
            let id = attribute.value().trim_start_matches("url(#").trim_end_matches(')');
            assert_eq!(page.descendants().filter(|node| node.attribute("id") == Some(id)).count(), 1, "{attribute:?}");
        }
    }
    assert!(
        named("meta").any(|meta| meta.attribute("content").is_some_and(|text| text.starts_with("default-src 'none'")))
    );
    assert_eq!(named("script").count(), 2, "a data set's name is no script");
    let data = named("script").find(|node| node.attribute("id") == Some("data")).unwrap().text().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data, json(&[&runs], &[]));
    // The table's figures are the document's.
    let cells: Vec<&str> = named("td").filter_map(|cell| cell.text()).collect();
    let mean = 100.0 * cell_of(&data)["mean"].as_f64().unwrap();
    assert!(cells.windows(3).any(|row| row == ["16", "bn", &format!("{mean:.2}")]), "{mean} {cells:?}");
}

fn cell_of(data: &serde_json::Value) -> &serde_json::Value {
    let sections = data["sections"].as_array().unwrap();
    let lenet = sections.iter().find(|section| section["model"] == "lenet").unwrap();
    let cells = lenet["tables"][0]["cells"].as_array().unwrap();
    cells.iter().find(|cell| cell["x"] == 16 && cell["label"] == "bn").unwrap()
}

#[test]
fn the_tidy_table_holds_what_the_document_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (runs, out) = (dir.path().join("runs"), dir.path().join("out"));
    for seed in 0..3 {
        FakeRun::new("bn", 4, seed, 0.5 + 0.01 * seed as f64).write(&runs);
        FakeRun::new("gn", 4, seed, 0.7).write(&runs);
    }
    FakeRun::new("bn", 8, 0, 0.9).write(&runs);
    compare(&[&runs], &["--out", out.to_str().unwrap()]);
    let json = json(&[&runs], &[]);
    let mut reader = csv::Reader::from_path(out.join("comparison.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let mut seen = 0;
    for row in reader.records() {
        let row = row.unwrap();
        let get = |name: &str| &row[header.iter().position(|column| column == name).unwrap()];
        let (metric, x, method) = (get("metric"), get("batch_size").parse().unwrap(), get("method"));
        let cell = cell(&json, metric, x, method);
        let pair = entry(&json, "pairs", metric, x, method);
        let same = |column: &str, value: &serde_json::Value| match value.as_f64() {
            Some(value) => assert_eq!(get(column).parse::<f64>().unwrap().to_bits(), value.to_bits(), "{column}"),
            None => assert_eq!(get(column), "", "{column} of one run"),
        };
        for (column, key) in [("mean", "mean"), ("sd", "sd"), ("ci_low", "low"), ("ci_high", "high"), ("n", "n")] {
            same(column, &cell[key]);
        }
        for (column, key) in [("difference", "mean"), ("difference_low", "low"), ("pairs", "n")] {
            same(column, pair.map_or(&serde_json::Value::Null, |pair| &pair[key]));
        }
        assert_eq!(get("best"), cell["best"].to_string());
        seen += 1;
    }
    let cells =
        json["sections"][0]["tables"].as_array().unwrap().iter().map(|table| table["cells"].as_array().unwrap().len());
    assert_eq!(seen, cells.sum::<usize>());
}
