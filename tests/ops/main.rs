//! The differentiable operations through the public API: values against plain loops and candle's own operations,
//! gradients against finite differences, bitwise the same on any number of threads, errors instead of panics.

mod conv;
mod errors;
mod groups;
mod linear;
mod loss;
mod norm;
mod pool;
mod support;
mod threads;
mod updates;
