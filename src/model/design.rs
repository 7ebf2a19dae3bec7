//! How a network of a given name is built in detail.

use serde::{Deserialize, Serialize};

use crate::config::Config;

/// The shortcut around a residual block that changes the map's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortcut {
    /// Without parameters: every other pixel, channels of zeros (option A of He et al., 2016).
    #[default]
    Pad,
    /// A 1x1 convolution with the block's stride (option B).
    Projection,
}

/// The distribution of fresh weights and biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initialization {
    /// He et al.'s: normal, variance 2/fan_in; biases 0.
    #[default]
    He,
    /// PyTorch's default for convolutions and linear maps: weights and biases uniform within 1/sqrt(fan_in).
    Torch,
}

/// What a network's name leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Design {
    /// Shortcuts that change the map's size.
    pub shortcut: Shortcut,
    /// Fresh weights and biases.
    pub init: Initialization,
    /// Whether residual blocks begin as their shortcuts alone: the scale of the branch's last normalizer begins at 0 or,
    /// where the branch ends in a convolution, that convolution does.
    pub zero_init_residual: bool,
}

/// A network by name, and what the name leaves open.
#[derive(Debug, Clone, Copy)]
pub struct Architecture<'a> {
    /// Of [`super::MODELS`].
    pub name: &'a str,
    /// The rest.
    pub design: Design,
}

impl<'a> From<&'a str> for Architecture<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, design: Design::default() }
    }
}

impl<'a> From<&'a Config> for Architecture<'a> {
    fn from(config: &'a Config) -> Self {
        let Config { shortcut, init, zero_init_residual, .. } = *config;
        Self { name: &config.model, design: Design { shortcut, init, zero_init_residual } }
    }
}
