//! Details of a network that its name leaves open.

use serde::{Deserialize, Serialize};

use crate::config::Config;

/// The shortcut around a residual block that changes the map's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortcut {
    /// Without parameters: every other pixel, padded with channels of zeros (option A of He et al., 2016).
    #[default]
    Pad,
    /// A 1x1 convolution with the block's stride (option B).
    Projection,
}

/// The distribution of initial weights and biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initialization {
    /// He et al.'s: normal, variance 2/fan_in; biases 0.
    #[default]
    He,
    /// PyTorch's default for convolutions and linear layers: weights and biases uniform within ±1/sqrt(fan_in).
    Torch,
}

/// What a network's name leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Design {
    /// Shortcuts that change the map's size.
    pub shortcut: Shortcut,
    /// Initial weights and biases.
    pub init: Initialization,
    /// Whether residual blocks start as their shortcuts alone: the scale of the branch's last normalizer or, where the branch
    /// ends in a convolution, that convolution's weight starts at 0.
    pub zero_init_residual: bool,
    /// Whether each output's weights before a normalizer have mean 0 ([`WeightForm::Centred`](crate::norm::WeightForm)).
    pub center_weights: bool,
}

/// A network by name, and what the name leaves open.
#[derive(Debug, Clone, Copy)]
pub struct Architecture<'a> {
    /// A name of [`super::MODELS`].
    pub name: &'a str,
    /// What the name leaves open.
    pub design: Design,
}

impl<'a> From<&'a str> for Architecture<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, design: Design::default() }
    }
}

impl<'a> From<&'a Config> for Architecture<'a> {
    fn from(config: &'a Config) -> Self {
        let Config { shortcut, init, zero_init_residual, center_weights, .. } = *config;
        Self { name: &config.model, design: Design { shortcut, init, zero_init_residual, center_weights } }
    }
}
