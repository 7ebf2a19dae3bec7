//! Which value takes precedence, and where a wrong one is reported.

use mbn::config::{Config, Layers};
use proptest::prelude::*;

use crate::support::{refused, resolve};

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
