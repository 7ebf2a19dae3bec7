//! Errors in sweep files.

use mbn::sweep::Sweep;

use crate::support::refused;

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
    refused("[variant]\nnorm = \"bn\"", &["s.toml:1", "double brackets, [[variant]]"]);
    refused("variant = [1]", &["s.toml:1", "double brackets, [[variant]]"]);
    refused("\nmbn.size = 2", &["s.toml:2", "`mbn`", "belong under [fixed]"]);
    refused("[[override]]\nset = { lr = 1 }", &["s.toml:1", "`when` is missing"]);
    refused("[[override]]\nwhen = { lr = 1 }\nset = 1", &["s.toml:3", "`set`", "a table"]);
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
    refused("[fixed]\nseeds = 3", &["s.toml:2", "`seeds`", "at the top of the file"]);
    refused("[grid]\nlr = [\n  0.1,\n  \"fast\",\n]", &["s.toml:4", "lr", "a number"]);
    refused("[grid]\nlr = 0.1", &["s.toml:2", "list", "[fixed]"]);
    refused("[grid]\nlr = []", &["s.toml:2", "empty"]);
    for label in ["3", "\"\"", "\" \""] {
        refused(&format!("[[variant]]\nlabel = {label}"), &["s.toml:2", "`label`", "a name that is not empty"]);
    }
    refused("[fixed]\nlr = ", &["s.toml:2"]);
    refused("[[exclude]]", &["s.toml:1", "every run"]);
    refused("fixed = 1", &["s.toml:1", "expected a table"]);
    // A value that is wrong by itself is reported with its line, wherever it is noticed.
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
    refused("[[variant]]\nlabel = \"a\"\n[[variant]]\nlabel = \"a\"", &["s.toml:3", "give this one another label"]);
    refused("seeds = 3\n[[override]]\nwhen = { seed = 1 }\nset = { lr = 1 }", &["s.toml:3", "`seed`", "every seed"]);
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
        &["s.toml:6", "no run matches all of them"],
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
