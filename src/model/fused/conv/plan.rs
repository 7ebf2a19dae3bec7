//! How a grid of output pixels is computed: directly, or in the tiles of Winograd's algorithm.

use std::ops::Range;
use std::sync::Arc;

use crate::kernel::contract::{Contract, Grid};
use crate::kernel::winograd::{self, Convolve, Layout, Tile};
use crate::kernel::{Float, Kernel};
use crate::model::fused::{Buffer, Map, Sizes, Workspace};

/// Weights in the order of direct convolution and, once a plan needs them, transformed for the tiles of Winograd's algorithm.
pub struct Weights<T: Float> {
    direct: Buffer<T>,
    tiled: [Option<Buffer<T>>; Tile::ALL.len()],
    workspace: Arc<Workspace<T>>,
}

impl<T: Float> Weights<T> {
    /// From weights in the order of direct convolution.
    pub fn new(direct: Buffer<T>) -> Self {
        Self { workspace: direct.workspace().clone(), direct, tiled: Default::default() }
    }

    /// Transforms the weights for `tile`, unless that has been done.
    fn transform(&mut self, tile: Tile, inputs: usize, pitch: usize) {
        self.tiled[tile as usize].get_or_insert_with(|| {
            let mut u = self.workspace.take(winograd::Weights::<T>::room(tile, inputs, pitch));
            winograd::Weights { tile, w: &self.direct, inputs, pitch, u: &mut u }.compute();
            u
        });
    }
}

/// A grid and how to compute it.
pub struct GridPlan {
    /// The grid.
    pub grid: Grid,
    tiles: Option<Tiles>,
}

/// How Winograd's algorithm covers the grid.
struct Tiles {
    tile: Tile,
    /// Tiles in a row.
    columns: usize,
    from: Layout,
    to: Layout,
}

impl GridPlan {
    /// A plan for images like those of `x`, to an output of sizes `to`; in tiles, if `tile` is given.
    pub fn new<T: Float>(grid: Grid, x: &Map<T>, tile: Option<Tile>, to: &Sizes, weights: &mut Weights<T>) -> Self {
        let tiles = tile.map(|tile| {
            weights.transform(tile, x.sizes.c, grid.pitch);
            Tiles {
                tile,
                columns: to.w / tile.outputs(),
                from: Layout { first: grid.x[0], step: x.sizes.row(), channels: x.sizes.c },
                to: Layout { first: 0, step: to.row(), channels: to.c },
            }
        });
        Self { grid, tiles }
    }

    /// Computes `rows` of the grid for the image `x`, or adds them, to `y`, which begins at `origin` of the output.
    pub fn compute<T: Float>(
        &self,
        weights: &Weights<T>,
        x: &[T],
        y: &mut [T],
        rows: Range<usize>,
        origin: usize,
        add: bool,
    ) {
        let tiled = self.tiles.as_ref().and_then(|tiles| Some((tiles, weights.tiled[tiles.tile as usize].as_ref()?)));
        let Some((&Tiles { tile, columns, from, to }, u)) = tiled else {
            return Contract { grid: &self.grid, x, w: &weights.direct, y, rows, origin, add }.compute();
        };
        let mut scratch = weights.workspace.take(Convolve::<T>::room(tile, from.channels, to.channels));
        Convolve {
            tile,
            columns,
            tiles: rows.start / tile.outputs() * columns..rows.end / tile.outputs() * columns,
            x,
            x_at: from,
            u,
            pitch: self.grid.pitch,
            y,
            y_at: to,
            origin,
            add,
            scratch: &mut scratch,
        }
        .compute();
    }
}
