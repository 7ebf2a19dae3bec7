//! The library in a candle program: swap the layer, keep `VarMap`, candle's optimizers and checkpoints.

use std::path::Path;

use candle_core::{DType, Device, Module, ModuleT, Result, Tensor};
use candle_nn::{AdamW, Linear, Optimizer, SGD, VarBuilder, VarMap, linear_no_bias, loss};
use mbn::norm::{
    Granularity, MemorizedBatchNorm, MemorizedBatchNormConfig, Norm, Pass, is_statistic, memorized_batch_norm,
};

struct Model {
    fc1: Linear,
    bn1: MemorizedBatchNorm,
    fc2: Linear,
}

impl Model {
    fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            fc1: linear_no_bias(6, 8, vb.pp("fc1"))?,
            bn1: memorized_batch_norm(8, MemorizedBatchNormConfig::default(), vb.pp("bn1"))?,
            fc2: linear_no_bias(8, 3, vb.pp("fc2"))?,
        })
    }

    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        self.fc2.forward(&self.bn1.forward(&self.fc1.forward(x)?, pass)?.relu()?)
    }
}

fn from(vars: &VarMap) -> Model {
    Model::new(VarBuilder::from_varmap(vars, DType::F32, &Device::Cpu)).unwrap()
}

/// Batch `i` of a task that a linear model solves: the class is the largest of the first three numbers.
fn batch(i: usize) -> (Tensor, Tensor) {
    let mut stream = mbn::rng::stream(1, &format!("batch/{i}"));
    let x: Vec<f32> = (0..8 * 6).map(|_| stream.normal() as f32).collect();
    let x = Tensor::from_vec(x, (8, 6), &Device::Cpu).unwrap();
    let y = x.narrow(1, 0, 3).unwrap().argmax(1).unwrap();
    (x, y)
}

/// Steps with Double-Forward; the losses.
fn train(model: &Model, optimizer: &mut impl Optimizer, batches: std::ops::Range<usize>) -> Vec<f32> {
    let step = |i| {
        let (x, y) = batch(i);
        let loss = loss::cross_entropy(&model.forward(&x, Pass::Train)?, &y)?;
        optimizer.backward_step(&loss)?;
        model.forward(&x, Pass::REFRESH)?;
        loss.to_scalar::<f32>()
    };
    batches.map(step).collect::<Result<_>>().unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn saved(vars: &VarMap, dir: &Path) -> std::path::PathBuf {
    let path = dir.join("model.safetensors");
    vars.save(&path).unwrap();
    path
}

#[test]
fn a_model_with_the_layer_learns_under_candle_s_sgd_and_its_refresh_follows_the_weights() {
    let vars = VarMap::new();
    let model = from(&vars);
    let losses = train(&model, &mut SGD::new(vars.all_vars(), 0.3).unwrap(), 0..150);
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    assert!(mean(&losses[140..]) < 0.5 * mean(&losses[..10]), "{losses:?}");
    // After the refresh the newest slot holds the statistics of the last batch under the updated weights.
    let (x, _) = batch(149);
    let newest = mbn::ops::moments(&model.fc1.forward(&x).unwrap(), Granularity::Channel).unwrap();
    let vars = vars.data().lock().unwrap();
    let row = vars["bn1.memory_mean"].get(0).unwrap();
    assert_eq!(numbers(&row), numbers(&newest.mean));
}

#[test]
fn candle_s_optimizers_leave_the_statistics_alone() {
    let vars = VarMap::new();
    let model = from(&vars);
    let statistics = || -> Vec<(String, Vec<f32>)> {
        let vars = vars.data().lock().unwrap();
        let named = vars.iter().filter(|(name, _)| is_statistic(name));
        named.map(|(name, var)| (name.clone(), numbers(var))).collect()
    };
    assert_eq!(statistics().len(), 10);
    // AdamW with weight decay would shrink whatever it treats as a parameter.
    let mut sgd = SGD::new(vars.all_vars(), 0.1).unwrap();
    let mut adam = AdamW::new_lr(vars.all_vars(), 0.1).unwrap();
    let (x, y) = batch(0);
    let loss = loss::cross_entropy(&model.forward(&x, Pass::Train).unwrap(), &y).unwrap();
    let grads = loss.backward().unwrap();
    let before = (statistics(), numbers(model.fc1.weight()));
    sgd.step(&grads).unwrap();
    adam.step(&grads).unwrap();
    assert_eq!(before.0, statistics());
    assert_ne!(before.1, numbers(model.fc1.weight()));
}

#[test]
fn a_saved_model_goes_on_where_it_was_and_infers_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let vars = VarMap::new();
    let model = from(&vars);
    train(&model, &mut SGD::new(vars.all_vars(), 0.1).unwrap(), 0..5);
    let path = saved(&vars, dir.path());
    let (x, _) = batch(99);
    let expected = numbers(&model.forward(&x, Pass::Eval).unwrap());

    let mut again = VarMap::new();
    let loaded = from(&again);
    assert_ne!(expected, numbers(&loaded.forward(&x, Pass::Eval).unwrap()));
    again.load(&path).unwrap();
    assert_eq!(expected, numbers(&loaded.forward(&x, Pass::Eval).unwrap()));

    // SAFETY: no one changes the file while it is mapped.
    let mapped = unsafe { VarBuilder::from_mmaped_safetensors(&[&path], DType::F32, &Device::Cpu).unwrap() };
    assert_eq!(expected, numbers(&Model::new(mapped).unwrap().forward(&x, Pass::Eval).unwrap()));

    // The memory was saved, too: the next steps are bitwise the same.
    let next = train(&model, &mut SGD::new(vars.all_vars(), 0.1).unwrap(), 5..10);
    assert_eq!(next, train(&loaded, &mut SGD::new(again.all_vars(), 0.1).unwrap(), 5..10));
}

#[test]
fn candle_s_own_batch_norm_reads_the_trained_layer() {
    let vars = VarMap::new();
    let model = from(&vars);
    train(&model, &mut SGD::new(vars.all_vars(), 0.1).unwrap(), 0..20);
    let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let theirs = candle_nn::batch_norm(8, 1e-5, vb.pp("bn1")).unwrap();
    let x = model.fc1.forward(&batch(3).0).unwrap();
    let (ours, theirs) = (model.bn1.forward_t(&x, false).unwrap(), theirs.forward_t(&x, false).unwrap());
    for (a, b) in numbers(&ours).into_iter().zip(numbers(&theirs)) {
        assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{a} {b}");
    }
}

#[test]
fn a_plain_batch_norms_file_is_enough_to_infer_and_to_begin_training_from() {
    let dir = tempfile::tempdir().unwrap();
    let vars = VarMap::new();
    let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let theirs = candle_nn::batch_norm(8, 1e-5, vb.pp("bn1")).unwrap();
    let x = Tensor::from_vec((0..32).map(|i| i as f32).collect(), (4, 8), &Device::Cpu).unwrap();
    theirs.forward_t(&x, true).unwrap();
    let path = saved(&vars, dir.path());
    // SAFETY: no one changes the file while it is mapped.
    let mapped = unsafe { VarBuilder::from_mmaped_safetensors(&[&path], DType::F32, &Device::Cpu).unwrap() };
    let ours = memorized_batch_norm(8, MemorizedBatchNormConfig::default(), mapped.pp("bn1")).unwrap();
    let expected = numbers(&theirs.forward_t(&x, false).unwrap());
    for (a, b) in numbers(&ours.forward(&x, Pass::Eval).unwrap()).into_iter().zip(expected) {
        assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} {b}");
    }
    // Its memory is empty: the first training batch is normalized by its own statistics.
    let own = numbers(&ours.forward(&x, Pass::Batch).unwrap());
    assert_eq!(own, numbers(&ours.forward(&x, Pass::Train).unwrap()));
}
