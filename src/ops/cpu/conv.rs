//! Convolution: the patches under the kernel as columns of a matrix (im2col), some output rows of one image at a time
//! so that the matrix stays in the cache, then a matrix product. The gradients are the two transposed products.

use super::gemm::{gemm, Matrix};
use super::{for_each_piece, like, map, output, read2, values, with_real, Real};
use crate::ops::check;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use std::marker::PhantomData;
use std::ops::Range;

/// Elements of a matrix of patches, if one output row does not need more.
const PATCHES: usize = 1 << 16;

/// Partial sums a weight gradient is made of: how many threads can work on it.
const PARTS: usize = 8;

pub(in crate::ops) fn conv2d(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let shape = check::Conv::new(x, weight, stride, padding)?;
    with_real!(x, T => {
        x.contiguous()?.apply_op2(&weight.contiguous()?, Conv::<T> { shape, real: PhantomData })
    })
}

struct Conv<T> {
    shape: check::Conv,
    real: PhantomData<T>,
}

/// One row of the matrix of patches within one output row: a row of the image, seen through one tap of the kernel.
struct Line {
    /// Output columns for which the tap lies inside the image; zeros elsewhere.
    inside: Range<usize>,
    /// Position in the image for the first of them.
    start: usize,
}

impl<T: Real> Conv<T> {
    /// Elements of an input image.
    fn image(&self) -> usize {
        self.shape.cin * self.shape.h * self.shape.w
    }

    /// Elements of an output channel.
    fn plane(&self) -> usize {
        self.shape.oh * self.shape.ow
    }

    /// Taps of one output channel's kernel: rows of the matrix of patches.
    fn taps(&self) -> usize {
        self.shape.cin * self.shape.kh * self.shape.kw
    }

    /// Whether the image is its own matrix of patches.
    fn pointwise(&self) -> bool {
        let s = &self.shape;
        (s.kh, s.kw, s.stride, s.padding) == (1, 1, 1, 0)
    }

    /// Output rows worked on together.
    fn rows(&self) -> usize {
        if self.pointwise() {
            return self.shape.oh;
        }
        let most = (PATCHES / (self.taps() * self.shape.ow)).clamp(1, self.shape.oh);
        self.shape.oh.div_ceil(self.shape.oh.div_ceil(most))
    }

    /// The output rows, in the pieces worked on together.
    fn tiles(&self) -> impl Iterator<Item = Range<usize>> {
        let (oh, rows) = (self.shape.oh, self.rows());
        (0..oh).step_by(rows).map(move |row| row..oh.min(row + rows))
    }

    /// Room for the patches of a tile.
    fn scratch(&self) -> Vec<T> {
        vec![T::zero(); if self.pointwise() { 0 } else { self.taps() * self.rows() * self.shape.ow }]
    }

    /// The weights as a matrix (Cout, taps).
    fn weight<'a>(&self, weight: &'a [T]) -> Matrix<'a, T> {
        Matrix::new(weight, self.shape.cout, self.taps(), self.taps())
    }

    /// The output rows `tile` of one image's output (or its gradient) as a matrix (Cout, positions).
    fn output<'a>(&self, output: &'a [T], tile: &Range<usize>) -> Matrix<'a, T> {
        let columns = tile.len() * self.shape.ow;
        Matrix::new(&output[tile.start * self.shape.ow..], self.shape.cout, columns, self.plane())
    }

    /// What tap `tap` sees in output row `oy`; none if it lies in the padding above or below the image.
    fn line(&self, tap: usize, oy: usize) -> Option<Line> {
        let s = &self.shape;
        let (channel, ky, kx) = (tap / (s.kh * s.kw), tap / s.kw % s.kh, tap % s.kw);
        let y = (oy * s.stride + ky).checked_sub(s.padding).filter(|&y| y < s.h)?;
        let first = s.padding.saturating_sub(kx).div_ceil(s.stride).min(s.ow);
        let end = (s.w + s.padding).saturating_sub(kx).div_ceil(s.stride).min(s.ow);
        let x = (first * s.stride + kx).saturating_sub(s.padding);
        (first < end).then(|| Line { inside: first..end, start: (channel * s.h + y) * s.w + x })
    }

    /// The patches of a tile as a matrix (taps, positions), in `room` unless the image itself will do.
    fn patches<'a>(&self, image: &'a [T], tile: &Range<usize>, room: &'a mut [T]) -> Matrix<'a, T> {
        let ow = self.shape.ow;
        let columns = tile.len() * ow;
        if self.pointwise() {
            return Matrix::new(image, self.taps(), columns, columns);
        }
        for (tap, row) in room.chunks_exact_mut(columns).take(self.taps()).enumerate() {
            for (oy, out) in tile.clone().zip(row.chunks_exact_mut(ow)) {
                let Some(Line { inside, start }) = self.line(tap, oy) else {
                    out.fill(T::zero());
                    continue;
                };
                out[..inside.start].fill(T::zero());
                out[inside.end..].fill(T::zero());
                let out = &mut out[inside];
                if self.shape.stride == 1 {
                    out.copy_from_slice(&image[start..start + out.len()]);
                } else {
                    let seen = image[start..].iter().step_by(self.shape.stride);
                    out.iter_mut().zip(seen).for_each(|(out, &v)| *out = v);
                }
            }
        }
        Matrix::new(room, self.taps(), columns, columns)
    }

    /// Adds the patches of a tile to the places in the image they were taken from.
    fn add_patches(&self, image: &mut [T], tile: &Range<usize>, patches: &[T]) {
        let ow = self.shape.ow;
        for (tap, row) in patches.chunks_exact(tile.len() * ow).take(self.taps()).enumerate() {
            for (oy, line) in tile.clone().zip(row.chunks_exact(ow)) {
                let Some(Line { inside, start }) = self.line(tap, oy) else { continue };
                let line = &line[inside];
                if self.shape.stride == 1 {
                    let seen = &mut image[start..start + line.len()];
                    seen.iter_mut().zip(line).for_each(|(v, &d)| *v += d);
                } else {
                    let seen = image[start..].iter_mut().step_by(self.shape.stride);
                    seen.zip(line).for_each(|(v, &d)| *v += d);
                }
            }
        }
    }

    fn forward(&self, x: &[T], weight: &[T]) -> Vec<T> {
        let size = self.shape.cout * self.plane();
        let mut out = vec![T::zero(); self.shape.batch * size];
        for_each_piece(
            &mut out,
            size,
            || self.scratch(),
            |room, n, out| {
                let image = &x[n * self.image()..][..self.image()];
                for tile in self.tiles() {
                    let patches = self.patches(image, &tile, room);
                    gemm(&mut out[tile.start * self.shape.ow..], self.plane(), false, self.weight(weight), patches);
                }
            },
        );
        out
    }

    fn input_gradient(&self, g: &[T], weight: &[T]) -> Vec<T> {
        let size = self.shape.cout * self.plane();
        let mut dx = vec![T::zero(); self.shape.batch * self.image()];
        for_each_piece(
            &mut dx,
            self.image(),
            || self.scratch(),
            |room, n, dx| {
                let g = &g[n * size..][..size];
                for tile in self.tiles() {
                    let columns = tile.len() * self.shape.ow;
                    let g = self.output(g, &tile);
                    if self.pointwise() {
                        gemm(dx, columns, false, self.weight(weight).t(), g);
                    } else {
                        gemm(room, columns, false, self.weight(weight).t(), g);
                        self.add_patches(dx, &tile, room);
                    }
                }
            },
        );
        dx
    }

    fn weight_gradient(&self, g: &[T], x: &[T]) -> Vec<T> {
        let (batch, size) = (self.shape.batch, self.shape.cout * self.plane());
        let each = batch.div_ceil(PARTS);
        let parts = map(batch.div_ceil(each), g.len(), |part| {
            let mut room = self.scratch();
            let mut sum = vec![T::zero(); self.shape.cout * self.taps()];
            for n in part * each..batch.min((part + 1) * each) {
                let (g, image) = (&g[n * size..][..size], &x[n * self.image()..][..self.image()]);
                for tile in self.tiles() {
                    let patches = self.patches(image, &tile, &mut room);
                    gemm(&mut sum, self.taps(), true, self.output(g, &tile), patches.t());
                }
            }
            sum
        });
        let add = |mut sum: Vec<T>, part: Vec<T>| {
            sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
            sum
        };
        parts.into_iter().reduce(add).unwrap_or_default()
    }
}

impl<T: Real> CustomOp2 for Conv<T> {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let s = &self.shape;
        let out = self.forward(values::<T>(x, x_layout)?, values::<T>(weight, weight_layout)?);
        output(out, (s.batch, s.cout, s.oh, s.ow))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _y: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let g = g.contiguous()?;
        let dx = || like(x, read2(&g, weight, |g, weight| self.input_gradient(g, weight))?);
        let dweight = || like(weight, read2(&g, x, |g, x| self.weight_gradient(g, x))?);
        Ok((x.track_op().then(dx).transpose()?, weight.track_op().then(dweight).transpose()?))
    }
}
