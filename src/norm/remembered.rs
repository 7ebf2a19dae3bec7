//! The passes that use remembered statistics (frozen, weighed, observe), written once for all normalizers.
//!
//! They build on [`Norm::inference`]; every other pass is the normalizer's own. For a normalizer that remembers nothing, or
//! whose inference is more than an affine map, they are its inference.
//!
//! Weighed (Summers & Dinneen, "Four Things Everyone Should Know to Improve Batch Normalization", ICLR 2020): E[x] and E[x²] are
//! (1-w) times the remembered and w times the image's own, m_x and v_x + m_x²; hence
//!
//! ```text
//! mean = M + w (m_x - M)        var = (1-w) v + w v_x + w (1-w) (m_x - M)²
//! ```
//!
//! which is never negative and does not lose digits as E[x²] - E[x]² does.

use candle_core::Result;

use super::{Call, Coefficients, Input, Moments, Norm, Pass};
use crate::ops::Granularity;

/// What moments and gradient sums are taken over in that pass.
pub(crate) fn granularity<N: Norm + ?Sized>(norm: &N, pass: Pass) -> Granularity {
    match pass {
        Pass::Frozen if known(norm).is_some() => Granularity::Channel,
        pass if looks_at_images(pass) && known(norm).is_some() => Granularity::Image,
        _ => norm.granularity(),
    }
}

/// Whether that pass needs its input's moments.
pub(crate) fn observes<N: Norm + ?Sized>(norm: &N, pass: Pass) -> bool {
    match pass {
        Pass::Frozen => known(norm).is_none() && norm.observes(Pass::Eval),
        pass if looks_at_images(pass) => known(norm).is_some() || norm.observes(Pass::Eval),
        pass => norm.observes(pass),
    }
}

/// The map that normalizes an input; the normalizer remembers what the pass requires.
pub(crate) fn coefficients<N: Norm + ?Sized>(norm: &N, input: Input) -> Result<Coefficients> {
    let (pass, affine) = (input.call.pass, norm.affine());
    let infer = |input: Input| norm.coefficients(&Input { call: Call { pass: Pass::Eval, ..input.call }, ..input });
    match pass {
        Pass::Frozen => return infer(input),
        pass if !looks_at_images(pass) => return norm.coefficients(&input),
        _ => {}
    }
    let (Some(known), Some(own)) = (known(norm), &input.moments) else { return infer(input) };
    let own = norm.inference_form(own)?;
    match pass {
        Pass::Weighed { weight } => {
            let mixed = weighed(&known, &own, weight)?;
            affine.see(mixed.clone());
            affine.constant(&mixed)
        }
        _ => {
            affine.see(own);
            affine.constant(&known)
        }
    }
}

/// The statistics of inference, where inference is only their affine map.
fn known<N: Norm + ?Sized>(norm: &N) -> Option<Moments> {
    norm.inference().filter(|_| norm.infers_by_map())
}

/// Whether that pass needs each image's own statistics besides those remembered.
fn looks_at_images(pass: Pass) -> bool {
    matches!(pass, Pass::Weighed { .. } | Pass::Observe)
}

/// Statistics (N,C) of each image: `own`, (N,C), with that weight, and `known`, (C), with the rest.
pub(super) fn weighed(known: &Moments, own: &Moments, weight: f64) -> Result<Moments> {
    let apart = own.mean.broadcast_sub(&known.mean)?;
    let mean = apart.affine(weight, 0.0)?.broadcast_add(&known.mean)?;
    let between = apart.sqr()?.affine(weight * (1.0 - weight), 0.0)?;
    let within = own.var.affine(weight, 0.0)?.broadcast_add(&known.var.affine(1.0 - weight, 0.0)?)?;
    Ok(Moments { mean, var: (within + between)? })
}
