//! Flags, `--set` and files: precedence, refusals, settings without effect.

use crate::support::{command, mbn, printed, refused, stderr, stdout};

#[test]
fn a_flag_wins_over_set_over_the_file_over_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    std::fs::write(&file, "lr = 0.2\nseed = 5\n[mbn]\nsize = 3\n").unwrap();
    let file = file.to_str().unwrap();
    printed(&[], "lr = 0.1");
    printed(&["--config", file], "lr = 0.2");
    printed(&["--config", file, "--set", "lr=0.3"], "lr = 0.3");
    printed(&["--lr", "0.4", "--config", file, "--set", "lr=0.3"], "lr = 0.4");
    printed(&["--config", file, "--set", "lr=0.3"], "seed = 5");
    printed(&["--config", file], "size = 3");
    printed(&["--config", file, "--set", "mbn.size=6"], "size = 6");
    printed(&["--double-forward"], "double_forward = true");
    printed(&["--set", "double_forward=true", "--double-forward=false"], "double_forward = false");
    printed(&["--augment"], "augment = true");
    printed(&["--dataset", "cifar10", "--no-augment"], "augment = false");
    printed(&["--no-gap", "--nesterov", "--precise"], "gap = false");
    printed(&["--set", "milestones=[1, 2]", "--schedule", "multi-step"], "milestones = [1.0, 2.0]");
}

#[test]
fn the_printed_configuration_reproduces_itself() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    for args in [
        &[][..],
        &["--norm", "gn", "--set", "gn.groups=4"],
        &["--norm", "none"],
        &["--double-forward", "--batch-size", "2"],
    ] {
        let first = stdout(&mbn(&[&["train", "--print-config"], args].concat()));
        std::fs::write(&file, &first).unwrap();
        assert!(first.starts_with("# Every setting"), "{first}");
        assert_eq!(first, stdout(&mbn(&["train", "--print-config", "--config", file.to_str().unwrap()])));
    }
}

#[test]
fn wrong_settings_are_refused_with_the_closest_spelling() {
    refused(&["train", "--norm", "mnb"], &["mnb", "did you mean `mbn`?", "known:"]);
    refused(&["train", "--dataset", "minst"], &["minst", "did you mean `mnist`?"]);
    refused(&["train", "--model", "resnet21"], &["resnet21"]);
    refused(&["train", "--device", "gpu"], &["gpu", "cuda"]);
    refused(&["train", "--set", "batchsize=2"], &["--set batchsize=2", "did you mean `batch_size`?"]);
    refused(&["train", "--set", "mbn.sise=2"], &["mbn.sise", "did you mean `size`?"]);
    refused(&["train", "--set", "lr"], &["KEY=VALUE"]);
    refused(&["train", "--schedule", "cosin"], &["--schedule", "did you mean `cosine`?"]);
    refused(&["train", "--batchsize", "2"], &["--batch-size"]);
    refused(&["train", "--batch-size", "0"], &["batch_size"]);
    refused(&["train", "--batch-size", "x"], &["--batch-size"]);
    refused(&["train", "--batch-size", "4", "--norm-batch-size", "3"], &["norm_batch_size", "batch_size"]);
    refused(&["train", "--lr", "-1"], &["lr = -1"]);
    refused(&["train", "--lr", "nan"], &["lr"]);
    refused(&["train", "--momentum", "0", "--nesterov"], &["nesterov", "momentum"]);
    refused(&["train", "--optimizer", "adam"], &["did you mean `adamw`?", "sgd"]);
    refused(&["train", "--norm", "gn", "--double-forward"], &["double_forward", "gn"]);
    refused(&["train", "--warmup-epochs", "9"], &["warmup_epochs"]);
    refused(&["train", "--seed", "18446744073709551615"], &["--seed"]);
    refused(&["train", "--train-limit", "18446744073709551615"], &["too large"]);
    refused(&["train", "--threads", "0"], &["--threads"]);
    refused(&["train", "--fresh", "--resume"], &["--fresh", "--resume"]);
    refused(&["train", "--config", "no/such/file.toml"], &["no/such/file.toml"]);
    refused(&["train", "--config", "."], &["cannot read"]);
    refused(&["tarin"], &["train"]);
    refused(&["data", "check", "minst"], &["did you mean `mnist`?"]);
}

#[test]
fn what_is_given_twice_is_said_so() {
    refused(&["train", "--lr", "0.1", "--lr", "0.2"], &["--lr", "multiple times"]);
    refused(&["train", "--nesterov", "--nesterov"], &["--nesterov", "multiple times"]);
    refused(&["train", "--augment", "--no-augment"], &["--augment", "--no-augment"]);
    refused(&["train", "--set", "epochs=1", "--set", "epochs=2"], &["`epochs` is given twice", "epochs=1", "epochs=2"]);
    refused(&["train", "--set", "gn={groups=2}", "--set", "gn.groups=4"], &["`gn.groups` is given twice"]);
    printed(&["--set", "epochs=1", "--epochs", "2"], "epochs = 2");
    for (args, note) in [
        (&["--set", "epochs=1", "--epochs", "2"][..], "--set epochs=1 has no effect: --epochs overrides it"),
        (&["--norm=bn", "--set", "norm=gn"], "--set norm=gn has no effect: --norm overrides it"),
        (&["--set", "gap=true", "--no-gap"], "--set gap=true has no effect: --no-gap overrides it"),
    ] {
        let output = mbn(&[&["train", "--print-config"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains(note), "{}", stderr(&output));
    }
    refused(&["train", "--print-config", "--lr", "1", "--set", "lr=fast"], &["--set lr=fast", "a number"]);
    let agreeing =
        mbn(&["train", "--print-config", "--set", "lr=1", "--lr", "1.0", "--set", "norm=bn", "--norm", "bn"]);
    assert_eq!(stderr(&agreeing), "");
    printed(&["--set", "lr=1", "--lr", "1.0", "--set", "norm=bn", "--norm", "bn"], "lr = 1.0");
}

#[test]
fn settings_without_effect_are_refused_on_the_command_line_and_noted_in_a_file() {
    for (args, parts) in [
        (&["--norm", "gn", "--set", "bn.momentum=0.2"][..], &["bn.momentum", "the normalizer is gn"][..]),
        (&["--set", "gn.groups=8"], &["--set gn.groups=8", "the normalizer is mbn"]),
        (&["--set", "precise_examples=64"], &["precise_examples", "no statistics are estimated over images"]),
        (&["--set", "lr_gamma=0.5"], &["lr_gamma", "multi-step"]),
        (&["--lr-scaling", "none", "--set", "lr_batch=64"], &["lr_batch", "lr_scaling"]),
        (&["--optimizer", "adamw", "--momentum", "0.8"], &["--momentum", "the optimizer is adamw"]),
        (&["--shortcut", "projection"], &["--shortcut", "`lenet` has no residual blocks"]),
        (&["--model", "plain", "--zero-init-residual"], &["--zero-init-residual", "`plain` has no residual blocks"]),
        (&["--norm", "mabn", "--center-weights"], &["--center-weights", "`mabn` centers the weights anyway"]),
        (&["--set", "beta1=0.8"], &["beta1", "the optimizer is sgd"]),
        (&["--weight-decay", "0", "--set", "decay_norm=true"], &["decay_norm", "weight_decay"]),
    ] {
        refused(&[&["train", "--print-config"], args].concat(), &[parts, &["has no effect"]].concat());
    }
    printed(&["--norm", "gn", "--precise=false"], "precise = false");
    for args in [&["--norm", "none", "--precise"][..], &["--norm", "gn", "--set", "diagnostics=true"]] {
        let output = mbn(&[&["train", "--print-config"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let note = format!("has no effect: `{}` takes no batch statistics", args[1]);
        assert!(stderr(&output).contains(&note), "{}", stderr(&output));
    }
    for (args, note) in [
        (
            &["--norm", "gn", "--norm-batch-size", "16"][..],
            "--norm-batch-size: `norm_batch_size` has no effect: `gn` takes",
        ),
        (&["--norm", "gn", "--no-gap"], "--no-gap: `gap` has no effect"),
        (&["--weight-decay", "0", "--set", "decay_norm=false"], "`decay_norm` has no effect: weight_decay is 0"),
        (&["--set", "mbn.size=4", "--set", "mbn.samples=64"], "`mbn.samples` has no effect: size is given"),
        (
            &["--set", "mbn.grad_size=2", "--set", "mbn.grad_samples=64"],
            "`mbn.grad_samples` has no effect: grad_size is",
        ),
        (
            &["--set", "mbn.stat_grad=full", "--set", "mbn.grad_size=2"],
            "`mbn.grad_size` has no effect: stat_grad is not",
        ),
        (&["--set", "mbn.inference=memory", "--set", "mbn.momentum=0.2"], "`mbn.momentum` has no effect: inference is"),
        (&["--set", "mbn.refresh=batch"], "`mbn.refresh` has no effect: double_forward is off"),
    ] {
        let output = mbn(&[&["train", "--print-config"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stderr(&output).contains(note), "{}", stderr(&output));
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    std::fs::write(&file, "norm = \"bn\"\nprecise_examples = 8192\nlr_gamma = 0.5\n[mbn]\nsize = 8\n").unwrap();
    let output = mbn(&["train", "--print-config", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let notes = stderr(&output);
    assert!(notes.contains("c.toml:3: `lr_gamma` has no effect") && notes.contains("c.toml:5: `mbn.size`"), "{notes}");
    assert_eq!(notes.lines().count(), 2, "what holds anyway is not worth a note: {notes}");
    refused(&["train", "--print-config", "--json"], &["--print-config", "--json"]);
    refused(&["compare", "x", "--x", "epoch"], &["--out"]);
    refused(&["bench", "--norms", "bn", "mbn", "--separate-refresh"], &["--separate-refresh", "-df"]);
}

#[test]
fn numbers_are_refused_with_the_name_of_their_key() {
    for flag in ["--batch-size", "--train-limit", "--epochs", "--norm-batch-size"] {
        for number in ["99999999999999999999", "1.5", "", "many"] {
            refused(&["train", flag, number], &[flag]);
        }
    }
    refused(&["train", "--set", "momentum=1e999"], &["momentum", "too large"]);
    refused(&["train", "--set", "epochs=99999999999999999999"], &["epochs", "too large"]);
}

#[test]
fn slips_of_writing_are_called_what_they_are() {
    refused(&["train", "--set", "lr=1,5"], &["--set lr=1,5", "with a point: 1.5"]);
    refused(&["train", "--set", "lr==1"], &["--set lr==1", "one `=` is enough"]);
    for threads in ["abc", "-1", "100000", "1.5"] {
        let output = command(&["train", "--print-config"]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(
            message.contains(&format!("RAYON_NUM_THREADS={threads}: expected a whole number, 1 to 65535")),
            "{message}"
        );
    }
    for threads in ["", "0", "2"] {
        let output = command(&["train", "--print-config"]).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}
