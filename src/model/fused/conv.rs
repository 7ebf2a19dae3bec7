//! Convolution of maps, its input gradient and its weight gradient: grids of pixels for the kernels.

use std::ops::Range;
use std::sync::Arc;

use crate::kernel::contract::{padded, Contract, Grid, Run};
use crate::kernel::outer::{Outer, Pixels};
use crate::kernel::winograd::{Convolve, Layout, Weights, POINTS};
use crate::kernel::Float;

use super::map::{Buffer, Map, Piece, Sizes, Workspace};
use super::norm::{observe, PieceMoments};
use super::parallel;

/// Kernel size, stride, padding and channels of a convolution, and the maps it goes between (without borders).
#[derive(Debug, Clone, Copy)]
pub struct Geometry {
    /// Input.
    pub x: Sizes,
    /// Output.
    pub z: Sizes,
    /// Rows and columns of the kernel.
    pub size: usize,
    /// Step between windows.
    pub stride: usize,
    /// Zeros around the picture.
    pub padding: usize,
    /// Whether Winograd's algorithm may be used.
    pub winograd: bool,
}

impl Geometry {
    /// Whether Winograd's algorithm is to compute maps of sizes `y`: 3x3 windows side by side, an even number of rows and
    /// columns, and, since transforms cost, many channels and enough tiles for the weights' transform to pay off.
    fn in_tiles(&self, y: &Sizes) -> bool {
        const CHANNELS: usize = 32;
        const TILES: usize = 64;
        let fits = self.winograd && (self.size, self.stride) == (3, 1) && self.padding <= 2;
        let worthwhile = self.x.c.min(self.z.c) >= CHANNELS && y.n * y.pixels() / 4 >= TILES;
        let even = y.h.is_multiple_of(2) && y.w.is_multiple_of(2);
        fits && worthwhile && even
    }

    /// Values of the weights.
    fn weights(&self) -> usize {
        self.z.c * self.x.c * self.size * self.size
    }

    /// The border the input needs.
    pub fn x_border(&self) -> [usize; 2] {
        [self.padding; 2]
    }

    /// Along one axis, the input positions whose windows start at phase `phase`: the first of them, how many there are
    /// of `len`, the taps they meet, and the output position the last of those taps belongs to for the first of them.
    fn phase(&self, phase: usize, len: usize) -> Phase {
        let first = (phase + self.stride - self.padding % self.stride) % self.stride;
        let taps = (self.size.saturating_sub(phase)).div_ceil(self.stride);
        let newest = (first + self.padding - phase) / self.stride;
        Phase { first, count: len.saturating_sub(first).div_ceil(self.stride), taps, newest }
    }

    /// Whether the input gradient is better scattered over the windows than gathered from them: gathering multiplies
    /// with the border, which without padding is `size - 1` wide.
    fn scatters(&self) -> bool {
        self.padding == 0
    }

    /// The border the output's gradient needs: outputs beyond the map that a window of the input gradient looks at.
    pub fn z_border(&self) -> [usize; 2] {
        let mut border = [0, 0];
        if self.scatters() {
            return border;
        }
        for (len, out) in [(self.x.h, self.z.h), (self.x.w, self.z.w)] {
            for phase in (0..self.stride).map(|phase| self.phase(phase, len)).filter(|p| p.count > 0 && p.taps > 0) {
                border[0] = border[0].max((phase.taps - 1).saturating_sub(phase.newest));
                border[1] = border[1].max((phase.newest + phase.count).saturating_sub(out));
            }
        }
        border
    }

    /// Where the first window begins in a bordered input; the border may be wider than the padding.
    fn first(&self, x: &Sizes) -> usize {
        (x.before - self.padding) * (x.row() + x.c)
    }

    /// The forward pass on pictures of sizes `x`, bordered, to `z`.
    fn forward(&self, x: Sizes) -> Grid {
        let run = self.size * x.c;
        let first = self.first(&x);
        Grid {
            len: run,
            runs: (0..self.size).map(|ky| Run { x: ky * x.row(), w: ky * run }).collect(),
            size: [self.z.h, self.z.w],
            x: [first, self.stride * x.row(), self.stride * x.c],
            y: [0, self.z.row(), self.z.c],
            channels: self.z.c,
            pitch: padded(self.z.c),
        }
    }

    /// The weights (out, in, size, size) as the forward pass wants them: rows (ky, kx, in) of out.
    fn pack_forward<T: Float>(&self, weight: &[T], workspace: &Arc<Workspace<T>>) -> Buffer<T> {
        let (cin, cout, taps, pitch) = (self.x.c, self.z.c, self.size * self.size, padded(self.z.c));
        let mut packed = rows_of_weights(taps * cin, cout, workspace);
        // Sixteen outputs at a time: what is written then is a whole line of the cache.
        for first in (0..cout).step_by(16) {
            let end = cout.min(first + 16);
            for i in 0..cin {
                for tap in 0..taps {
                    let to = &mut packed[(tap * cin + i) * pitch + first..][..end - first];
                    let from = &weight[(first * cin + i) * taps + tap..];
                    to.iter_mut().zip(from.iter().step_by(cin * taps)).for_each(|(to, from)| *to = *from);
                }
            }
        }
        packed
    }

    /// The input gradient scattered: one grid per kernel row, from an output pixel to the columns and channels of its
    /// window in that row; weights in rows (ky, out) of (kx, in).
    fn scatter<T: Float>(&self, dz: Sizes, weight: &[T], workspace: &Arc<Workspace<T>>) -> (Vec<Grid>, Buffer<T>) {
        let (cin, cout, k) = (self.x.c, self.z.c, self.size);
        let (run, pitch) = (k * cin, padded(k * cin));
        let mut packed = rows_of_weights(k * cout, run, workspace);
        for (ky, o) in (0..k).flat_map(|ky| (0..cout).map(move |o| (ky, o))) {
            let to = &mut packed[(ky * cout + o) * pitch..][..run];
            for (kx, to) in to.chunks_exact_mut(cin).enumerate() {
                let from = weight[o * cin * k * k + ky * k + kx..].iter().step_by(k * k);
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
        }
        let grid = |ky: usize| Grid {
            len: cout,
            runs: vec![Run { x: 0, w: ky * cout }],
            size: [self.z.h, self.z.w],
            x: [dz.at(0, 0), dz.row(), cout],
            y: [ky * self.x.row(), self.stride * self.x.row(), self.stride * cin],
            channels: run,
            pitch,
        };
        ((0..k).map(grid).collect(), packed)
    }

    /// The input gradient: one grid per phase of the stride, each with its weights, rows (ky, kx, out) of in, the taps
    /// of the phase in reverse.
    fn backward<T: Float>(&self, dz: Sizes, weight: &[T], workspace: &Arc<Workspace<T>>) -> (Vec<Grid>, Buffer<T>) {
        let (cin, cout, k, pitch) = (self.x.c, self.z.c, self.size, padded(self.x.c));
        let mut packed = rows_of_weights(k * k * cout, cin, workspace);
        let mut grids = vec![];
        let mut row = 0;
        for (py, px) in (0..self.stride).flat_map(|py| (0..self.stride).map(move |px| (py, px))) {
            let (y, x) = (self.phase(py, self.x.h), self.phase(px, self.x.w));
            let len = x.taps * cout;
            // Where the oldest tap of the first pixel lies in the gradient.
            let start = |axis: &Phase| dz.before + axis.newest + 1 - axis.taps;
            let runs = (0..y.taps).map(|t| Run { x: t * dz.row(), w: row + t * len }).collect::<Vec<_>>();
            for (ty, tx) in (0..y.taps).flat_map(|ty| (0..x.taps).map(move |tx| (ty, tx))) {
                let tap = (py + (y.taps - 1 - ty) * self.stride) * k + px + (x.taps - 1 - tx) * self.stride;
                for o in 0..cout {
                    let to = &mut packed[row * pitch..][..cin];
                    let from = &weight[o * cin * k * k + tap..];
                    to.iter_mut().zip(from.iter().step_by(k * k)).for_each(|(to, from)| *to = *from);
                    row += 1;
                }
            }
            let none = y.taps == 0 || x.taps == 0;
            grids.push(Grid {
                len,
                x: if none { [0; 3] } else { [start(&y) * dz.row() + start(&x) * cout, dz.row(), cout] },
                runs: if none { vec![] } else { runs },
                size: [y.count, x.count],
                y: [y.first * self.x.row() + x.first * cin, self.stride * self.x.row(), self.stride * cin],
                channels: cin,
                pitch,
            });
        }
        (grids, packed)
    }
}

/// Room for `rows` of weights for `channels` channels; zeros where no channel is.
fn rows_of_weights<T: Float>(rows: usize, channels: usize, workspace: &Arc<Workspace<T>>) -> Buffer<T> {
    let mut packed = workspace.take(rows * padded(channels));
    if padded(channels) > channels {
        packed.fill(T::ZERO);
    }
    packed
}

/// See [`Geometry::phase`].
struct Phase {
    first: usize,
    count: usize,
    taps: usize,
    newest: usize,
}

/// Rows of a picture that are worked on together: all of them, unless the pictures are too few for several threads.
pub fn rows_together(sizes: &Sizes) -> usize {
    const TASKS: usize = 8;
    const PIXELS: usize = 64;
    let pieces = (TASKS / sizes.n.max(1)).clamp(1, (sizes.pixels() / PIXELS).max(1));
    // An even number, so that no tile of Winograd's algorithm is cut.
    sizes.h.div_ceil(pieces).next_multiple_of(2)
}

/// z = conv(x), `z` without border; takes the moments of each piece while it is in the cache.
pub fn forward<T: Float>(g: &Geometry, x: &Map<T>, weight: &[T], z: &mut Map<T>, moments: Option<&mut PieceMoments>) {
    let (grid, packed) = (g.forward(x.sizes), g.pack_forward(weight, x.workspace()));
    let winograd = g.in_tiles(&g.z).then(|| Winograd::new(x, &packed, &grid, g.z));
    let mut places = moments.map(PieceMoments::places).into_iter().flatten();
    let tasks = z.pieces(rows_together(&g.z)).into_iter().map(|piece| (piece, places.next())).collect();
    parallel(tasks, |_, (piece, place): (Piece<T>, Option<&mut [f64]>)| {
        let origin = piece.rows.start * g.z.row();
        let (x, y) = (x.picture(piece.n), &mut *piece.values);
        match &winograd {
            Some(winograd) => winograd.convolve(x, y, piece.rows, false),
            None => Contract { grid: &grid, x, w: &packed, y, rows: piece.rows, origin, add: false }.compute(),
        }
        if let Some(place) = place {
            observe(piece.values, g.z.c, place);
        }
    });
}

/// dx = the input gradient, or dx += it; `dx` without border, `dz` with the border that [`Geometry::z_border`] asks for.
pub fn input_gradient<T: Float>(g: &Geometry, dz: &Map<T>, weight: &[T], dx: &mut Map<T>, add: bool) {
    if g.scatters() {
        return scattered_input_gradient(g, dz, weight, dx, add);
    }
    let (grids, packed) = g.backward(dz.sizes, weight, dz.workspace());
    let winograd = g.in_tiles(&g.x).then(|| Winograd::new(dz, &packed, &grids[0], g.x));
    let rows = rows_together(&g.x).next_multiple_of(g.stride);
    parallel(dx.pieces(rows), |_, piece| {
        if let Some(winograd) = &winograd {
            return winograd.convolve(dz.picture(piece.n), piece.values, piece.rows, add);
        }
        for grid in &grids {
            // The grid's rows that lie in the piece: its row i is row `first + i stride` of the picture.
            let first = grid.y[0] / g.x.row();
            let grid_row = |y: usize| y.saturating_sub(first).div_ceil(g.stride).min(grid.size[0]);
            let rows = grid_row(piece.rows.start)..grid_row(piece.rows.end);
            let origin = piece.rows.start * g.x.row();
            let (x, y) = (dz.picture(piece.n), &mut *piece.values);
            Contract { grid, x, w: &packed, y, rows, origin, add }.compute();
        }
    });
}

/// Winograd's algorithm from one map to another.
struct Winograd<T: Float> {
    columns: usize,
    from: Layout,
    to: Layout,
    pitch: usize,
    weights: Buffer<T>,
    workspace: Arc<Workspace<T>>,
}

impl<T: Float> Winograd<T> {
    /// From `x` to maps of sizes `to`, with grid and weights of direct convolution.
    fn new(x: &Map<T>, direct: &[T], grid: &Grid, to: Sizes) -> Self {
        let (inputs, pitch) = (x.sizes.c, grid.pitch);
        let mut weights = x.workspace().take(POINTS * inputs * pitch);
        Weights { w: direct, inputs, pitch, u: &mut weights }.compute();
        Self {
            columns: to.w / 2,
            from: Layout { first: grid.x[0], step: x.sizes.row(), channels: inputs },
            to: Layout { first: 0, step: to.row(), channels: to.c },
            pitch,
            weights,
            workspace: x.workspace().clone(),
        }
    }

    /// Computes the `rows` of a picture's output that `y` holds.
    fn convolve(&self, x: &[T], y: &mut [T], rows: Range<usize>, add: bool) {
        let mut scratch = self.workspace.take(Convolve::<T>::room(self.from.channels, self.to.channels));
        Convolve {
            columns: self.columns,
            tiles: rows.start / 2 * self.columns..rows.end / 2 * self.columns,
            x,
            x_at: self.from,
            u: &self.weights,
            pitch: self.pitch,
            y,
            y_at: self.to,
            origin: rows.start * self.to.step,
            add,
            scratch: &mut scratch,
        }
        .compute();
    }
}

/// [`input_gradient`] without padding: each output pixel's gradient goes to the window it saw.
fn scattered_input_gradient<T: Float>(g: &Geometry, dz: &Map<T>, weight: &[T], dx: &mut Map<T>, add: bool) {
    let (grids, packed) = g.scatter(dz.sizes, weight, dz.workspace());
    parallel(dx.pieces(g.x.h), |_, piece| {
        if !add {
            piece.values.fill(T::ZERO);
        }
        for grid in &grids {
            let (x, y) = (dz.picture(piece.n), &mut *piece.values);
            Contract { grid, x, w: &packed, y, rows: 0..g.z.h, origin: 0, add: true }.compute();
        }
    });
}

/// Pictures whose share of a weight gradient is summed apart, so that threads can work side by side.
const PART: usize = 8;

/// Sums a weight gradient consists of, at most.
const PARTS: usize = 8;

/// Pixels that pass a kernel row after row: enough to hide what a tile costs, few enough to stay in the cache.
const PIXELS: usize = 1024;

/// The weight gradient, (out, in, size, size), written to `gradient` or added to it.
pub fn weight_gradient<T: Float>(g: &Geometry, x: &Map<T>, dz: &Map<T>, gradient: &mut [T], add: bool) {
    let (cin, k) = (g.x.c, g.size);
    let parts = g.x.n.div_ceil(PART).clamp(g.x.n.min(2), PARTS);
    let pictures = g.x.n.div_ceil(parts);
    // Rows (part, out, ky) of (kx, in).
    let mut sums = x.workspace().take(g.x.n.div_ceil(pictures) * g.weights());
    parallel(sums.chunks_mut(g.weights()).collect(), |part, sum| {
        let pictures = part * pictures..g.x.n.min((part + 1) * pictures);
        correlate(g, x, dz, pictures, sum);
    });
    let (first, others) = sums.split_at_mut(g.weights());
    for part in others.chunks_exact(first.len()) {
        first.iter_mut().zip(part).for_each(|(sum, v)| *sum += *v);
    }
    let rows = gradient.chunks_exact_mut(cin * k * k).zip(first.chunks_exact(cin * k * k));
    for (gradient, row) in rows {
        for (tap, row) in row.chunks_exact(cin).enumerate() {
            let to = gradient[tap..].iter_mut().step_by(k * k).zip(row);
            if add {
                to.for_each(|(to, v)| *to += *v);
            } else {
                to.for_each(|(to, v)| *to = *v);
            }
        }
    }
}

/// The weight gradient of some pictures, rows (out, ky) of (kx, in).
fn correlate<T: Float>(g: &Geometry, x: &Map<T>, dz: &Map<T>, pictures: Range<usize>, sum: &mut [T]) {
    let (k, run) = (g.size, g.size * g.x.c);
    let (xs, zs) = (x.sizes, dz.sizes);
    let step = (PIXELS / g.z.pixels()).max(1);
    for first in pictures.clone().step_by(step) {
        for ky in 0..k {
            Outer {
                count: [step.min(pictures.end - first), g.z.h, g.z.w],
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
                add: first > pictures.start,
            }
            .compute();
        }
    }
}
