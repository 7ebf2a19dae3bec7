//! Settings that contradict each other.

use crate::support::{refused, resolve};

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
