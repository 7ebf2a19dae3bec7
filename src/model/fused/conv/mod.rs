//! Convolution of maps, its input gradient and its weight gradient.

mod geometry;
mod plan;

use std::ops::Range;

use crate::kernel::contract::Contract;
use crate::kernel::outer::{Outer, Pixels};
use crate::kernel::transpose::Transpose;
use crate::kernel::winograd::Tile;
use crate::kernel::{Float, Kernel};

use super::norm::{PieceMoments, observe};
use super::parallel::{Work, parallel};
use super::{Map, Piece, Sizes};
use plan::{GridPlan, Weights};

pub use geometry::Geometry;

/// Rows of an image per task: all of them, unless there are too few images for several threads.
pub fn rows_together(sizes: &Sizes) -> usize {
    const TASKS: usize = 8;
    const PIXELS: usize = 64;
    let pieces = (TASKS / sizes.n.max(1)).clamp(1, (sizes.pixels() / PIXELS).max(1));
    // A multiple of the largest Winograd tile, so that no tile is cut.
    sizes.h.div_ceil(pieces).next_multiple_of(Tile::F4.outputs())
}

/// A convolution to compute.
pub struct Job<'a, T: Float> {
    /// Sizes of the convolution.
    pub geometry: &'a Geometry,
    /// Input, with the border it needs.
    pub x: &'a Map<T>,
    /// Output, without border.
    pub z: &'a mut Map<T>,
    /// Where to put the moments of each piece of the output, taken while it is in the cache.
    pub moments: Option<&'a mut PieceMoments>,
}

/// z = conv(x), or conv(x) + bias, for several batches with the same weights.
pub fn forward<T: Float>(jobs: Vec<Job<T>>, weight: &[T], bias: Option<&[T]>) {
    let Some(Job { geometry, x, .. }) = jobs.first() else { return };
    let mut weights = Weights::new(geometry.pack_forward(weight, x.workspace()));
    let mut plan = |job: &Job<T>| {
        let g = job.geometry;
        GridPlan::new(g.forward(job.x.sizes), job.x, g.tile(&g.z), &g.z, &mut weights)
    };
    let plans: Vec<GridPlan> = jobs.iter().map(&mut plan).collect();
    let work = Work::Multiplications(jobs.iter().map(|job| job.geometry.multiplications()).sum());
    let mut tasks = vec![];
    for (job, plan) in jobs.into_iter().zip(&plans) {
        let mut places = job.moments.map(PieceMoments::places).into_iter().flatten();
        let pieces = job.z.pieces(rows_together(&job.geometry.z));
        tasks.extend(pieces.into_iter().map(|piece| (job.x, plan, piece, places.next())));
    }
    parallel(work, tasks, |_, (x, plan, piece, place): (&Map<T>, &GridPlan, Piece<T>, Option<&mut [f64]>)| {
        let origin = piece.rows.start * plan.grid.y[1];
        plan.compute(&weights, x.image(piece.n), piece.values, piece.rows, origin, false);
        if let Some(bias) = bias {
            let pixels = piece.values.chunks_exact_mut(bias.len());
            pixels.for_each(|pixel| pixel.iter_mut().zip(bias).for_each(|(z, b)| *z += *b));
        }
        if let Some(place) = place {
            observe(piece.values, plan.grid.channels, place);
        }
    });
}

/// Writes the input gradient to `dx`, without border, or adds it; `dz` has the border [`Geometry::z_border`].
pub fn input_gradient<T: Float>(g: &Geometry, dz: &Map<T>, weight: &[T], dx: &mut Map<T>, add: bool) {
    if g.scatters() {
        return scattered_input_gradient(g, dz, weight, dx, add);
    }
    let (grids, packed) = g.backward(dz.sizes, weight, dz.workspace());
    let mut weights = Weights::new(packed);
    let tile = g.tile(&g.x);
    let plans: Vec<GridPlan> =
        grids.into_iter().map(|grid| GridPlan::new(grid, dz, tile, &g.x, &mut weights)).collect();
    let rows = rows_together(&g.x).next_multiple_of(g.stride);
    parallel(Work::Multiplications(g.multiplications()), dx.pieces(rows), |_, piece| {
        for plan in &plans {
            // The grid's rows that lie in the piece: its row i is row `first + i stride` of the image.
            let first = plan.grid.y[0] / g.x.row();
            let grid_row = |y: usize| y.saturating_sub(first).div_ceil(g.stride).min(plan.grid.size[0]);
            let rows = grid_row(piece.rows.start)..grid_row(piece.rows.end);
            let origin = piece.rows.start * g.x.row();
            plan.compute(&weights, dz.image(piece.n), piece.values, rows, origin, add);
        }
    });
}

/// [`input_gradient`] without padding: each output pixel's gradient is added to the window it was computed from.
fn scattered_input_gradient<T: Float>(g: &Geometry, dz: &Map<T>, weight: &[T], dx: &mut Map<T>, add: bool) {
    let (grids, packed) = g.scatter(dz.sizes, weight, dz.workspace());
    parallel(Work::Multiplications(g.multiplications()), dx.pieces(g.x.h), |_, piece| {
        if !add {
            piece.values.fill(T::ZERO);
        }
        for grid in &grids {
            let (x, y) = (dz.image(piece.n), &mut *piece.values);
            Contract { grid, x, w: &packed, y, rows: 0..g.z.h, origin: 0, add: true }.compute();
        }
    });
}

/// Images per partial sum of a weight gradient, so that threads can work in parallel.
const PART: usize = 8;

/// The most partial sums of a weight gradient.
const PARTS: usize = 8;

/// Pixels taken through all kernel rows at a time: enough to hide the cost of a tile, few enough to stay in the cache.
const PIXELS: usize = 1024;

/// The weight gradient, (out, in, size, size), written to `gradient` or added to it.
pub fn weight_gradient<T: Float>(g: &Geometry, x: &Map<T>, dz: &Map<T>, gradient: &mut [T], add: bool) {
    let (cin, k) = (g.x.c, g.size);
    let parts = g.x.n.div_ceil(PART).clamp(g.x.n.min(2), PARTS);
    let images = g.x.n.div_ceil(parts);
    // Rows (part, out, ky) of (kx, in).
    let mut sums = x.workspace().take(g.x.n.div_ceil(images) * g.weights());
    let work = Work::Multiplications(g.multiplications());
    parallel(work, sums.chunks_mut(g.weights()).collect(), |part, sum| {
        let images = part * images..g.x.n.min((part + 1) * images);
        correlate(g, x, dz, images, sum);
    });
    let (first, others) = sums.split_at_mut(g.weights());
    for part in others.chunks_exact(first.len()) {
        first.iter_mut().zip(part).for_each(|(sum, v)| *sum += *v);
    }
    let (taps, mut own) = (k * k, vec![]);
    for (gradient, from) in gradient.chunks_exact_mut(cin * taps).zip(first.chunks_exact(cin * taps)) {
        own.resize(if add { gradient.len() } else { 0 }, T::ZERO);
        let to = if add { &mut own[..] } else { &mut *gradient };
        Transpose { from, from_step: cin, size: [taps, cin], to, to_step: taps }.compute();
        gradient.iter_mut().zip(&own).for_each(|(sum, v)| *sum += *v);
    }
}

/// The weight gradient of some images, rows (out, ky) of (kx, in).
fn correlate<T: Float>(g: &Geometry, x: &Map<T>, dz: &Map<T>, images: Range<usize>, sum: &mut [T]) {
    let (k, run) = (g.size, g.size * g.x.c);
    let (xs, zs) = (x.sizes, dz.sizes);
    let step = (PIXELS / g.z.pixels()).max(1);
    for first in images.clone().step_by(step) {
        for ky in 0..k {
            Outer {
                count: [step.min(images.end - first), g.z.h, g.z.w],
                g: dz.values(),
                g_at: Pixels { first: zs.at(first, 0), steps: [zs.image(), zs.row(), zs.c] },
                x: x.values(),
                x_at: Pixels {
                    first: first * xs.image() + g.first(&xs) + ky * xs.row(),
                    steps: [xs.image(), g.stride * xs.row(), g.stride * xs.c],
                },
                w: &mut sum[ky * run..],
                size: [g.z.c, run],
                pitch: k * run,
                add: first > images.start,
            }
            .compute();
        }
    }
}
