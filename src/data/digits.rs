//! `digits`: handwriting-like numerals, drawn by the program.
//!
//! Each image bends a glyph's control points, draws the curve through them with a pen of random width under a random
//! affine map, adds stray strokes and noise. A linear model cannot undo the distortion; a small convolutional network
//! can.

use crate::data::canvas::{between, byte, noise, splits, turn};
use crate::data::{Kind, Origin};
use crate::rng::Stream;

const SIZE: usize = 28;
/// Points along each segment of a curve.
const INTERPOLATED: usize = 5;

type Point = [f32; 2];

/// Per numeral its variants, per variant its strokes, per stroke its points on a sheet 10 wide and 14 high.
type Glyph = &'static [&'static [&'static [Point]]];

const GLYPHS: [Glyph; 10] = [
    &[&[&[[5., 0.], [1.5, 3.5], [1.5, 10.5], [5., 14.], [8.5, 10.5], [8.5, 3.5], [5., 0.]]]],
    &[
        &[&[[5., 0.], [5., 7.], [5., 14.]]],
        &[&[[2.5, 3.5], [5.5, 0.]], &[[5.5, 0.], [5.5, 14.]]],
        &[&[[2.5, 3.5], [5., 0.]], &[[5., 0.], [5., 14.]], &[[2.5, 14.], [7.5, 14.]]],
    ],
    &[
        &[&[[1., 3.5], [3., 0.5], [7., 0.5], [8.7, 3.7], [7., 7.5], [1., 14.]], &[[1., 14.], [9., 14.]]],
        &[&[[1.5, 3.], [5., 0.], [8.5, 3.], [6., 8.5], [2., 13.5], [1.5, 11.5], [4.5, 12.], [9., 14.]]],
    ],
    &[
        &[
            &[[1., 2.], [4., 0.], [8., 1.], [8.2, 4.], [4.5, 6.5]],
            &[[4.5, 6.5], [9., 8.5], [8.5, 12.5], [4.5, 14.], [1., 12.]],
        ],
        &[
            &[[1., 0.], [8.5, 0.]],
            &[[8.5, 0.], [4.5, 5.5]],
            &[[4.5, 5.5], [9., 8.], [8.5, 12.5], [4.5, 14.], [1., 12.]],
        ],
    ],
    &[
        &[&[[4., 0.], [1.5, 8.5]], &[[1.5, 8.5], [9.5, 8.5]], &[[7., 4.], [6.5, 14.]]],
        &[&[[7., 0.], [1., 9.5]], &[[1., 9.5], [9.5, 9.5]], &[[7., 0.], [7., 14.]]],
    ],
    &[&[
        &[[8.5, 0.], [2., 0.]],
        &[[2., 0.], [1.5, 6.2]],
        &[[1.5, 6.2], [5.5, 5.2], [8.8, 8.5], [7.5, 13.], [4.5, 14.], [1., 12.5]],
    ]],
    &[
        &[&[[8., 0.5], [4., 3.5], [1.5, 8.], [2., 12.5], [5., 14.], [8.3, 12.5], [8.3, 8.8], [5., 7.3], [2., 9.3]]],
        &[&[[5., 0.], [2., 7.], [2., 12.], [5., 14.], [8., 12.], [8., 9.], [5., 7.5], [2., 10.]]],
    ],
    &[
        &[&[[1., 0.], [9., 0.]], &[[9., 0.], [6., 6.], [4., 14.]]],
        &[&[[1., 0.5], [9., 0.]], &[[9., 0.], [5., 14.]], &[[3.5, 7.], [8.5, 7.]]],
    ],
    &[&[
        &[[5., 6.6], [2., 4.5], [2.2, 1.5], [5., 0.], [7.8, 1.5], [8., 4.5], [5., 6.6]],
        &[[5., 6.6], [1.5, 9.5], [1.7, 12.5], [5., 14.], [8.3, 12.5], [8.5, 9.5], [5., 6.6]],
    ]],
    &[
        &[&[[8., 4.7], [5., 6.7], [1.7, 5.2], [1.7, 1.5], [5., 0.], [8., 1.5], [8.5, 6.], [6., 10.5], [2., 13.5]]],
        &[&[[8., 3.], [5., 0.], [2., 2.], [2., 5.], [5., 6.5], [8., 4.]], &[[8., 2.], [8., 14.]]],
    ],
];

/// Numerals, 28 x 28, one channel.
pub(super) const KIND: Kind = Kind {
    name: "digits",
    about: "handwriting-like numerals, drawn by the program",
    shape: [1, SIZE, SIZE],
    classes: 10,
    counts: [6000, 2000],
    mean: &[0.1900],
    std: &[0.2216],
    augment: false,
    origin: Origin::Generated { draw: || splits(&KIND, draw), digest: "f800b29ba1f6c6e7" },
};

fn draw(label: usize, rng: &mut Stream) -> Vec<u8> {
    let mut sheet = [0f32; SIZE * SIZE];
    let variants = GLYPHS[label];
    let place = placement(rng);
    let (radius, ink) = (between(rng, 0.6, 1.6), between(rng, 0.55, 1.0));
    for stroke in variants[rng.below(variants.len())] {
        let bent: Vec<Point> = stroke.iter().map(|&[x, y]| [x + 0.5 * noise(rng), y + 0.5 * noise(rng)]).collect();
        let curve: Vec<Point> = smooth(&bent).into_iter().map(&place).collect();
        for pair in curve.windows(2) {
            line(&mut sheet, pair[0], pair[1], radius, ink);
        }
    }
    for _ in 0..rng.below(3) {
        let from = [between(rng, 0.0, 28.0), between(rng, 0.0, 28.0)];
        let to = [from[0] + 4.0 * noise(rng), from[1] + 4.0 * noise(rng)];
        let (radius, ink) = (between(rng, 0.4, 1.2), between(rng, 0.3, 0.8));
        line(&mut sheet, from, to, radius, ink);
    }
    let (paper, grain) = (between(rng, 0.0, 0.2), between(rng, 0.02, 0.1));
    sheet.iter().map(|&v| byte(paper + (1.0 - paper) * v + grain * noise(rng))).collect()
}

/// A random affine map from the glyph's sheet to the image: scale, rotation, shear and shift.
fn placement(rng: &mut Stream) -> impl Fn(Point) -> Point + use<> {
    let (c, s) = turn(rng, 0.18);
    let shear = between(rng, -0.3, 0.3);
    let (sx, sy) = (between(rng, 0.95, 1.6), between(rng, 1.05, 1.55));
    let (dx, dy) = (between(rng, 11.0, 17.0), between(rng, 11.5, 16.5));
    move |[x, y]| {
        let (x, y) = (sx * (x - 5.0), sy * (y - 7.0));
        let x = x - shear * y;
        [dx + c * x - s * y, dy + s * x + c * y]
    }
}

/// Points along the Catmull-Rom curve through `points`, whose ends are doubled.
fn smooth(points: &[Point]) -> Vec<Point> {
    let at = |i: usize| points[i.saturating_sub(1).min(points.len() - 1)];
    let mut curve = vec![at(0)];
    for i in 1..points.len() {
        let [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
        for step in 1..=INTERPOLATED {
            let t = step as f32 / INTERPOLATED as f32;
            let blend = |k: usize| {
                let linear = c[k] - a[k];
                let square = 2.0 * a[k] - 5.0 * b[k] + 4.0 * c[k] - d[k];
                let cube = 3.0 * (b[k] - c[k]) + d[k] - a[k];
                b[k] + 0.5 * t * (linear + t * (square + t * cube))
            };
            curve.push([blend(0), blend(1)]);
        }
    }
    curve
}

/// Draws a line with a round pen; coverage falls from 1 to 0 over one pixel at its edge, the darker ink wins.
fn line(sheet: &mut [f32], a: Point, b: Point, radius: f32, ink: f32) {
    let reach = radius + 0.5;
    let span = |k: usize| {
        let (low, high) = (a[k].min(b[k]) - reach, a[k].max(b[k]) + reach);
        low.max(0.0) as usize..(high + 1.0).clamp(0.0, SIZE as f32) as usize
    };
    let (ux, uy) = (b[0] - a[0], b[1] - a[1]);
    let length = (ux * ux + uy * uy).max(1e-6);
    for y in span(1) {
        for x in span(0) {
            let (px, py) = (x as f32 + 0.5 - a[0], y as f32 + 0.5 - a[1]);
            let t = ((px * ux + py * uy) / length).clamp(0.0, 1.0);
            let (ex, ey) = (px - t * ux, py - t * uy);
            let coverage = (reach - (ex * ex + ey * ey).sqrt()).clamp(0.0, 1.0);
            let pixel = &mut sheet[y * SIZE + x];
            *pixel = pixel.max(ink * coverage);
        }
    }
}
