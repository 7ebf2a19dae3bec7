//! Layout of a convolution's pixels, forward and backward, and its weights in the order that kernels use.

use std::sync::Arc;

use crate::kernel::contract::{Grid, Segment, padded};
use crate::kernel::transpose::Transpose;
use crate::kernel::winograd::Tile;
use crate::kernel::{Float, Kernel};
use crate::model::fused::{Buffer, Sizes, Workspace};

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
    /// Zeros around the image.
    pub padding: usize,
    /// Whether Winograd's algorithm may be used.
    pub winograd: bool,
}

impl Geometry {
    /// The tile size for computing maps of sizes `y` by Winograd's algorithm, if it applies and pays off: 3x3 windows of
    /// stride 1, rows and columns that tiles fill, enough channels for the maps' transforms, enough tiles for the weights'.
    pub(super) fn tile(&self, y: &Sizes) -> Option<Tile> {
        let fits = self.winograd && (self.size, self.stride) == (3, 1) && self.padding <= 2;
        let channels = self.x.c.min(self.z.c);
        // Fewest channels and tiles.
        let worthwhile = |&(tile, fewest, tiles): &(Tile, usize, usize)| {
            let side = tile.outputs();
            let whole = y.h.is_multiple_of(side) && y.w.is_multiple_of(side);
            whole && channels >= fewest && y.n * y.pixels() / (side * side) >= tiles
        };
        let sizes = [(Tile::F4, 16, 16), (Tile::F2, 32, 64)];
        sizes.iter().find(|size| worthwhile(size)).filter(|_| fits).map(|(tile, ..)| *tile)
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.z.c * self.x.c * self.size * self.size
    }

    /// Multiplications of a direct convolution, the border's included, and of each of its gradients.
    pub fn multiplications(&self) -> usize {
        self.z.n * self.z.pixels() * self.weights()
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
    pub(super) fn scatters(&self) -> bool {
        self.padding == 0
    }

    /// The border the output's gradient needs: outputs beyond the map that a window of the input gradient reads.
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

    /// Offset of the first window in a bordered input; the border may be wider than the padding.
    pub(super) fn first(&self, x: &Sizes) -> usize {
        (x.before - self.padding) * (x.row() + x.c)
    }

    /// The forward pass on images of sizes `x`, bordered, to `z`.
    pub(super) fn forward(&self, x: Sizes) -> Grid {
        let run = self.size * x.c;
        let first = self.first(&x);
        Grid {
            len: run,
            segments: (0..self.size).map(|ky| Segment { x: ky * x.row(), w: ky * run }).collect(),
            size: [self.z.h, self.z.w],
            x: [first, self.stride * x.row(), self.stride * x.c],
            y: [0, self.z.row(), self.z.c],
            channels: self.z.c,
            pitch: padded(self.z.c),
        }
    }

    /// The weights (out, in, size, size) in the forward pass's order: rows (ky, kx, in) of out.
    pub(super) fn pack_forward<T: Float>(&self, weight: &[T], workspace: &Arc<Workspace<T>>) -> Buffer<T> {
        let (cin, cout, taps, pitch) = (self.x.c, self.z.c, self.size * self.size, padded(self.z.c));
        let mut packed = rows_of_weights(taps * cin, cout, workspace);
        for i in 0..cin {
            let (from, to) = (&weight[i * taps..], &mut packed[i * pitch..]);
            Transpose { from, from_step: cin * taps, size: [cout, taps], to, to_step: cin * pitch }.compute();
        }
        packed
    }

    /// Calls `f` with each output channel's number and its weights in rows (tap) of in.
    fn taps_of_outputs<T: Float>(&self, weight: &[T], workspace: &Arc<Workspace<T>>, mut f: impl FnMut(usize, &[T])) {
        let (cin, taps) = (self.x.c, self.size * self.size);
        let mut rows = workspace.take(cin * taps);
        for (o, from) in weight.chunks_exact(cin * taps).enumerate() {
            Transpose { from, from_step: taps, size: [cin, taps], to: &mut rows, to_step: cin }.compute();
            f(o, &rows);
        }
    }

    /// The input gradient scattered: one grid per kernel row, from an output pixel to the columns and channels of its
    /// window in that row; weights in rows (ky, out) of (kx, in).
    pub(super) fn scatter<T: Float>(
        &self,
        dz: Sizes,
        weight: &[T],
        workspace: &Arc<Workspace<T>>,
    ) -> (Vec<Grid>, Buffer<T>) {
        let (cin, cout, k) = (self.x.c, self.z.c, self.size);
        let (run, pitch) = (k * cin, padded(k * cin));
        let mut packed = rows_of_weights(k * cout, run, workspace);
        self.taps_of_outputs(weight, workspace, |o, taps| {
            for (ky, row) in taps.chunks_exact(run).enumerate() {
                packed[(ky * cout + o) * pitch..][..run].copy_from_slice(row);
            }
        });
        let grid = |ky: usize| Grid {
            len: cout,
            segments: vec![Segment { x: 0, w: ky * cout }],
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
    pub(super) fn backward<T: Float>(
        &self,
        dz: Sizes,
        weight: &[T],
        workspace: &Arc<Workspace<T>>,
    ) -> (Vec<Grid>, Buffer<T>) {
        let (cin, cout, k, pitch) = (self.x.c, self.z.c, self.size, padded(self.x.c));
        let mut packed = rows_of_weights(k * k * cout, cin, workspace);
        let (mut grids, mut order) = (vec![], vec![]);
        for (py, px) in (0..self.stride).flat_map(|py| (0..self.stride).map(move |px| (py, px))) {
            let (y, x) = (self.phase(py, self.x.h), self.phase(px, self.x.w));
            let len = x.taps * cout;
            // Position of the first pixel's oldest tap in the gradient.
            let start = |axis: &Phase| dz.before + axis.newest + 1 - axis.taps;
            let segments =
                (0..y.taps).map(|t| Segment { x: t * dz.row(), w: order.len() * cout + t * len }).collect::<Vec<_>>();
            for (ty, tx) in (0..y.taps).flat_map(|ty| (0..x.taps).map(move |tx| (ty, tx))) {
                order.push((py + (y.taps - 1 - ty) * self.stride) * k + px + (x.taps - 1 - tx) * self.stride);
            }
            let none = y.taps == 0 || x.taps == 0;
            grids.push(Grid {
                len,
                x: if none { [0; 3] } else { [start(&y) * dz.row() + start(&x) * cout, dz.row(), cout] },
                segments: if none { vec![] } else { segments },
                size: [y.count, x.count],
                y: [y.first * self.x.row() + x.first * cin, self.stride * self.x.row(), self.stride * cin],
                channels: cin,
                pitch,
            });
        }
        self.taps_of_outputs(weight, workspace, |o, taps| {
            for (i, tap) in order.iter().enumerate() {
                packed[(i * cout + o) * pitch..][..cin].copy_from_slice(&taps[tap * cin..][..cin]);
            }
        });
        (grids, packed)
    }
}

/// Room for `rows` of weights for `channels` channels, the padding filled with zeros.
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
