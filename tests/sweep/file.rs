//! The sweep file: the runs it means, and what it may not say.

use mbn::sweep::{Job, Shard, Sweep};
use proptest::prelude::*;

fn jobs(text: &str) -> Vec<Job> {
    Sweep::parse("s.toml", text).unwrap().jobs
}

fn show(jobs: &[Job]) -> Vec<String> {
    jobs.iter().map(|j| format!("{} b{} lr{} s{}", j.label, j.config.batch_size, j.config.lr, j.config.seed)).collect()
}

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let error = Sweep::parse("s.toml", text).unwrap_err();
    assert!(error.is_usage());
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{text}\n`{part}` is not in: {message}");
    }
}

#[test]
fn seeds_are_outermost_variants_innermost_and_the_grid_goes_in_the_order_of_the_file() {
    let found = jobs(
        "seeds = [7, 3]\n[grid]\nlr = [0.1, 0.2]\nbatch_size = [2, 4]\n\
         [[variant]]\nnorm = \"bn\"\n[[variant]]\nnorm = \"mbn\"\ndouble_forward = true\n",
    );
    assert_eq!(found.len(), 16);
    let expected = ["bn b2 lr0.1 s7", "mbn-df b2 lr0.1 s7", "bn b4 lr0.1 s7", "mbn-df b4 lr0.1 s7", "bn b2 lr0.2 s7"];
    assert_eq!(show(&found)[..5], expected);
    assert!(found[..8].iter().all(|job| job.config.seed == 7) && found[8..].iter().all(|job| job.config.seed == 3));
    assert!(found.iter().all(|job| job.name == job.config.run_name().unwrap()));
}

#[test]
fn a_file_without_a_grid_is_one_run_and_seeds_count_from_1() {
    assert_eq!(show(&jobs("")), ["mbn b32 lr0.1 s1"]);
    let seeds: Vec<u64> = jobs("seeds = 3").iter().map(|job| job.config.seed).collect();
    assert_eq!(seeds, [1, 2, 3]);
}

#[test]
fn a_run_of_a_sweep_is_the_run_of_the_same_settings_and_labels_are_no_part_of_it() {
    let label =
        |label: &str| jobs(&format!("[[variant]]\nlabel = \"{label}\"\nnorm = \"bn\"\nmbn.size = 3\n"))[0].clone();
    let (one, other) = (label("one"), label("other"));
    assert_eq!((one.label.as_str(), other.label.as_str()), ("one", "other"));
    assert_eq!(one.name, other.name);
    let plain = mbn::config::Layers::new().set("norm=bn").unwrap().set("seed=1").unwrap().resolve().unwrap();
    assert_eq!(one.name, plain.run_name().unwrap());
}

#[test]
fn includes_excludes_and_overrides_do_what_they_say() {
    let found = jobs(
        r#"
        [fixed]
        epochs = 9
        mbn.size = 16
        [grid]
        batch_size = [1, 2, 4]
        [[variant]]
        norm = "bn"
        [[variant]]
        label = "mine"
        norm = "mbn"
        mbn.decay = 0.5
        [[exclude]]
        norm = "bn"
        batch_size = [1]
        [[exclude]]
        label = ["mine", "other"]
        batch_size = 4
        [[override]]
        when = { batch_size = [1, 2], label = "mine" }
        set = { lr = 0.5, mbn.pool = "mean" }
        [[override]]
        when = { batch_size = 2 }
        set = { epochs = 4, lr = 1 }
        [[override]]
        when = { lr = 0.1, batch_size = 4.0 }
        set = { epochs = 5 }
        [[include]]
        label = "extra"
        norm = "gn"
        batch_size = 64
        "#
        .replace("4.0", "4")
        .as_str(),
    );
    let expected = ["mine b1 lr0.5 s1", "bn b2 lr1 s1", "mine b2 lr1 s1", "bn b4 lr0.1 s1", "extra b64 lr0.1 s1"];
    assert_eq!(show(&found), expected);
    let epochs: Vec<usize> = found.iter().map(|job| job.config.epochs).collect();
    assert_eq!(epochs, [9, 4, 4, 5, 9]);
    let mbn = &found[0].config.norm_params;
    assert_eq!(mbn["size"].as_integer(), Some(16));
    assert_eq!((mbn["decay"].as_float(), mbn["pool"].as_str()), (Some(0.5), Some("mean")));
    assert_eq!(found[4].config.norm_params["groups"].as_integer(), Some(8));
}

#[test]
fn parameters_of_a_normalizer_are_an_axis_and_another_normalizer_s_make_no_second_run() {
    let found = jobs(
        "[grid]\nmbn.size = [4, 16]\nmbn.decay = [0.9, 1]\n[[variant]]\nnorm = \"mbn\"\n[[variant]]\nnorm = \"bn\"\n",
    );
    assert_eq!(found.iter().filter(|job| job.label == "mbn").count(), 4);
    assert_eq!(found.iter().filter(|job| job.label == "bn").count(), 1);
    let two = |job: &Job| (job.config.norm_params["size"].as_integer(), job.config.norm_params["decay"].as_float());
    assert_eq!([two(&found[0]), two(&found[2])], [(Some(4), Some(0.9)), (Some(4), Some(1.0))]);
}

#[test]
fn grids_mix_data_sets_networks_and_norm_batches() {
    let found = jobs(
        "[grid]\ndataset = [\"digits\", \"shapes\"]\nmodel = [\"lenet\", \"resnet8\"]\nnorm_batch_size = [2, 4]\n\
         [fixed]\nbatch_size = 4\n",
    );
    assert_eq!(found.len(), 8);
    assert!(found.iter().any(|job| job.name.starts_with("shapes-resnet8-mbn-b4-nb2-s1-")));
    // 0 means the batch size, to a condition, too.
    let whole = "[fixed]\nbatch_size = 4\n[grid]\nnorm_batch_size = [0, 2]\n[[exclude]]\nnorm_batch_size = 4\n";
    assert_eq!(jobs(whole).len(), 1);
}

#[test]
fn unknown_keys_are_refused_with_line_and_closest_spelling() {
    refused("sedes = 5", &["s.toml:1", "sedes", "did you mean `seeds`?"]);
    refused("\n[gird]\nlr = [1]", &["s.toml:2", "gird", "did you mean `grid`?"]);
    refused("[fixed]\n\nbatchsize = 2", &["s.toml:3", "batchsize", "did you mean `batch_size`?"]);
    refused("[grid]\nlr = [0.1]\nbatch_sizes = [2]", &["s.toml:3", "did you mean `batch_size`?"]);
    refused("[grid]\nmbn.sise = [2]", &["s.toml:2", "mbn.sise", "did you mean `size`?"]);
    refused("[[variant]]\nnorm = \"bn\"\n[[variant]]\nnorm = \"mbn\"\nlable = \"x\"", &["s.toml:5", "lable"]);
    refused("[[variant]]\nnorm = \"mnb\"", &["s.toml:2", "mnb", "did you mean `mbn`?"]);
    refused("[[exclude]]\nbatch_siez = 1", &["s.toml:2", "did you mean `batch_size`?"]);
    refused("[[override]]\nwhen = { lr = 0.1 }\nset = { epoch = 3 }", &["s.toml:3", "did you mean `epochs`?"]);
    refused("[[override]]\nwhne = { lr = 0.1 }\nset = { epochs = 3 }", &["s.toml:2", "did you mean `when`?"]);
    refused("[[include]]\nmodle = \"mlp\"", &["s.toml:2", "did you mean `model`?"]);
    // Known keys in the wrong place.
    refused("batch_size = 2", &["s.toml:1", "`batch_size`", "belong under [fixed]"]);
    refused("[grid]\nlabel = [\"x\"]", &["s.toml:2", "`label`", "[[variant]]"]);
    refused("[variant]\nnorm = \"bn\"", &["s.toml:1", "double brackets"]);
}

#[test]
fn wrong_values_are_refused_with_their_line() {
    refused("seeds = 0", &["s.toml:1", "seeds"]);
    refused("seeds = 99999999", &["s.toml:1", "seeds"]);
    let many = (0..2000).map(|i| format!("{i}.5")).collect::<Vec<_>>().join(", ");
    refused(&format!("[grid]\nlr = [{many}]\nmomentum = [{many}]"), &["s.toml", "4000000 runs"]);
    refused("seeds = [1, 1]", &["s.toml:1", "different"]);
    refused("seeds = \"x\"", &["s.toml:1", "seeds"]);
    refused("[fixed]\nseed = 3", &["s.toml:2", "seeds = 5"]);
    refused("[grid]\nlr = [\n  0.1,\n  \"fast\",\n]", &["s.toml:4", "lr", "a number"]);
    refused("[grid]\nlr = 0.1", &["s.toml:2", "list", "[fixed]"]);
    refused("[grid]\nlr = []", &["s.toml:2", "empty"]);
    refused("[[variant]]\nlabel = 3", &["s.toml:2", "label"]);
    refused("[fixed]\nlr = ", &["s.toml:2"]);
    refused("[[exclude]]", &["s.toml:1", "every run"]);
    refused("fixed = 1", &["s.toml:1", "expected a table"]);
    // What is wrong by itself has its line, wherever it is noticed.
    refused("[fixed]\n\ndataset = \"digit\"", &["s.toml:3: unknown data set `digit`", "`digits`"]);
    refused("[grid]\nmodel = [\n\"lenet\",\n\"lennet\"]", &["s.toml:4: unknown model `lennet`", "`lenet`"]);
    refused("[grid]\nlr = [\n0.1,\n-1]", &["s.toml:4: lr = -1"]);
    refused("[[override]]\nwhen = { lr = 0.1 }\nset = { device = \"gpu\" }", &["s.toml:3: unknown device `gpu`"]);
}

#[test]
fn what_is_no_sweep_file_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let binary = dir.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    for (path, why) in [
        (dir.path().into(), "it is a folder"),
        (binary, "not a text file"),
        (dir.path().join("absent"), "No such file"),
    ] {
        let error = Sweep::load(&path).unwrap_err();
        let message = error.to_string();
        assert!(
            error.is_usage() && message.contains(&path.display().to_string()) && message.contains(why),
            "{message}"
        );
    }
}

#[test]
fn what_would_be_ignored_or_counted_twice_is_refused() {
    refused("[fixed]\nlr = 1\n[grid]\nlr = [1]", &["s.toml:4", "lr", "[fixed]"]);
    refused("[grid]\nnorm = [\"bn\"]\n[[variant]]\nnorm = \"bn\"", &["s.toml:2", "variant", "s.toml:3"]);
    refused("[[variant]]\nlr = 0.1\n[[variant]]\nlr = 0.2", &["s.toml:3", "label"]);
    refused("[[variant]]\nlabel = \"a\"\n[[variant]]\nlabel = \"b\"", &["`a`", "`b`", "twice"]);
    refused("[[variant]]\nlabel = \"a\"\n[[include]]\nlabel = \"a\"\nnorm = \"bn\"", &["`a`", "mbn and bn", "mixed"]);
    refused("[[exclude]]\nbatch_size = 7", &["s.toml:1", "no run has that `batch_size`; values: 32"]);
    refused("[[exclude]]\nbn.eps = 1e-5", &["s.toml:1", "no run has a setting `bn.eps`"]);
    refused(
        "[[override]]\nwhen = { label = \"mbn_df\" }\nset = { lr = 1 }\n[[variant]]\nlabel = \"mbn-df\"",
        &["s.toml:2", "no run has the label `mbn_df` (did you mean `mbn-df`?); labels: mbn-df"],
    );
    refused(
        "[[variant]]\nnorm = \"bn\"\nbatch_size = 2\n[[variant]]\nnorm = \"mbn\"\n[[exclude]]\nnorm = \"mbn\"\nbatch_size = 2",
        &["s.toml:6", "all of them together by none"],
    );
    refused("[[exclude]]\nnorm = \"mbn\"", &["every run is excluded"]);
}

#[test]
fn every_run_is_validated_and_contradictions_name_the_run() {
    refused(
        "[fixed]\nbatch_size = 4\n[grid]\nnorm_batch_size = [2, 3]",
        &["norm_batch_size = 3", "mbn", "[[exclude]]"],
    );
    refused("[grid]\nepochs = [3, 0]", &["epochs = 0"]);
    refused("[[variant]]\nnorm = \"gn\"\ndouble_forward = true", &["double_forward"]);
}

#[test]
fn networks_and_batches_of_one_are_tried_before_anything_runs() {
    let check = |text: &str| mbn::sweep::check(&jobs(text).iter().collect::<Vec<_>>(), None).map_err(|e| e.to_string());
    let alone = "[grid]\nbatch_size = [1, 2]\n[[variant]]\nnorm = \"bn\"\n[[variant]]\nnorm = \"mbn\"\n";
    let message = check(alone).unwrap_err();
    for part in ["bn, digits lenet, batch_size 1", "one value per channel", "[[exclude]]"] {
        assert!(message.contains(part), "{message}");
    }
    check(&format!("{alone}[[exclude]]\nnorm = \"bn\"\nbatch_size = 1\n")).unwrap();
    let message = check("[fixed]\nbatch_size = 1\nmbn.pool = \"mean\"").unwrap_err();
    assert!(message.contains("mbn, digits lenet, batch_size 1") && message.contains("pool"), "{message}");
    let message = check("[fixed]\ntrain_limit = 10").unwrap_err();
    assert!(message.contains("only 10 training pictures"), "{message}");
}

#[test]
fn shards_are_even_and_cover_everything_once() {
    let mut all: Vec<usize> = (1..=4).flat_map(|part| Shard { part, parts: 4 }.of(10)).collect();
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<_>>());
    assert_eq!("2/4".parse::<Shard>().unwrap(), Shard { part: 2, parts: 4 });
    for bad in ["", "1", "0/4", "5/4", "a/b", "1/0", "-1/2"] {
        assert!(bad.parse::<Shard>().is_err(), "{bad}");
    }
}

#[test]
fn the_shipped_experiments_are_whole() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let sweep = Sweep::load(&path).unwrap();
            mbn::sweep::check(&sweep.jobs.iter().collect::<Vec<_>>(), None).unwrap();
            for part in ["mbn sweep experiments/", "Takes:", "Expect:"] {
                assert!(sweep.text.contains(part), "{}: no `{part}`", path.display());
            }
            count += 1;
        }
    }
    assert!(count >= 7, "{count}");
}

/// Pieces that sweep files are made of, in any order.
const PIECES: [&str; 24] = [
    "seeds", "fixed", "grid", "variant", "exclude", "override", "include", "when", "set", "label", "lr", "mbn", "size",
    "[", "]", "[[", "]]", "{", "}", "\n", " = ", "0.1", "\"bn\"", ",",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_it_panic(pieces in prop::collection::vec(0..PIECES.len(), 0..40), other in "\\PC{0,30}") {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        for text in [text, other] {
            if let Err(error) = Sweep::parse("s.toml", &text) {
                prop_assert!(error.is_usage() && error.to_string().starts_with("s.toml"), "{text}: {error}");
            }
        }
    }
}
