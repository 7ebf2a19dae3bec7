//! Help, completions and manual pages.

use crate::support::{command, mbn, refused, stderr, stdout};

#[test]
fn without_a_command_there_is_help_and_exit_code_2() {
    refused(&[], &["Examples:", "mbn train", "Usage:"]);
    refused(&["data"], &["list", "fetch", "check"]);
}

#[test]
fn the_version_names_the_commit() {
    let commit = mbn::record::commit().map_or(String::new(), |commit| format!(" ({commit})"));
    assert_eq!(stdout(&mbn(&["--version"])), format!("mbn {}{commit}\n", env!("CARGO_PKG_VERSION")));
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
    for part in ["Data:", "Model:", "Normalizer:", "Optimization:", "Output:", "--print-config"] {
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
fn shells_and_manual_readers_are_told_every_option() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&mbn(&["completions", shell]));
        for word in ["norm-batch-size", "sweep", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        // The other two complete options alone.
        for word in ["fashion-mnist", "preact-resnet20", "estbn", "mbn-df"] {
            assert!(script.contains(word) || ["powershell", "elvish"].contains(&shell), "{shell}: {word}");
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
    refused(&["man", "help"], &["`mbn` has no command `help`"]);
    assert!(!all.contains("mbn\\-help"), "{all}");
    for (command, has_examples) in [("train", true), ("eval", true), ("data", false), ("completions", false)] {
        let page = stdout(&mbn(&["man", command]));
        assert_eq!(page.contains(".SH EXAMPLES\n.nf\nmbn "), has_examples, "{page}");
        assert!(page.contains(".SH \"EXIT STATUS\"") && page.contains("\\fB130\\fR\ninterrupted"), "{page}");
        assert!(!page.contains("EXTRA"), "{page}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&["train", "--help"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("stdout: No space left on device"), "{}", stderr(&output));
}
