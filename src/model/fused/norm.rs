//! Normalization of maps, with the residual and the rectifier behind it, whatever the statistics are: one mean and
//! scale per channel, or per sample and group of channels.

use std::sync::Arc;

use candle_core::{Device, Result, Shape, Tensor};

use crate::kernel::norm::{Coefficients, Gradient, Moments, Normalize, Reduce, Residual, Rows};
use crate::kernel::{with_values, Float};
use crate::norm::{self, Form, Pass, Source, Used};

use super::conv::rows_together;
use super::map::{Map, Piece, Sizes, Workspace};
use super::parallel;

/// Means and sums of squared deviations, 2C numbers for each piece of a map.
pub struct PieceMoments {
    sizes: Sizes,
    sums: Vec<f64>,
}

/// Mean and sum of squared deviations of `count` values.
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    /// Both together (Chan et al., 1979).
    fn and(self, other: Self) -> Self {
        let count = self.count + other.count;
        if self.count == 0.0 || count == 0.0 {
            return other;
        }
        let (apart, share) = (other.mean - self.mean, other.count / count);
        let squares = self.squares + other.squares + apart * apart * self.count * share;
        Self { count, mean: self.mean + apart * share, squares }
    }

    fn var(&self) -> f64 {
        self.squares / self.count
    }
}

impl PieceMoments {
    /// Room for the pieces of a map of those sizes.
    pub fn new(sizes: Sizes) -> Self {
        let pieces = sizes.n * sizes.h.div_ceil(rows_together(&sizes));
        Self { sizes, sums: vec![0.0; pieces * 2 * sizes.c] }
    }

    /// The places for each piece's numbers.
    pub fn places(&mut self) -> Vec<&mut [f64]> {
        self.sums.chunks_exact_mut(2 * self.sizes.c).collect()
    }

    /// Those of channel `c` in picture `n`.
    fn picture(&self, n: usize, c: usize) -> Spread {
        let together = rows_together(&self.sizes);
        let pieces = self.sizes.h.div_ceil(together);
        let piece = |i: usize| {
            let rows = together.min(self.sizes.h - i * together);
            let sums = &self.sums[(n * pieces + i) * 2 * self.sizes.c..];
            Spread { count: (rows * self.sizes.w) as f64, mean: sums[c], squares: sums[self.sizes.c + c] }
        };
        (0..pieces).map(piece).fold(Spread::default(), Spread::and)
    }

    /// Those of channel `c` in the whole batch.
    fn batch(&self, c: usize) -> Spread {
        (0..self.sizes.n).map(|n| self.picture(n, c)).fold(Spread::default(), Spread::and)
    }
}

/// The coefficients of a normalization: (C) for the whole batch or (N·C), and what its gradient needs.
pub struct Applied<T> {
    mean: Vec<T>,
    slope: Vec<T>,
    shift: Vec<T>,
    /// Mean around which the variance moves.
    center: Vec<T>,
    /// 1/s.
    scale: Vec<f64>,
    gamma: Vec<f64>,
    flow: Flow,
}

/// How the gradient flows through the statistics.
#[derive(Clone, Copy)]
enum Flow {
    /// Through the batch's, with factor c.
    Batch(f64),
    /// Through each sample's own, over that many groups of channels.
    Groups(usize),
}

fn floats<T: Float>(tensor: &Tensor) -> Result<Vec<f64>> {
    with_values(&tensor.contiguous()?, |v: &[T]| v.iter().map(|v| v.to_f64()).collect())
}

fn rounded<T: Float>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::from_f64(v)).collect()
}

/// The coefficients for a map with those moments, which the normalizer remembers as the pass says.
///
/// `shape` is the input's as the normalizer knows it, (N,C,H,W) or (N,C).
pub fn apply<T: Float>(form: &Form, seen: &PieceMoments, shape: &Shape, pass: Pass) -> Result<Applied<T>> {
    let c = seen.sizes.c;
    let (gamma, beta) = (floats::<T>(form.gamma)?, floats::<T>(form.beta)?);
    let (mean, var, center, flow) = match form.source {
        Source::Batch(rule) => {
            let batch = rule.observes(pass).then(|| {
                let spreads: Vec<Spread> = (0..c).map(|c| seen.batch(c)).collect();
                let tensor = |f: fn(&Spread) -> f64| {
                    Tensor::from_vec(rounded::<T>(&spreads.iter().map(f).collect::<Vec<_>>()), c, &Device::Cpu)
                };
                Ok::<_, candle_core::Error>(norm::Moments { mean: tensor(|s| s.mean)?, var: tensor(Spread::var)? })
            });
            let Used { moments, center, factor } = rule.statistics(batch.transpose()?, shape, pass)?;
            (floats::<T>(&moments.mean)?, floats::<T>(&moments.var)?, floats::<T>(&center)?, Flow::Batch(factor))
        }
        Source::Sample(rule) => {
            let groups = rule.groups(shape)?;
            let (mut mean, mut var) = (vec![], vec![]);
            for (n, group) in (0..seen.sizes.n).flat_map(|n| (0..groups).map(move |g| (n, g))) {
                let channels = group * (c / groups)..(group + 1) * (c / groups);
                let spread = channels.map(|c| seen.picture(n, c)).fold(Spread::default(), Spread::and);
                mean.extend(std::iter::repeat_n(spread.mean, c / groups));
                var.extend(std::iter::repeat_n(spread.var(), c / groups));
            }
            (mean.clone(), var, mean, Flow::Groups(groups))
        }
    };
    let scale: Vec<f64> = var.iter().map(|var| 1.0 / (var + form.eps).sqrt()).collect();
    let slope: Vec<f64> = scale.iter().zip(gamma.iter().cycle()).map(|(scale, gamma)| scale * gamma).collect();
    Ok(Applied {
        mean: rounded(&mean),
        slope: rounded(&slope),
        shift: rounded(&beta),
        center: rounded(&center),
        scale,
        gamma,
        flow,
    })
}

impl<T: Float> Applied<T> {
    /// The coefficients for picture `n`.
    fn coefficients(&self, n: usize) -> Coefficients<'_, T> {
        let own = self.own(n);
        Coefficients { mean: &self.mean[own.clone()], slope: &self.slope[own], shift: &self.shift }
    }

    /// Where picture `n`'s coefficients lie.
    fn own(&self, n: usize) -> std::ops::Range<usize> {
        let c = self.shift.len();
        match self.flow {
            Flow::Batch(_) => 0..c,
            Flow::Groups(_) => n * c..(n + 1) * c,
        }
    }

    /// relu(normalized z + residual), with a border for whoever is next.
    pub fn forward(
        &self,
        z: &Map<T>,
        residual: Option<&Map<T>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Map<T> {
        let mut y = Map::new(z.sizes.bordered(border), workspace);
        let sizes = y.sizes;
        parallel(y.pieces(rows_together(&z.sizes)), |_, piece| {
            let first = clear_border(&piece.rows, &sizes, piece.values);
            let y = (&mut piece.values[first..], sizes.row());
            Normalize {
                rows: rows(&z.sizes, &piece.rows),
                z: (&z.values()[z.sizes.at(piece.n, piece.rows.start)..], z.sizes.row()),
                residual: beside(residual, piece.n, piece.rows.start),
                by: self.coefficients(piece.n),
                relu: true,
                y,
            }
            .compute();
        });
        y
    }

    /// The gradient: `g`, dL/dy, becomes that of the sum before the rectifier, which is also the residual's; returns dz,
    /// with such a border, dgamma and dbeta.
    pub fn backward(
        &self,
        z: &Map<T>,
        residual: Option<&Map<T>>,
        g: &mut Map<T>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> (Map<T>, Vec<T>, Vec<T>) {
        let mut sums = PieceMoments::new(z.sizes);
        let tasks: Vec<_> = g.pieces(rows_together(&z.sizes)).into_iter().zip(sums.places()).collect();
        parallel(tasks, |_, (piece, out): (Piece<T>, _)| {
            Reduce {
                rows: rows(&z.sizes, &piece.rows),
                g: piece.values,
                z: &z.values()[z.sizes.at(piece.n, piece.rows.start)..],
                residual: beside(residual, piece.n, piece.rows.start),
                by: self.coefficients(piece.n),
                relu: true,
                out,
            }
            .compute();
        });
        let flows = self.flows(&sums);
        let mut dz = Map::new(z.sizes.bordered(border), workspace);
        let sizes = dz.sizes;
        parallel(dz.pieces(rows_together(&z.sizes)), |_, piece| {
            let first = clear_border(&piece.rows, &sizes, piece.values);
            let at = z.sizes.at(piece.n, piece.rows.start);
            let own = self.own(piece.n);
            let [a, b, d] = [&self.slope, &flows.b, &flows.d].map(|v| &v[own.clone()]);
            Gradient {
                rows: rows(&z.sizes, &piece.rows),
                g: &g.values()[at..],
                z: &z.values()[at..],
                by: [a, b, d, &self.center[own]],
                dz: (&mut piece.values[first..], sizes.row()),
            }
            .compute();
        });
        (dz, flows.gamma, flows.beta)
    }

    /// The second pass's coefficients and the parameters' gradients, from each piece's Σ g and Σ g (z - mean).
    fn flows(&self, sums: &PieceMoments) -> Flows<T> {
        let Sizes { n: pictures, c: channels, .. } = sums.sizes;
        let values = (pictures * sums.sizes.pixels()) as f64;
        let pieces = sums.sums.len() / (2 * channels) / pictures;
        // Per picture and channel.
        let sum = |n: usize, c: usize| -> f64 {
            (n * pieces..(n + 1) * pieces).map(|piece| sums.sums[piece * 2 * channels + c]).sum()
        };
        let (mut gamma, mut beta) = (vec![0.0; channels], vec![0.0; channels]);
        let (mut b, mut d) = (vec![0.0; self.scale.len()], vec![0.0; self.scale.len()]);
        for n in 0..pictures {
            let scale = &self.scale[self.own(n)];
            for c in 0..channels {
                beta[c] += sum(n, c);
                gamma[c] += sum(n, channels + c) * scale[c];
            }
            if let Flow::Groups(groups) = self.flow {
                let size = channels / groups;
                for first in (0..channels).step_by(size) {
                    let group = first..first + size;
                    let total: f64 = group.clone().map(|c| self.gamma[c] * sum(n, c)).sum();
                    let along: f64 = group.clone().map(|c| self.gamma[c] * sum(n, channels + c) * scale[c]).sum();
                    let share = scale[first] / (size * sums.sizes.pixels()) as f64;
                    b[n * channels..][group.clone()].fill(-share * scale[first] * along);
                    d[n * channels..][group].fill(-share * total);
                }
            }
        }
        if let Flow::Batch(factor) = self.flow {
            for c in 0..channels {
                let share = self.gamma[c] * self.scale[c] * factor / values;
                b[c] = -share * self.scale[c] * gamma[c];
                d[c] = -share * beta[c];
            }
        }
        Flows { b: rounded(&b), d: rounded(&d), gamma: rounded(&gamma), beta: rounded(&beta) }
    }
}

/// See [`Applied::flows`].
struct Flows<T> {
    b: Vec<T>,
    d: Vec<T>,
    gamma: Vec<T>,
    beta: Vec<T>,
}

/// Takes the moments of a piece of a map.
pub fn observe<T: Float>(z: &[T], channels: usize, out: &mut [f64]) {
    Moments { z, channels, out }.compute();
}

fn rows(sizes: &Sizes, rows: &std::ops::Range<usize>) -> Rows {
    Rows { rows: rows.len(), pixels: sizes.w, channels: sizes.c }
}

/// The residual from row `y` of picture `n` on.
fn beside<T: Float>(residual: Option<&Map<T>>, n: usize, y: usize) -> Residual<'_, T> {
    residual.map(|map| (&map.values()[map.sizes.at(n, y)..], map.sizes.row()))
}

/// Zeros the border around `rows` of a piece; where in it the first pixel lies.
fn clear_border<T: Float>(rows: &std::ops::Range<usize>, sizes: &Sizes, piece: &mut [T]) -> usize {
    let (row, left, inside) = (sizes.row(), sizes.before * sizes.c, sizes.w * sizes.c);
    if sizes.before + sizes.after == 0 {
        return 0;
    }
    let above = if rows.start == 0 { sizes.before } else { 0 };
    for (y, row) in piece.chunks_exact_mut(row).enumerate() {
        if (above..above + rows.len()).contains(&y) {
            row[..left].fill(T::ZERO);
            row[left + inside..].fill(T::ZERO);
        } else {
            row.fill(T::ZERO);
        }
    }
    above * row + left
}
