//! Networks: one file per family, one table that names them ([`MODELS`]).
//!
//! Parameters carry PyTorch's names for the same networks, so that checkpoints load there as they are.

pub mod chain;
mod design;
pub mod fused;
mod gradients;
mod lenet;
mod mlp;
mod network;
mod plain;
mod preact_resnet;
mod resnet;
mod store;
pub mod units;
mod vgg;

use candle_core::Result as CandleResult;

pub use design::{Architecture, Design, Initialization, Shortcut};
pub use gradients::Gradients;
pub use network::{Kernels, LogitsAndLoss, Network};
pub use store::Store;
pub use units::NamedNorm;

use self::units::Units;
use crate::{Error, Result};

/// The classification task of a network: the shape of its images and the number of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

/// An entry of [`MODELS`]: a family of networks.
pub struct Family {
    /// The name, `D` standing for the number it takes where it takes one.
    pub name: &'static str,
    /// One line of explanation.
    pub about: &'static str,
    /// Whether it has residual blocks.
    residual: bool,
    /// Whether the family has a member of that depth (0 for names without a number).
    has: fn(usize) -> bool,
    build: fn(usize, Task, units::Builder) -> CandleResult<Units>,
}

/// Every network the program knows.
pub static MODELS: &[Family] = &[
    Family { name: "mlp", about: "two hidden layers of 256", residual: false, has: |d| d == 0, build: mlp::build },
    Family { name: "lenet", about: "Caffe's LeNet, 20-50-500", residual: false, has: |d| d == 0, build: lenet::build },
    Family {
        name: "plain",
        about: "five convolutions of 64 channels at full size, the first without normalizer",
        residual: false,
        has: |d| d == 0,
        build: plain::build,
    },
    Family {
        name: "resnetD",
        about: "He et al.'s CIFAR networks, D = 6n+2: resnet8, resnet20, resnet32, resnet44, resnet56, resnet110, ...",
        residual: true,
        has: resnet::has,
        build: resnet::build,
    },
    Family {
        name: "preact-resnetD",
        about: "the pre-activation form of resnetD, with normalizer and ReLU before each convolution",
        residual: true,
        has: resnet::has,
        build: preact_resnet::build,
    },
    Family {
        name: "vggD",
        about: "VGG in its CIFAR form: vgg11, vgg13, vgg16, vgg19",
        residual: false,
        has: vgg::has,
        build: vgg::build,
    },
];

/// The family and depth of the network called `name`.
fn find(name: &str) -> Result<(&'static Family, usize)> {
    let plain = name.trim().to_lowercase();
    let digits = plain.trim_start_matches(|c: char| !c.is_ascii_digit());
    let stem = &plain[..plain.len() - digits.len()];
    let depth = if digits.is_empty() { Some(0) } else { digits.parse().ok() };
    let known = MODELS.iter().find(|family| family.name.trim_end_matches('D') == stem);
    match (known, depth) {
        (Some(family), Some(depth)) if (family.has)(depth) => Ok((family, depth)),
        (Some(family), _) => {
            Err(Error::config(format!("unknown model `{name}`: `{}` is {}", family.name, family.about)))
        }
        _ => {
            let names: Vec<&str> = MODELS.iter().map(|family| family.name.trim_end_matches('D')).collect();
            let known: Vec<&str> = MODELS.iter().map(|family| family.name).collect();
            let hint = crate::lookup::closest(stem, &names);
            Err(Error::config(format!("unknown model `{name}`{hint}; known: {}", known.join(", "))))
        }
    }
}

/// The largest depth in [`names`].
const DEEPEST: usize = 110;

/// The names of the networks, of families of any depth those of up to 110 layers.
pub fn names() -> Vec<String> {
    let members = |family: &'static Family| {
        let depths = (0..=DEEPEST).filter(|depth| (family.has)(*depth));
        depths.map(|depth| match family.name.strip_suffix('D') {
            Some(stem) => format!("{stem}{depth}"),
            None => family.name.to_string(),
        })
    };
    MODELS.iter().flat_map(members).collect()
}

/// Whether there is a network of that name.
///
/// # Errors
/// There is none: the message lists the known ones and the closest.
pub fn check(name: &str) -> Result<()> {
    find(name).map(|_| ())
}

/// Whether the network of that name has residual blocks.
///
/// # Errors
/// As [`check`].
pub fn is_residual(name: &str) -> Result<bool> {
    find(name).map(|(family, _)| family.residual)
}
