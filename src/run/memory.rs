//! A lower bound on the memory of a training step.

use std::fs;

use candle_core::{DType, Device, Tensor};
use toml::Table;

use crate::config::Config;
use crate::model::{Network, Store, Task};
use crate::norm::{NormSpec, Pass};
use crate::train::optimizer;
use crate::{Error, Result};

/// Bytes per value.
const F32: u64 = 4;

/// Lower bound on the memory of a step, in bytes: parameters, gradients, the optimizer's state, the batch, and the
/// normalizers' inputs, which the backward pass needs again.
pub(super) fn step_bytes(network: &Network, task: Task, config: &Config) -> u64 {
    let [channels, height, width] = task.shape;
    let kept = optimizer::find(&config.optimizer).map_or(0, |kind| kind.slots(config).len());
    let parameters = (network.parameter_count() * (2 + kept)) as u64;
    let images = (config.batch_size * channels * height * width) as u64;
    // A network that cannot be built or run fails in the first step, with a better message.
    let inputs = normalized(task, config).unwrap_or(0) * config.norm_batch_size as u64;
    F32 * (parameters + images + inputs)
}

/// Number of values per image that the normalizers take as input. It does not depend on the kind of normalizer, so it is
/// measured with `bn`, which records its input.
fn normalized(task: Task, config: &Config) -> Result<u64> {
    let [channels, height, width] = task.shape;
    let spec = NormSpec::new("bn", &Table::new())?;
    let network = Network::new(config, task, &spec, Store::fresh(0), DType::F32, &Device::Cpu)?;
    network.forward(&Tensor::zeros((2, channels, height, width), DType::F32, &Device::Cpu)?, Pass::Batch)?;
    let seen = network.norms().iter().filter_map(|layer| layer.norm.observed());
    Ok(seen.map(|seen| (seen.count * seen.batch.mean.elem_count()) as u64).sum::<u64>() / 2)
}

/// Refuses a step that needs more memory than the machine has, before the system kills the process for it.
///
/// # Errors
/// The step needs more than the machine has in all.
pub(super) fn check(config: &Config, step: u64) -> Result<()> {
    match total().filter(|have| step > *have && config.device == "cpu") {
        Some(have) => Err(Error::Memory { images: config.batch_size, need: step >> 20, have: have >> 20 }),
        None => Ok(()),
    }
}

/// Memory and swap of the machine, or what its control group may use; none where the system does not report it.
fn total() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
    };
    let machine = field("MemTotal")? + field("SwapTotal").unwrap_or(0);
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(machine.min(group.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    #[test]
    fn a_step_grows_with_the_batch_and_what_no_machine_has_is_refused() {
        let task = Task { shape: [1, 28, 28], classes: 10 };
        let bytes = |settings: [&str; 2]| {
            let layers = settings.iter().try_fold(Layers::new(), |layers, text| layers.set(text)).unwrap();
            let config = layers.resolve().unwrap();
            let spec = NormSpec::new(&config.norm, &config.norm_params).unwrap();
            let network = Network::new("lenet", task, &spec, Store::fresh(0), DType::F32, &Device::Cpu).unwrap();
            (step_bytes(&network, task, &config), config)
        };
        let (one, _) = bytes(["norm=bn", "batch_size=1"]);
        let (many, config) = bytes(["norm=bn", "batch_size=1001"]);
        let per_image = (many - one) / 1000;
        assert!(per_image > 28 * 28 * 4, "the batch and what is normalized: {per_image}");
        for norm in ["norm=mbn", "norm=gn", "norm=none"] {
            let (one, many) = (bytes([norm, "batch_size=1"]).0, bytes([norm, "batch_size=1001"]).0);
            assert_eq!((many - one) / 1000, per_image, "{norm}: what is normalized is kept whatever normalizes it");
        }
        assert!(check(&config, many).is_ok());
        let message = check(&config, 1 << 60).map_err(|error| error.to_string());
        if cfg!(target_os = "linux") {
            let message = message.unwrap_err();
            assert!(message.contains("1001 images") && message.contains("batch_size"), "{message}");
        }
    }
}
