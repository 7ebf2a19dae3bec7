//! What users do at the command line, and what they read when it was wrong.

use std::io::Write;
#[cfg(unix)]
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;

fn mbn(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbn"));
    command.args(args).env_remove("MBN_DATA_DIR").env_remove("RUST_BACKTRACE");
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Wrong usage: exit code 2, nothing on stdout, and a message with `parts`.
#[track_caller]
fn refused(args: &[&str], parts: &[&str]) {
    let output = mbn(args);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(message.contains(part), "{args:?}: `{part}` is not in: {message}");
    }
}

/// The line `key = value` of `--print-config`.
#[track_caller]
fn printed(args: &[&str], line: &str) {
    let output = mbn(&[&["train", "--print-config"], args].concat());
    let text = stdout(&output);
    assert!(text.lines().any(|l| l == line), "{args:?}: `{line}` is not in\n{text}{}", stderr(&output));
}

#[test]
fn without_a_command_there_is_help_and_exit_code_2() {
    refused(&[], &["Examples:", "mbn train", "Usage:"]);
    refused(&["data"], &["list", "fetch", "check"]);
}

#[test]
fn help_starts_with_examples_and_names_every_normalizer() {
    let output = mbn(&["train", "--help"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    assert!(text.find("Examples:") < text.find("Usage:"), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for kind in mbn::norm::NORMS {
        assert!(words.contains(&format!("{} ({})", kind.name, kind.about)), "{} is not in\n{text}", kind.name);
    }
    for part in ["Data:", "Model:", "Normalizer:", "Optimisation:", "Output:", "--print-config"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(stdout(&mbn(&["eval", "--help"])).contains("precise"));
}

#[test]
fn the_defaults_that_help_states_are_those_that_hold() {
    let help = stdout(&mbn(&["train", "--help"]));
    let config = mbn::config::Config::default().to_table().unwrap();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in words.split(" --").skip(1) {
        let key = part.split(' ').next().unwrap().replace('-', "_");
        let stated = part.split("[default: ").nth(1).and_then(|rest| rest.split(']').next());
        let (Some(stated), Some(value)) = (stated, config.get(&key)) else { continue };
        let number = || Some((stated.parse::<f64>().ok()?, value.as_float().or(value.as_integer().map(|i| i as f64))?));
        match number() {
            Some((stated, value)) => assert_eq!(stated, value, "{key}"),
            None if key == "norm_batch_size" => {}
            None => assert_eq!(Some(stated), value.as_str(), "{key}"),
        }
    }
}

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
}

#[test]
fn settings_without_effect_are_refused_on_the_command_line_and_noted_in_a_file() {
    for (args, parts) in [
        (&["--norm", "gn", "--set", "bn.momentum=0.2"][..], &["bn.momentum", "the normalizer is gn"][..]),
        (&["--set", "gn.groups=8"], &["--set gn.groups=8", "the normalizer is mbn"]),
        (&["--set", "precise_examples=64"], &["precise_examples", "nothing is estimated over images"]),
        (&["--set", "lr_gamma=0.5"], &["lr_gamma", "multi-step"]),
        (&["--lr-scaling", "none", "--set", "lr_batch=64"], &["lr_batch", "lr_scaling"]),
        (&["--optimizer", "adamw", "--momentum", "0.8"], &["--momentum", "the optimizer is adamw"]),
        (&["--shortcut", "projection"], &["--shortcut", "`lenet` has no residual blocks"]),
        (&["--model", "plain", "--zero-init-residual"], &["--zero-init-residual", "`plain` has no residual blocks"]),
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
fn a_configuration_comes_from_stdin_too() {
    let read = |text: &[u8]| {
        let mut command = command(&["train", "--print-config", "--config", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = read(b"epochs = 7\n");
    assert!(stdout(&output).contains("epochs = 7"), "{}", stderr(&output));
    let output = read(b"\nepoch = 7\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("stdin:2") && stderr(&output).contains("`epochs`"), "{}", stderr(&output));
}

#[test]
fn files_that_are_no_utf8_text_are_called_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.toml");
    let path = file.to_str().unwrap();
    let utf16 = |bytes: fn(u16) -> [u8; 2]| "\u{feff}epochs = 1\n".encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for bytes in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        std::fs::write(&file, bytes).unwrap();
        refused(&["train", "--config", path], &["f.toml", "UTF-16"]);
        refused(&["sweep", path, "--dry-run"], &["f.toml", "UTF-16"]);
    }
    std::fs::write(&file, [0x7f, b'E', b'L', b'F', 0, 0xff, 0xfe]).unwrap();
    refused(&["train", "--config", path], &["f.toml", "not a text file"]);
    std::fs::write(&file, "\u{feff}epochs = 9\n").unwrap();
    printed(&["--config", path], "epochs = 9");
}

#[test]
fn shells_and_manual_readers_are_told_every_option() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&mbn(&["completions", shell]));
        for word in ["norm-batch-size", "sweep", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    refused(&["completions", "csh"], &["csh", "bash"]);
    let all = stdout(&mbn(&["man"]));
    assert!(all.contains(".TH mbn 1") && all.contains("mbn\\-train") && !all.contains("worker"), "{all}");
    let page = stdout(&mbn(&["man", "train"]));
    for part in [".TH mbn-train 1", "label\\-smoothing", "mbn train \\-\\-norm mbn"] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert!(stdout(&mbn(&["man", "data", "check"])).contains("mbn\\-data\\-check"));
    refused(&["man", "tarin"], &["tarin", "train"]);
}

#[test]
fn failures_that_are_not_usage_are_exit_code_1() {
    let output = mbn(&["eval", "no/such/run"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("no/such/run"));
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let output = mbn(&["train", "--resume", "--out", out]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).starts_with("error: ") && stderr(&output).contains("nothing to resume"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn data_sets_are_listed_and_checked() {
    let table = stdout(&mbn(&["data", "list"]));
    let json: serde_json::Value = serde_json::from_str(&stdout(&mbn(&["data", "list", "--json"]))).unwrap();
    let listed: Vec<&str> = json.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(listed, mbn::data::DATASETS.iter().map(|kind| kind.name).collect::<Vec<_>>());
    assert!(listed.iter().all(|name| table.contains(name)), "{table}");
    let output = mbn(&["data", "check", "digits"]);
    assert!(output.status.success() && stdout(&output).contains("complete"), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&mbn(&["data", "fetch", "digits"])).contains("nothing to fetch"));
}

/// A small run: seconds, not minutes.
fn small_run(out: &Path, more: &[&str]) -> Command {
    let size = ["--set", "epochs=2", "--batch-size", "8", "--set", "train_limit=64", "--set", "test_limit=40"];
    let place = ["--model", "mlp", "--out", out.to_str().unwrap()];
    command(&[&["train"], &size[..], &place, more].concat())
}

#[test]
fn a_run_leaves_its_records_and_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let output = small_run(dir.path(), &[]).output().unwrap();
    let (text, messages) = (stdout(&output), stderr(&output));
    assert!(output.status.success(), "{messages}");
    assert!(text.contains("test") && text.contains("memory") && text.contains(" %"), "{text}");
    assert!(messages.contains("2 epochs of 8 steps, learning rate 0.00625"), "{messages}");
    assert!(messages.contains("epoch 1/2") && messages.contains("epoch 2/2"), "{messages}");
    assert!(!messages.contains('\u{1b}') && !messages.contains('\r'), "{messages:?}");
    let run = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    for file in ["config.toml", "metrics.csv", "summary.json", "last.safetensors", "log.txt"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let metrics = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    let again = small_run(dir.path(), &["--json"]).output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((summary["status"].as_str(), summary["epochs"].as_u64()), (Some("done"), Some(2)));
    assert!(stderr(&again).contains("already finished"), "{}", stderr(&again));
    assert_eq!(metrics, std::fs::read_to_string(run.join("metrics.csv")).unwrap());
    let quiet = small_run(dir.path(), &["--fresh", "--quiet"]).output().unwrap();
    assert!(quiet.status.success() && quiet.stderr.is_empty(), "{}", stderr(&quiet));
    let evaluated = mbn(&["eval", run.to_str().unwrap(), "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&evaluated.stdout).unwrap();
    assert_eq!(report["images"].as_u64(), Some(40));
}

#[test]
fn files_of_the_users_are_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let out = small_run(&dir.path().join("runs"), &[]).output().unwrap();
    assert!(out.status.success(), "{}", stderr(&out));
    let run = std::fs::read_dir(dir.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let folder = dir.path().join("mine");
    std::fs::create_dir(&folder).unwrap();
    let (rows, sweep) = (folder.join("comparison.csv"), folder.join("sweep.toml"));
    std::fs::copy(run.join("metrics.csv"), &rows).unwrap();
    std::fs::write(&sweep, "# notes of mine\n").unwrap();
    let file = dir.path().join("s.toml");
    std::fs::write(&file, "[fixed]\nmodel = \"mlp\"\nepochs = 1\ntrain_limit = 64\n").unwrap();
    let [folder, file] = [&folder, &file].map(|path| path.to_str().unwrap());
    let before = std::fs::read(&rows).unwrap();
    refused(&["compare", rows.to_str().unwrap(), "--out", folder], &["comparison.csv", "overwritten", "--out"]);
    refused(&["sweep", file, "--out", folder], &["sweep.toml", "overwritten", "--out"]);
    assert!(std::fs::read(&rows).unwrap() == before);
    assert_eq!(std::fs::read_to_string(&sweep).unwrap(), "# notes of mine\n");
}

#[test]
fn a_folder_that_is_not_looked_at_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let output = small_run(dir.path(), &["--data-dir", dir.path().to_str().unwrap()]).output().unwrap();
    assert!(stderr(&output).contains("--data-dir has no effect: digits is generated"), "{}", stderr(&output));
    let output = small_run(dir.path(), &["--fresh"]).env("MBN_DATA_DIR", dir.path()).output().unwrap();
    assert!(!stderr(&output).contains("no effect"), "{}", stderr(&output));
}

#[test]
fn a_diverged_run_is_exit_code_1_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let output = small_run(dir.path(), &["--norm", "none", "--lr", "1e30"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("diverged at step"), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn the_first_interrupt_saves_and_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = small_run(dir.path(), &["--epochs", "1000000"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("epoch 1/") {
        line.clear();
        assert!(messages.read_line(&mut line).unwrap() > 0, "the run ended by itself");
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    messages.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("interrupted after step") && rest.contains("same command continues"), "{rest}");
    let run = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    assert!(run.join("last.safetensors").is_file() && !run.join("summary.json").exists());
}

#[test]
fn a_closed_pipe_is_success() {
    let mut child = command(&["data", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stderr.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_argument_makes_the_program_panic(key in "[a-z_.]{0,10}", value in "\\PC{0,20}", flag in "(--?)?\\PC{0,10}") {
        prop_assume!(!key.contains('\0') && !value.contains('\0') && !flag.contains('\0'));
        let set = format!("{key}={value}");
        for args in [&["train", "--print-config", "--set", &set][..], &["train", "--print-config", &flag, &value]] {
            let output = mbn(args);
            prop_assert!(matches!(output.status.code(), Some(0 | 2)), "{:?}: {}", args, stderr(&output));
        }
    }

    #[test]
    fn no_file_makes_the_program_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        std::fs::write(&file, bytes).unwrap();
        let output = mbn(&["train", "--print-config", "--config", file.to_str().unwrap()]);
        prop_assert!(matches!(output.status.code(), Some(0 | 2)), "{}", stderr(&output));
    }
}

/// The rows of `mbn bench` for lenet with `bn` and `mbn-df` on 1 and 2 images, which have the contract's columns.
#[track_caller]
fn bench(more: &[&str]) -> Vec<Vec<String>> {
    let cells = ["bench", "--models", "lenet", "--norms", "bn", "mbn-df", "--batch-sizes", "1", "2"];
    let out = mbn(&[&cells[..], more].concat());
    assert_eq!(out.status.code(), Some(0), "{more:?}: {}", stderr(&out));
    let text = stdout(&out);
    let mut rows = text.lines().map(|line| line.split(',').map(String::from).collect::<Vec<_>>());
    assert_eq!(rows.next().unwrap().join(","), "impl,model,norm,batch_size,threads,images_per_s,ms_per_step");
    let rows: Vec<Vec<String>> = rows.collect();
    let named: Vec<String> = rows.iter().map(|row| row[1..4].join(",")).collect();
    assert_eq!(named, ["lenet,bn,1", "lenet,bn,2", "lenet,mbn-df,1", "lenet,mbn-df,2"], "{more:?}");
    rows
}

#[test]
fn bench_prints_the_columns_of_the_pytorch_script_and_leaves_refused_cells_empty() {
    for row in bench(&["--seconds", "0.01"]) {
        let refused = row[2] == "bn" && row[3] == "1";
        assert_eq!(row[5].parse::<f64>().is_ok_and(|rate| rate > 0.0), !refused, "{row:?}");
        assert_eq!(row[6].is_empty(), refused, "{row:?}");
    }
}

#[test]
fn bench_of_evaluation_has_the_same_columns_and_refuses_no_batch() {
    for row in bench(&["--eval", "--threads", "2", "--seconds", "0"]) {
        assert!(row[5].parse::<f64>().is_ok_and(|rate| rate > 0.0), "one value per channel is no hindrance: {row:?}");
        assert!(row[0].starts_with("mbn-") && row[4] == "2" && !row[6].is_empty(), "{row:?}");
    }
}

#[test]
fn bench_refuses_what_it_cannot_measure_before_it_measures() {
    refused(&["bench", "--eval=yes"], &["--eval", "'yes'"]);
    refused(&["bench", "--eval", "--separate-refresh"], &["--eval", "--separate-refresh"]);
    refused(&["bench", "--eval", "--models", "lenet", "lenett"], &["did you mean `lenet`?"]);
    refused(&["bench", "--models", "lenet", "--norms", "bn", "mnb"], &["did you mean `mbn`?"]);
    refused(&["bench", "--models", "lenet", "--norms", "gn-df"], &["double_forward", "gn"]);
    refused(&["bench", "--models", "lenet", "--batch-sizes", "2", "0"], &["batch_size"]);
    refused(&["bench", "--seconds=-1"], &["--seconds", "number of seconds"]);
    refused(&["bench", "--seconds", "-1"], &["--seconds", "number of seconds"]);
    refused(&["train", "--epochs", "-1"], &["--epochs", "'-1'"]);
    refused(&["bench", "--threads", "0"], &["--threads"]);
}
