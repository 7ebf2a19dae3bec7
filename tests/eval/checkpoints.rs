//! Checkpoints written by other programs are read, or identified in the error; nothing is overwritten.

use std::path::Path;

use candle_core::{DType, Device};
use mbn::train::Checkpoint;

use super::support::{DESCRIBED, ForeignCheckpoint, Tensors, refused, report, run, tensors, write};

fn renamed(prefix: &str) -> Tensors {
    tensors().into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
}

#[test]
fn prefixes_of_wrappers_are_taken_off_with_a_note() {
    let (plain, messages) = ForeignCheckpoint::new(&tensors(), &[]).report(&[]);
    assert!(messages.is_empty(), "{messages}");
    for prefix in ["module.", "model.", "_orig_mod.", "module._orig_mod."] {
        let (found, messages) = ForeignCheckpoint::new(&renamed(prefix), &[]).report(&[]);
        assert_eq!((&found["loss"], &found["accuracy"]), (&plain["loss"], &plain["accuracy"]), "{prefix}");
        assert!(messages.contains("note: the prefix"), "{messages}");
    }
    let mut mixed = renamed("model.");
    let (name, tensor) = tensors().into_iter().next().unwrap();
    mixed.insert(name, tensor);
    ForeignCheckpoint::new(&mixed, &[]).refused(1, &[], &["tensor `"]);
}

#[test]
fn what_a_file_of_another_network_holds_is_said() {
    ForeignCheckpoint::new(&renamed("net."), &[]).refused(1, &[], &["is missing", "`net.bn1.bias`", " more"]);
    let again = candle_core::safetensors::load(run().join("last.safetensors"), &Device::Cpu).unwrap();
    ForeignCheckpoint::new(&again, &[]).refused(1, &[], &["`train.momentum.", "a checkpoint of mbn", "`train.*`"]);
}

#[test]
fn a_checkpoint_of_a_newer_version_is_called_that() {
    let mut newer = Checkpoint::load(&run().join("last.safetensors"), &Device::Cpu).unwrap();
    newer.metadata.insert("format".into(), "mbn-checkpoint-9".into());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("newer.safetensors");
    newer.save(&path).unwrap();
    refused(1, &[path.to_str().unwrap()], &["newer mbn", "mbn-checkpoint-9", "mbn-checkpoint-1"]);
}

#[test]
fn metadata_of_other_programs_have_their_own_meaning() {
    let (plain, _) = ForeignCheckpoint::new(&tensors(), &[]).report(&[]);
    for metadata in [
        &[("format", "pt"), ("config", "{\"hidden_size\": 8}")][..],
        &[("model", "my-net"), ("classes", "ten")],
        &[("checksum", "1234")],
    ] {
        let (found, _) = ForeignCheckpoint::new(&tensors(), metadata).report(&[]);
        assert_eq!(found["loss"], plain["loss"], "{metadata:?}");
    }
}

#[test]
fn what_a_foreign_checkpoint_does_not_say_is_asked_for() {
    let foreign = ForeignCheckpoint::new(&tensors(), &[]);
    let path = foreign.path();
    refused(2, &[&path], &["--dataset, --model and --norm"]);
    refused(2, &[&path, "--model", "mlp"], &["--dataset and --norm"]);
    refused(2, &[&path, "--model", "mlp", "--dataset", "digits"], &["give --norm"]);
    report(&[&path, "--set", "model=mlp", "--set", "norm=bn", "--dataset", "digits"]);
}

#[test]
fn statistics_may_be_missing_where_none_are_needed() {
    let bare: Tensors = tensors().into_iter().filter(|(name, _)| !name.contains("running")).collect();
    let (bare, whole) = (ForeignCheckpoint::new(&bare, &[]), ForeignCheckpoint::new(&tensors(), &[]));
    for stats in ["batch", "precise"] {
        let (found, messages) = bare.report(&["--stats", stats]);
        assert_eq!(found["loss"], whole.report(&["--stats", stats]).0["loss"], "{stats}");
        assert!(messages.contains("holds no running statistics"), "{messages}");
    }
    bare.refused(1, &[], &["bn1.running_mean` is missing", "--stats precise"]);
}

#[test]
fn a_zipped_pickle_is_read_and_an_old_one_named() {
    // torch.save({"epoch": 3, "state_dict": {"module.fc.weight": arange(6.).reshape(2, 3), "module.fc.bias": ...}}, ...)
    let pickle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/eval/wrapped.pt");
    let read = Checkpoint::load(&pickle, &Device::Cpu).unwrap();
    let rows = read.tensors["fc.weight"].to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(rows, [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]);
    assert_eq!(read.tensors["fc.bias"].to_vec1::<f32>().unwrap(), [0.5, -0.5]);
    assert!(read.notes.iter().any(|note| note.contains("pickle")), "{:?}", read.notes);
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in
        [("old.pt", &b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."[..]), ("archive.pt", b"PK\x03\x04 no")]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        refused(1, &[&[path], &DESCRIBED[..]].concat(), &["PyTorch pickle", "safetensors", "torch.load"]);
    }
}

#[test]
fn whole_numbers_are_no_weights() {
    let mut quantized = tensors();
    let weight = quantized["fc1.weight"].affine(20.0, 100.0).unwrap().to_dtype(DType::U8).unwrap();
    quantized.insert("fc1.weight".into(), weight);
    ForeignCheckpoint::new(&quantized, &[]).refused(1, &[], &["fc1.weight", "integers"]);
}

#[test]
fn a_dump_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (net, dump) = (dir.path().join("net.safetensors"), dir.path().join("new.safetensors"));
    write(&net, &tensors(), &[]);
    let before = std::fs::read(&net).unwrap();
    let std = [&[net.to_str().unwrap()], &DESCRIBED[..], &["--dump", "-"]].concat();
    refused(2, &std, &["--dump -", "not written to standard output", "name of a new file"]);
    let args = |to: &str| [&[net.to_str().unwrap()], &DESCRIBED[..], &["--dump", to]].concat().join("\n");
    let indirect = dir.path().join(".").join("net.safetensors");
    for to in [&net, &indirect, &run().join("config.toml")] {
        refused(2, &args(to.to_str().unwrap()).split('\n').collect::<Vec<_>>(), &["--dump", "not overwritten"]);
    }
    assert!(std::fs::read(&net).unwrap() == before);
    report(&args(dump.to_str().unwrap()).split('\n').collect::<Vec<_>>());
    let dumped = candle_core::safetensors::load(&dump, &Device::Cpu).unwrap();
    assert_eq!(dumped["logits"].dims(), [64, 10]);
}
