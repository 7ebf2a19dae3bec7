//! GFLOP/s of the kernels on one thread, by instruction set: `cargo bench --bench kernels`.

use std::time::Instant;

use mbn::kernel::contract::{Contract, Grid, Segment, padded};
use mbn::kernel::outer::{Outer, Pixels};
use mbn::kernel::winograd::{Convolve, Layout, Tile, Weights};
use mbn::kernel::{Isa, Kernel};

/// Seconds per call, in the fastest of many batches of ten calls.
fn fastest(mut f: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut best = f64::INFINITY;
    while begun.elapsed().as_secs_f64() < 0.2 {
        let start = Instant::now();
        (0..10).for_each(|_| f());
        best = best.min(start.elapsed().as_secs_f64() / 10.0);
    }
    best
}

fn main() {
    println!("isa,kernel,channels,side,gflops"); // weights: billions of values per second
    for isa in Isa::ALL {
        if !isa.force() {
            continue;
        }
        for (c, side) in [(16, 32), (32, 16), (64, 8), (20, 12)] {
            let flops = (2 * side * side * 9 * c * c) as f64;
            let row = (side + 2) * c;
            let x = vec![0.5f32; (side + 2) * row];
            let pitch = padded(c);
            let w = vec![0.1f32; 9 * c * pitch];
            let mut y = vec![0f32; side * side * c];
            let segments = (0..3).map(|ky| Segment { x: ky * row, w: ky * 3 * c }).collect();
            let (x_at, y_at) = ([0, row, c], [0, side * c, c]);
            let grid = Grid { len: 3 * c, segments, size: [side, side], x: x_at, y: y_at, channels: c, pitch };
            let time = fastest(|| {
                Contract { grid: &grid, x: &x, w: &w, y: &mut y, rows: 0..side, origin: 0, add: false }.compute()
            });
            println!("{isa:?},contract,{c},{side},{:.1}", flops / time / 1e9);
            let j = 3 * c;
            let mut gradient = vec![0f32; c * 3 * j];
            let time = fastest(|| {
                for ky in 0..3 {
                    Outer {
                        count: [1, side, side],
                        g: &y,
                        g_at: Pixels { first: 0, steps: [0, side * c, c] },
                        x: &x,
                        x_at: Pixels { first: ky * row, steps: [0, row, c] },
                        w: &mut gradient[ky * j..],
                        size: [c, j],
                        pitch: 3 * j,
                        add: false,
                    }
                    .compute();
                }
            });
            println!("{isa:?},outer,{c},{side},{:.1}", flops / time / 1e9);
            // Rates of Winograd's algorithm count the multiplications of a direct convolution.
            let x_at = Layout { first: 0, step: row, channels: c };
            let y_at = Layout { first: 0, step: side * c, channels: c };
            for tile in Tile::ALL {
                let columns = side / tile.outputs();
                let mut u = vec![0f32; Weights::<f32>::room(tile, c, pitch)];
                let time = fastest(|| Weights { tile, w: &w, inputs: c, pitch, u: &mut u }.compute());
                println!("{isa:?},winograd {tile:?} weights,{c},{side},{:.1}", (9 * c * c) as f64 / time / 1e9);
                let mut scratch = vec![0f32; Convolve::<f32>::room(tile, c, c)];
                let time = fastest(|| {
                    let (x, y, u, scratch) = (&x[..], &mut y[..], &u[..], &mut scratch[..]);
                    let tiles = 0..columns * columns;
                    Convolve { tile, columns, tiles, x, x_at, u, pitch, y, y_at, origin: 0, add: false, scratch }
                        .compute()
                });
                println!("{isa:?},winograd {tile:?},{c},{side},{:.1}", flops / time / 1e9);
            }
        }
    }
}
