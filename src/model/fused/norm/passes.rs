//! Normalization with the residual and ReLU after it, and its gradient.

use std::sync::Arc;

use candle_core::Result;

use super::{MapCoefficients, PieceMoments};
use crate::kernel::norm::{Gradient, Normalize, Reduce, Residual, Rows};
use crate::kernel::{Float, Kernel};
use crate::model::Gradients;
use crate::model::fused::conv::rows_together;
use crate::model::fused::parallel::{Work, parallel};
use crate::model::fused::{Map, Piece, Sizes, Workspace};
use crate::norm::Norm;

impl<T: Float> MapCoefficients<T> {
    /// relu(slope (z - mean) + shift + residual), with the border that the next unit needs.
    pub(super) fn normalize(
        &self,
        z: &Map<T>,
        residual: Option<&Map<T>>,
        border: [usize; 2],
        workspace: &Arc<Workspace<T>>,
    ) -> Map<T> {
        let mut y = Map::new(z.sizes.bordered(border), workspace);
        let sizes = y.sizes;
        parallel(Work::Values(z.values().len()), y.pieces(rows_together(&z.sizes)), |_, piece| {
            let first = clear_border(&piece.rows, &sizes, piece.values);
            let y = (&mut piece.values[first..], sizes.row());
            Normalize {
                rows: rows(&z.sizes, &piece.rows),
                z: (&z.values()[z.sizes.at(piece.n, piece.rows.start)..], z.sizes.row()),
                residual: beside(residual, piece.n, piece.rows.start),
                by: self.slices(piece.n),
                relu: self.rectify,
                raise: self.threshold.as_deref(),
                y,
            }
            .compute();
        });
        y
    }

    /// Its gradient: `g`, dL/dy, becomes that of the sum before the ReLU, which is also the residual's; returns dz,
    /// with that border, and adds the parameters' gradients.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn gradient(
        &self,
        norm: &dyn Norm,
        z: &Map<T>,
        residual: Option<&Map<T>>,
        g: &mut Map<T>,
        border: [usize; 2],
        gradients: &mut Gradients,
        workspace: &Arc<Workspace<T>>,
    ) -> Result<Map<T>> {
        let (work, mut sums) = (Work::Values(z.values().len()), PieceMoments::new(z.sizes));
        let came = self.came(g);
        let tasks: Vec<_> = g.pieces(rows_together(&z.sizes)).into_iter().zip(sums.places()).collect();
        parallel(work, tasks, |_, (piece, out): (Piece<T>, _)| {
            Reduce {
                rows: rows(&z.sizes, &piece.rows),
                g: piece.values,
                z: &z.values()[z.sizes.at(piece.n, piece.rows.start)..],
                residual: beside(residual, piece.n, piece.rows.start),
                by: self.slices(piece.n),
                relu: self.rectify,
                out,
            }
            .compute();
        });
        self.add_threshold(norm, came, &sums, gradients)?;
        let flow = self.gradient_coefficients(norm, &sums, gradients)?;
        let mut dz = Map::new(z.sizes.bordered(border), workspace);
        let sizes = dz.sizes;
        parallel(work, dz.pieces(rows_together(&z.sizes)), |_, piece| {
            let first = clear_border(&piece.rows, &sizes, piece.values);
            let at = z.sizes.at(piece.n, piece.rows.start);
            let [a, b, d, center] = [&self.slope, &flow.b, &flow.d, &flow.center].map(|v| v.of(piece.n));
            Gradient {
                rows: rows(&z.sizes, &piece.rows),
                g: &g.values()[at..],
                z: &z.values()[at..],
                by: [a, b, d, center],
                dz: (&mut piece.values[first..], sizes.row()),
            }
            .compute();
        });
        Ok(dz)
    }
}

pub(super) fn rows(sizes: &Sizes, rows: &std::ops::Range<usize>) -> Rows {
    Rows { rows: rows.len(), pixels: sizes.w, channels: sizes.c }
}

/// The residual from row `y` of image `n` on.
fn beside<T: Float>(residual: Option<&Map<T>>, n: usize, y: usize) -> Residual<'_, T> {
    residual.map(|map| (&map.values()[map.sizes.at(n, y)..], map.sizes.row()))
}

/// Zeros the border around `rows` of a piece; returns the offset of its first pixel.
pub(super) fn clear_border<T: Float>(rows: &std::ops::Range<usize>, sizes: &Sizes, piece: &mut [T]) -> usize {
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
