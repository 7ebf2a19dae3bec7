//! `shapes`: ten coloured figures on textured backgrounds, drawn by the program.
//!
//! Colours, place, size and tilt are random, so only the outline tells the class: that is beyond a linear model and
//! within reach of a small residual network.

use crate::data::canvas::{between, byte, direction, noise, splits, turn};
use crate::data::{Kind, Origin};
use crate::rng::Stream;

const SIZE: usize = 32;

type Colour = [f32; 3];

/// Figures, 32 x 32, three channels.
pub(super) const KIND: Kind = Kind {
    name: "shapes",
    about: "coloured figures on textured backgrounds, drawn by the program",
    shape: [3, SIZE, SIZE],
    classes: 10,
    counts: [6000, 2000],
    mean: &[0.3797, 0.3873, 0.3855],
    std: &[0.2844, 0.2852, 0.2838],
    augment: false,
    origin: Origin::Generated { draw: || splits(&KIND, draw), digest: "e1a5cf813616f1dc" },
};

fn draw(label: usize, rng: &mut Stream) -> Vec<u8> {
    let ground = texture(rng);
    let [front, back, other] = colours(rng);
    let cover = figure(label, rng);
    let grain = between(rng, 0.01, 0.1);
    let mut pixels = vec![0; 3 * SIZE * SIZE];
    for y in 0..SIZE {
        for x in 0..SIZE {
            let (figure, tint, speck) = (cover(x, y), ground(x as f32, y as f32), grain * noise(rng));
            for c in 0..3 {
                let behind = back[c] + tint * (other[c] - back[c]);
                let value = behind + figure * (front[c] - behind);
                pixels[(c * SIZE + y) * SIZE + x] = byte(value + speck);
            }
        }
    }
    pixels
}

/// A figure's colour and the two of its background, such that the figure is the brightest by at least 0.2.
fn colours(rng: &mut Stream) -> [Colour; 3] {
    let brightness = |c: &Colour| (c[0] + c[1] + c[2]) / 3.0;
    loop {
        let front: Colour = std::array::from_fn(|_| between(rng, 0.0, 1.0));
        let back: Colour = std::array::from_fn(|_| between(rng, 0.0, 1.0));
        let other = back.map(|v| v + between(rng, -0.25, 0.25));
        if brightness(&front) > brightness(&back).max(brightness(&other)) + 0.2 {
            return [front, back, other];
        }
    }
}

/// The mixture of the background's two colours at (x, y): a ramp, stripes or a chequerboard of random direction and period.
fn texture(rng: &mut Stream) -> impl Fn(f32, f32) -> f32 + use<> {
    let (kind, (c, s)) = (rng.below(3), direction(rng));
    let (period, phase) = (between(rng, 3.0, 10.0), between(rng, 0.0, 1.0));
    // A triangular wave of period 1 between 0 and 1.
    let wave = |v: f32| 2.0 * (v - v.floor() - 0.5).abs();
    move |x, y| {
        let (along, across) = (c * x + s * y, c * y - s * x);
        match kind {
            0 => wave(along / 64.0 + phase),
            1 => wave(along / period + phase),
            _ => f32::from((wave(along / period + phase) > 0.5) == (wave(across / period) > 0.5)),
        }
    }
}

/// How much of pixel (x, y) a randomly placed figure covers, by 2 x 2 samples.
fn figure(label: usize, rng: &mut Stream) -> impl Fn(usize, usize) -> f32 + use<> {
    let (c, s) = turn(rng, 0.4);
    let (size, stretch) = (between(rng, 8.0, 12.0), between(rng, 0.9, 1.1));
    let (cx, cy) = (between(rng, 12.5, 19.5), between(rng, 12.5, 19.5));
    move |x, y| {
        let (dx, dy) = (x as f32 + 0.5 - cx, y as f32 + 0.5 - cy);
        if dx * dx + dy * dy > 2.0 * size * size {
            return 0.0;
        }
        let covered = [(-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25)].iter().filter(|(ox, oy)| {
            let (dx, dy) = (dx + ox, dy + oy);
            inside(label, (c * dx + s * dy) / size * stretch, (c * dy - s * dx) / size / stretch)
        });
        covered.count() as f32 / 4.0
    }
}

/// Whether (u, v) lies in the figure, which fills the unit disc about the origin.
fn inside(label: usize, u: f32, v: f32) -> bool {
    let (radius, (au, av)) = (u * u + v * v, (u.abs(), v.abs()));
    // Inner sides of the lines that bound a pentagram: (cos, sin) of 90° + 72° k.
    let sides = [
        (0.0, 1.0),
        (-0.951_056_5, 0.309_017),
        (-0.587_785_3, -0.809_017),
        (0.587_785_3, -0.809_017),
        (0.951_056_5, 0.309_017),
    ];
    match label {
        0 => radius < 0.81,                                                   // disc
        1 => (0.3..0.9).contains(&radius),                                    // ring
        2 => au < 0.72 && av < 0.72,                                          // square
        3 => v < 0.5 && 1.732 * au < v + 1.0,                                 // triangle
        4 => au.min(av) < 0.26 && au.max(av) < 0.95,                          // cross
        5 => sides.iter().filter(|(c, s)| c * u + s * v < 0.32).count() >= 4, // star
        6 => radius < 0.9 && v > 0.05,                                        // half disc
        7 => radius < 0.9 && (u - 0.5) * (u - 0.5) + v * v > 0.45,            // crescent
        8 => au < 0.85 && (0.2..0.65).contains(&av),                          // two bars
        _ => au < 0.8 && av < 0.8 && (u < -0.25 || v > 0.25),                 // angle
    }
}
