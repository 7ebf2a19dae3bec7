//! Memorized Batch Normalization with Double-Forward, on candle.
//!
//! A candle user replaces `candle_nn::batch_norm` by [`norm::memorized_batch_norm`], says which [`norm::Pass`] each forward
//! pass is and, for Double-Forward, passes the batch through once more after the update:
//!
//! ```
//! use candle_core::{DType, Device, Module, Result, Tensor};
//! use candle_nn::{linear, linear_no_bias, loss, Optimizer, VarBuilder, VarMap, SGD};
//! use mbn::norm::{memorized_batch_norm, MemorizedBatchNormConfig, Norm, Pass};
//!
//! # fn main() -> Result<()> {
//! let vars = VarMap::new();
//! let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
//! let fc1 = linear_no_bias(4, 8, vb.pp("fc1"))?;
//! let bn1 = memorized_batch_norm(8, MemorizedBatchNormConfig::default(), vb.pp("bn1"))?;
//! let fc2 = linear(8, 2, vb.pp("fc2"))?;
//! let forward = |x: &Tensor, pass| fc2.forward(&bn1.forward(&fc1.forward(x)?, pass)?.relu()?);
//!
//! let mut sgd = SGD::new(vars.all_vars(), 0.1)?;
//! let x = Tensor::new(&[[1f32, 0., 2., 0.], [0., 3., 0., 1.]], &Device::Cpu)?;
//! let y = Tensor::new(&[0u32, 1], &Device::Cpu)?;
//! for _ in 0..50 {
//!     let loss = loss::cross_entropy(&forward(&x, Pass::Train)?, &y)?;
//!     sgd.backward_step(&loss)?;
//!     forward(&x, Pass::REFRESH)?; // Double-Forward: what is remembered now belongs to the updated weights
//! }
//! let answers = forward(&x, Pass::Eval)?.argmax(1)?;
//! assert_eq!(answers.to_vec1::<u32>()?, [0, 1]);
//! # Ok(())
//! # }
//! ```
//!
//! `vars.save(...)` then holds `bn1.weight`, `bias`, `running_mean` and `running_var`, which any plain BatchNorm reads.
//! Optimizers leave the statistics alone, since these have no gradient; [`norm::is_statistic`] tells them apart by name.
//!
//! The rest of the crate is the workbench around the layers. Data flows one way: configuration, data, batches, model (with
//! its normalizers), training step, records, report.

#[doc(hidden)]
pub mod bench;
pub mod config;
pub mod data;
mod error;
mod guarded;
#[doc(hidden)]
pub mod kernel;
mod lock;
mod lookup;
pub mod model;
pub mod norm;
pub mod ops;
#[doc(hidden)]
pub mod profile;
#[doc(hidden)]
pub mod record;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod rng;
#[doc(hidden)]
pub mod run;
mod stats;
#[doc(hidden)]
pub mod sweep;
#[doc(hidden)]
pub mod text;
pub mod train;

pub use error::{Error, Result};
