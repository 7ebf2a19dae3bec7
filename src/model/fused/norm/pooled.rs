//! Normalization with ReLU and the maximum over 2x2 windows after it, and its gradient.

use std::sync::Arc;

use candle_core::{Result, bail};

use super::passes::{clear_border, rows};
use super::{MapCoefficients, PieceMoments};
use crate::kernel::pooled::{Gradient, Normalize, Reduce};
use crate::kernel::{Float, Kernel};
use crate::model::Gradients;
use crate::model::fused::conv::rows_together;
use crate::model::fused::parallel::{Work, parallel};
use crate::model::fused::{Map, Sizes, Workspace};
use crate::norm::Norm;

impl<T: Float> MapCoefficients<T> {
    /// The maxima of relu(slope (z - mean) + shift), with the border that the next unit needs.
    pub(super) fn normalize_pooled(
        &self,
        z: &Map<T>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Map<T>> {
        let Sizes { h, w, .. } = z.sizes;
        if h.min(w) < 2 {
            bail!("max_pool2d: a window of 2 x 2 does not fit {h}x{w}");
        }
        let mut y = Map::new(z.sizes.pooled().bordered(border), workspace);
        let sizes = y.sizes;
        // Pieces of z have an even number of rows, so that they cut no window.
        let pieces = y.pieces(rows_together(&z.sizes) / 2);
        parallel(Work::Values(z.values().len()), pieces, |_, piece| {
            let first = clear_border(&piece.rows, &sizes, piece.values);
            Normalize {
                rows: rows(&z.sizes, &(2 * piece.rows.start..2 * piece.rows.end)),
                z: &z.values()[z.sizes.at(piece.n, 2 * piece.rows.start)..],
                by: self.slices(piece.n),
                raise: self.threshold.as_deref(),
                y: (&mut piece.values[first..], sizes.row()),
            }
            .compute();
        });
        Ok(y)
    }

    /// Its gradient, given that with respect to the maxima: dz, with that border; adds the parameters' gradients.
    pub(super) fn gradient_pooled(
        &self,
        norm: &dyn Norm,
        z: &Map<T>,
        g: &Map<T>,
        border: [usize; 2],
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Map<T>> {
        let (together, work) = (rows_together(&z.sizes), Work::Values(z.values().len()));
        let from = |n: usize, row: usize| (&z.values()[z.sizes.at(n, row)..], &g.values()[g.sizes.at(n, row / 2)..]);
        let mut sums = PieceMoments::new(z.sizes);
        let tasks = z.sizes.cuts(together).into_iter().zip(sums.places()).collect();
        parallel(work, tasks, |_, ((n, cut), out)| {
            let (z_from, g) = from(n, cut.start);
            Reduce { rows: rows(&z.sizes, &cut), g, z: z_from, by: self.slices(n), out }.compute();
        });
        self.add_threshold(norm, self.came(g), &sums, gradients)?;
        let flow = self.gradient_coefficients(norm, &sums, gradients)?;
        let mut dz = Map::new(z.sizes.bordered(border), workspace);
        let sizes = dz.sizes;
        parallel(work, dz.pieces(together), |_, piece| {
            let first = clear_border(&piece.rows, &sizes, piece.values);
            let (z_from, g) = from(piece.n, piece.rows.start);
            Gradient {
                rows: rows(&z.sizes, &piece.rows),
                g,
                z: z_from,
                by: self.slices(piece.n),
                flow: [&flow.b, &flow.d, &flow.center].map(|v| v.of(piece.n)),
                dz: (&mut piece.values[first..], sizes.row()),
            }
            .compute();
        });
        Ok(dz)
    }
}
