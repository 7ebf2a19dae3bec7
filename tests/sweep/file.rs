//! Sweep files and the runs they describe.

use mbn::sweep::{Job, Shard, Sweep};
use proptest::prelude::*;

use crate::support::{jobs, refused};

fn show(jobs: &[Job]) -> Vec<String> {
    jobs.iter().map(|j| format!("{} b{} lr{} s{}", j.label, j.config.batch_size, j.config.lr, j.config.seed)).collect()
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
fn settings_that_no_run_uses_are_noted_with_their_place() {
    let notes = |text: &str| Sweep::parse("s.toml", text).unwrap().notes;
    let text = "[fixed]\nnorm = \"gn\"\nlr_gamma = 0.5\ndiagnostics_every = 50\n[grid]\n\"mbn.size\" = [2, 4]\nbatch_size = [2, 4]\n";
    let found = notes(text);
    assert_eq!(found.len(), 2, "what only spells out a default is not worth a note: {found:?}");
    assert!(found[0].starts_with("s.toml:3: `lr_gamma` has no effect in any run: schedule is not"), "{found:?}");
    assert!(found[1].starts_with("s.toml:6: `mbn.size` has no effect in any run: the normalizer is gn"), "{found:?}");
    // A single run that uses it is enough.
    let used = "[fixed]\n\"mbn.size\" = 2\n[grid]\nnorm = [\"gn\", \"mbn\"]\n";
    assert_eq!(notes(used), [""; 0]);
    let unused = used.replace("\"mbn\"]", "\"bn\"]");
    assert_eq!(notes(&unused), ["s.toml:2: `mbn.size` has no effect in any run"]);
    let twice = notes("[grid]\nlr = [0.1, 0.2, 0.10]\nmbn.size = [2, 4]\n");
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert!(twice[0].starts_with("s.toml:2: `lr`: a value is listed twice"), "{twice:?}");
}

#[test]
fn quoted_keys_mean_what_dotted_ones_do() {
    let dotted = "[fixed]\nmbn.eps = 1e-3\n[grid]\nlr = [0.1, 0.2]\nmbn.size = [4, 16]\n[[variant]]\nmbn.decay = 0.5\n\
                  [[exclude]]\nmbn.size = 4\nlr = 0.2\n[[override]]\nwhen = { mbn.size = 16 }\nset = { mbn.momentum = 0.2 }\n";
    let mut quoted = dotted.replace("lr = [", "\"lr\" = [");
    for key in ["mbn.eps", "mbn.size", "mbn.decay", "mbn.momentum"] {
        quoted = quoted.replace(key, &format!("\"{key}\""));
    }
    assert_eq!(jobs(&quoted), jobs(dotted));
    assert_eq!(jobs(dotted).len(), 3);
    refused("[grid]\n\"mbn.sise\" = [2]", &["s.toml:2", "mbn.sise", "did you mean `size`?"]);
    refused("[grid]\n\"mbn.size\" = 2", &["s.toml:2", "mbn.size", "list"]);
    refused("[grid]\nmbn.size = [2]\n\"mbn.size\" = [4]", &["s.toml:3", "mbn.size", "twice"]);
    refused("[fixed]\nmbn.size = 2\n\"mbn.size\" = 4", &["s.toml:3", "mbn.size"]);
}

#[test]
fn grids_mix_data_sets_networks_and_norm_batches() {
    let found = jobs(
        "[grid]\ndataset = [\"digits\", \"shapes\"]\nmodel = [\"lenet\", \"resnet8\"]\nnorm_batch_size = [2, 4]\n\
         [fixed]\nbatch_size = 4\n",
    );
    assert_eq!(found.len(), 8);
    assert!(found.iter().any(|job| job.name.starts_with("shapes-resnet8-mbn-b4-nb2-s1-")));
    // 0 means the batch size, also in a condition.
    let whole = "[fixed]\nbatch_size = 4\n[grid]\nnorm_batch_size = [0, 2]\n[[exclude]]\nnorm_batch_size = 4\n";
    assert_eq!(jobs(whole).len(), 1);
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
    assert!(message.contains("only 10 training images"), "{message}");
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

/// Fragments of sweep files, combined in any order.
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

#[test]
fn an_empty_file_is_said_to_be_one() {
    for (text, notes) in [("", 1), ("# nothing yet\n", 1), ("seeds = 1\n", 0)] {
        let sweep = Sweep::parse("s.toml", text).unwrap();
        assert_eq!((sweep.jobs.len(), sweep.notes.len()), (1, notes), "{text:?}: {:?}", sweep.notes);
        assert!(sweep.notes.iter().all(|note| note.contains("s.toml holds no settings")), "{:?}", sweep.notes);
    }
}
