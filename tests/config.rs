//! Settings: their layers, their checks, and what the resolved configuration promises.

use mbn::config::{Config, Layers};
use proptest::prelude::*;

fn resolve(text: &str) -> Result<Config, String> {
    Layers::new().text("x.toml", text).and_then(|layers| layers.resolve()).map_err(|e| e.to_string())
}

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let message = resolve(text).expect_err(text);
    for part in parts {
        assert!(message.contains(part), "`{text}`: `{part}` is not in: {message}");
    }
}

#[test]
fn later_layers_win() {
    let file = "batch_size = 4\nlr = 1\nseed = 3\n[mbn]\nsize = 3\ndecay = 0.5\n";
    let flags = toml::Table::from_iter([("seed".to_string(), toml::Value::Integer(9))]);
    let layers = Layers::new().text("f", file).unwrap().set("lr=0.5").unwrap().set("mbn.size = 7").unwrap();
    let config = layers.set("seed=8").unwrap().flags(flags).resolve().unwrap();
    assert_eq!((config.batch_size, config.lr, config.seed), (4, 0.5, 9));
    assert_eq!(config.epochs, Config::default().epochs);
    assert_eq!(config.norm_params["size"].as_integer(), Some(7));
    assert_eq!(config.norm_params["decay"].as_float(), Some(0.5));
}

#[test]
fn values_of_set_are_toml_and_bare_words_strings() {
    let set = |text: &str| Layers::new().set(text).and_then(|layers| layers.build());
    assert_eq!(set("dataset=mnist").unwrap().dataset, "mnist");
    assert_eq!(set("dataset='mnist'").unwrap().dataset, "mnist");
    assert_eq!(set("device=cuda:0").unwrap().device, "cuda:0");
    assert_eq!(set("milestones=[1, 2.5]").unwrap().milestones, [1.0, 2.5]);
    assert_eq!(set("mbn={size=3}").unwrap().norm_params["size"].as_integer(), Some(3));
    for bad in ["lr", "lr=", "=1", "lr=[1", "lr=1\nseed=2", "lr=a b", "lr.x=1", "mbn=3", "mbn.=1", "lr=\"0.1\""] {
        assert!(set(bad).is_err(), "{bad}");
    }
}

#[test]
fn mistakes_are_named_with_their_place_and_the_closest_spelling() {
    refused("seed = 1\nbacth_size = 3\n", &["x.toml:2", "bacth_size", "did you mean `batch_size`?", "norm_batch_size"]);
    refused("# a\n\nlr = \"fast\"\n", &["x.toml:3", "`lr`", "expected a number"]);
    refused("batch_size = -1\n", &["x.toml:1", "`batch_size`", "expected a whole number"]);
    refused("schedule = \"cosin\"\n", &["x.toml:1", "cosin", "did you mean `cosine`?"]);
    refused("seed = 1\n[mbn]\ndecay = 0.5\nsise = 4\n", &["x.toml:4", "mbn.sise", "did you mean `size`?"]);
    refused("seed = 1\nmbn.sise = 4\n", &["x.toml:2", "mbn.sise"]);
    refused("[mnb]\nsize = 4\n", &["x.toml:1", "mnb", "did you mean `mbn`?"]);
    refused("size = 4\n", &["x.toml:1", "mbn.size"]);
    refused("seed = 1\nseed = 2\n", &["x.toml:2", "duplicate"]);
    refused("seed = \n", &["x.toml:1"]);
    refused("dataset = \"mnits\"\n", &["mnits", "did you mean `mnist`?", "cifar100"]);
    refused("norm = \"mnb\"\n", &["mnb", "did you mean `mbn`?"]);
    refused("model = \"lenett\"\n", &["lenett", "did you mean `lenet`?"]);
    refused("device = \"cudda\"\n", &["cudda", "did you mean `cuda`?"]);
}

#[test]
fn the_place_of_text_that_is_not_toml_names_the_key() {
    refused("epochs = 2\nseed = 99999999999999999999\n", &["x.toml:2", "`seed`", "too large"]);
    refused("lr = 1_\n", &["x.toml:1", "`lr`"]);
    refused("norm = \"mbn\"\n[mbn]\ndecay = 0..5\n", &["x.toml:3", "`decay`"]);
    refused("schedule = \"multi-step\"\nmilestones = [\n  1,\n  2e,\n]\n", &["x.toml:4", "`milestones`"]);
}

#[test]
fn settings_that_change_nothing_are_found() {
    let layers =
        Layers::new().text("f", "norm = \"gn\"\nprecise = true\n[gn]\ngroups = 4\n[mbn]\nsamples = 128\n").unwrap();
    let idle = layers.without_effect(&layers.resolve().unwrap()).unwrap();
    let found: Vec<_> = idle.iter().map(|idle| (idle.origin.as_str(), idle.key.as_str(), idle.is_default)).collect();
    assert_eq!(found, [("f:6", "mbn.samples", true), ("f:2", "precise", false)]);
    assert!(Layers::new().without_effect(&Config::default().resolve().unwrap()).unwrap().is_empty());
}

#[test]
fn settings_that_came_later_leave_the_names_of_runs_without_them_alone() {
    let plain = resolve("").unwrap();
    assert!(!plain.canonical().unwrap().contains("freeze_epochs"));
    let off = resolve("freeze_epochs = 0").unwrap();
    assert_eq!(plain.run_name().unwrap(), off.run_name().unwrap());
    let on = resolve("freeze_epochs = 1").unwrap();
    assert_ne!(plain.run_name().unwrap(), on.run_name().unwrap());
    assert_eq!(resolve(&on.to_toml().unwrap()).unwrap(), on);
    refused("freeze_epoch = 1", &["did you mean `freeze_epochs`?"]);
}

#[test]
fn contradictions_are_refused_with_their_keys() {
    for (text, key) in [
        ("batch_size = 4\nnorm_batch_size = 8", "norm_batch_size"),
        ("batch_size = 8\nnorm_batch_size = 3", "1, 2, 4, 8"),
        ("batch_size = 0", "batch_size"),
        ("batch_size = 9223372036854775807", "batch_size"),
        ("epochs = 0", "epochs"),
        ("freeze_epochs = 3", "freeze_epochs"),
        ("norm = \"gn\"\nfreeze_epochs = 1", "`gn` remembers no batch statistics"),
        ("freeze_epochs = 1\nprecise_examples = 1", "precise_examples"),
        ("weighing = true", "val_fraction"),
        ("evalnorm = true\nprecise_examples = 1", "precise_examples"),
        ("lr = -0.1", "lr"),
        ("lr = nan", "lr"),
        ("lr = inf", "lr"),
        ("lr_batch = 0", "lr_batch"),
        ("momentum = 1", "momentum"),
        ("momentum = -0.5", "momentum"),
        ("nesterov = true\nmomentum = 0", "nesterov"),
        ("weight_decay = -1", "weight_decay"),
        ("optimizer = \"adamw\"\nbeta1 = 1", "beta1"),
        ("beta2 = -0.1", "beta2"),
        ("optimizer = \"adamw\"\nadam_eps = 0", "adam_eps"),
        ("shortcut = \"project\"", "did you mean `projection`?"),
        ("optimizer = \"adam\"", "did you mean `adamw`?"),
        ("milestones = [1]", "milestones"),
        ("schedule = \"multi-step\"", "milestones"),
        ("schedule = \"multi-step\"\nmilestones = [2, 1]", "ascend"),
        ("schedule = \"multi-step\"\nmilestones = [1, 1]", "ascend"),
        ("schedule = \"multi-step\"\nmilestones = [9]", "milestones"),
        ("schedule = \"multi-step\"\nmilestones = [nan]", "milestones"),
        ("schedule = \"multi-step\"\nmilestones = [1]\nlr_gamma = 0", "lr_gamma"),
        ("warmup_epochs = 4\nepochs = 3", "warmup_epochs"),
        ("warmup_epochs = -1", "warmup_epochs"),
        ("val_fraction = 1", "val_fraction"),
        ("val_fraction = nan", "val_fraction"),
        ("label_smoothing = 1", "label_smoothing"),
        ("diagnostics_every = 0", "diagnostics_every"),
        ("precise = true\nprecise_examples = 1", "precise_examples"),
        ("diagnostics = true\nprecise_examples = 1", "precise_examples"),
        ("norm = \"gn\"\ndouble_forward = true", "double_forward"),
        ("norm = \"none\"\ndouble_forward = true", "double_forward"),
        ("[mbn]\nsamples = 0", "samples"),
        ("[mbn]\ndecay = -1", "decay"),
        ("norm = \"bn\"\n[mbn]\nsamples = 0", "samples"),
    ] {
        refused(text, &[key]);
    }
}

#[test]
fn double_forward_suits_normalizers_that_remember() {
    for norm in ["bn", "mbn"] {
        assert!(resolve(&format!("norm = \"{norm}\"\ndouble_forward = true")).unwrap().double_forward, "{norm}");
    }
}

#[test]
fn sections_of_other_normalizers_are_checked_and_ignored() {
    let config = resolve("norm = \"bn\"\n[mbn]\nsize = 3\n").unwrap();
    assert_eq!(config, resolve("norm = \"bn\"").unwrap());
    refused("norm = \"bn\"\n[mbn]\nsise = 3\n", &["sise"]);
}

#[test]
fn resolving_spells_everything_out() {
    let config = resolve("norm = \"MBN\"\nmodel = \"LeNet\"\ndataset = \"Fashion_MNIST\"\nbatch_size = 6").unwrap();
    assert_eq!((config.norm.as_str(), config.model.as_str()), ("mbn", "lenet"));
    assert_eq!((config.dataset.as_str(), config.norm_batch_size), ("fashion-mnist", 6));
    assert_eq!(config.augment, Some(false));
    assert_eq!(resolve("dataset = \"cifar10\"").unwrap().augment, Some(true));
    for key in ["size", "decay", "pool", "stat_grad", "refresh", "eps"] {
        assert!(config.norm_params.contains_key(key), "{key}");
    }
}

#[test]
fn every_normalizer_writes_a_file_that_reads_back_the_same() {
    for kind in mbn::norm::NORMS {
        let config = resolve(&format!("norm = \"{}\"\nlr = 1e-7\nseed = 9223372036854775807", kind.name)).unwrap();
        let text = config.to_toml().unwrap();
        let again = resolve(&text).unwrap();
        assert_eq!(config, again);
        assert_eq!(text, again.to_toml().unwrap());
        assert_eq!(config.run_name().unwrap(), again.run_name().unwrap());
    }
}

#[test]
fn the_name_tells_runs_apart() {
    let name = |text: &str| resolve(text).unwrap().run_name().unwrap();
    let plain = name("");
    assert!(plain.starts_with("digits-lenet-mbn-b32-s0-"), "{plain}");
    assert_eq!(plain, name("batch_size = 32\nnorm_batch_size = 32\naugment = false"), "defaults written down");
    assert!(
        name("double_forward = true\nbatch_size = 2\nnorm_batch_size = 1")
            .starts_with("digits-lenet-mbn-df-b2-nb1-s0-")
    );
    let others = ["lr = 0.2", "[mbn]\nsize = 5", "epochs = 4", "gap = false", "train_limit = 10", "device = \"cuda\""];
    let mut names: Vec<String> = others.iter().map(|text| name(text)).chain([plain]).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), others.len() + 1);
}

#[test]
fn the_data_are_part_of_the_name_and_of_the_file_and_other_data_are_refused() {
    let plain = resolve("").unwrap();
    assert!(!plain.canonical().unwrap().contains("data_digest"), "not known before the data are looked at");
    let [one, other] = ["00112233aabbccdd", "ffeeddcc00112233"].map(|digest| plain.on(digest, "data").unwrap());
    assert_ne!(one.run_name().unwrap(), other.run_name().unwrap());
    assert!(one.canonical().unwrap().contains("data_digest = \"00112233aabbccdd\"\n"));
    let again = resolve(&one.to_toml().unwrap()).unwrap();
    assert_eq!(again, one);
    assert_eq!(again.on("00112233aabbccdd", "data").unwrap(), one);
    let message = again.on("ffeeddcc00112233", "data/mnist").unwrap_err().to_string();
    for part in ["data/mnist: ", "00112233aabbccdd", "ffeeddcc00112233", "digits", "--data-dir"] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    refused("data_digest = 7", &["x.toml:1", "data_digest"]);
}

#[test]
fn the_canonical_form_is_the_documented_one() {
    let text = resolve("norm = \"bn\"\nlr = 1").unwrap().canonical().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "mbn-config 3");
    assert!(lines[1..].is_sorted(), "{text}");
    for line in ["norm = \"bn\"", "lr = 1.0", "batch_size = 32", "weight_decay = 0.0001", "bn.momentum = 0.1"] {
        assert!(lines.contains(&line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with('\n'));
}

#[test]
fn settings_that_came_later_leave_older_names_as_they_were() {
    // A run of version 0.1.0, before there was a second optimizer.
    let config = resolve("dataset = \"mnist\"\ndata_digest = \"00112233aabbccdd\"").unwrap();
    assert_eq!(config.run_name().unwrap(), "mnist-lenet-mbn-b32-s0-2522b469");
    let adamw = |more: &str| resolve(&format!("optimizer = \"adamw\"\n{more}")).unwrap();
    assert!(adamw("").canonical().unwrap().contains("optimizer = \"adamw\"\n"));
    let others = ["shortcut = \"projection\"", "init = \"torch\"", "zero_init_residual = true"];
    for text in others.map(|other| format!("model = \"resnet8\"\n{other}")) {
        assert_ne!(
            resolve(&text).unwrap().run_name().unwrap(),
            resolve("model = \"resnet8\"").unwrap().run_name().unwrap(),
            "{text}"
        );
        assert_eq!(resolve(&resolve(&text).unwrap().to_toml().unwrap()), resolve(&text));
    }
    assert_ne!(adamw("").run_name().unwrap(), adamw("beta1 = 0.5").run_name().unwrap());
    assert_eq!(resolve(&adamw("").to_toml().unwrap()).unwrap(), adamw(""));
}

#[test]
fn every_optimizer_has_a_rate_of_its_own_where_none_is_given() {
    assert_eq!(resolve("").unwrap().lr, 0.1);
    assert_eq!(resolve("optimizer = \"AdamW\"").unwrap().lr, 0.001);
    assert_eq!(resolve("optimizer = \"adamw\"\nlr = 0.1").unwrap().lr, 0.1);
}

/// Lines that look like settings, with keys and values good and bad.
fn setting() -> impl Strategy<Value = String> {
    let key = prop_oneof!["lr|seed|mbn|mbn.size|batch_size|milestones|norm|augment", "[a-z_.\"' ]{0,12}"];
    let value = prop_oneof!["-?[0-9]{1,25}", "[0-9]{0,3}e[0-9]{1,4}", "\\[{0,60}", "\"?[a-z]{0,8}\"?", "\\PC{0,12}"];
    (key, value).prop_map(|(key, value)| format!("{key}={value}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_text_makes_the_reader_panic(lines in prop::collection::vec(setting(), 0..6), noise in "\\PC{0,40}") {
        let _ = resolve(&lines.join("\n"));
        let _ = resolve(&noise);
        for line in lines {
            let _ = Layers::new().set(&line).and_then(|layers| layers.resolve());
        }
    }

    #[test]
    fn whatever_resolves_reads_back_the_same(
        batch in 1usize..2000, lr in 0.0f64..1e6, momentum in 0.0f64..1.0, seed in 0u64..=i64::MAX as u64, df: bool,
    ) {
        let text = format!("batch_size = {batch}\nlr = {lr:?}\nmomentum = {momentum:?}\nseed = {seed}\ndouble_forward = {df}");
        let config = resolve(&text).unwrap();
        prop_assert_eq!(config.lr.to_bits(), lr.to_bits());
        prop_assert_eq!(&config, &resolve(&config.to_toml().unwrap()).unwrap());
    }
}
