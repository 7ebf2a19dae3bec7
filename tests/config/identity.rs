//! The resolved configuration as a file and as a name.

use crate::support::{refused, resolve};

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
    let [one, other] =
        ["00112233aabbccdd", "ffeeddcc00112233"].map(|digest| plain.with_data_digest(digest, "data").unwrap());
    assert_ne!(one.run_name().unwrap(), other.run_name().unwrap());
    assert!(one.canonical().unwrap().contains("data_digest = \"00112233aabbccdd\"\n"));
    let again = resolve(&one.to_toml().unwrap()).unwrap();
    assert_eq!(again, one);
    assert_eq!(again.with_data_digest("00112233aabbccdd", "data").unwrap(), one);
    let message = again.with_data_digest("ffeeddcc00112233", "data/mnist").unwrap_err().to_string();
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
    // A run from before there was a second optimizer.
    let config = resolve("dataset = \"mnist\"\ndata_digest = \"00112233aabbccdd\"").unwrap();
    assert_eq!(config.run_name().unwrap(), "mnist-lenet-mbn-b32-s0-2522b469");
    let adamw = |more: &str| resolve(&format!("optimizer = \"adamw\"\n{more}")).unwrap();
    assert!(adamw("").canonical().unwrap().contains("optimizer = \"adamw\"\n"));
    let others =
        ["shortcut = \"projection\"", "init = \"torch\"", "zero_init_residual = true", "center_weights = true"];
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
