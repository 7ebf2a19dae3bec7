//! Our layers, loss, optimizer, schedules and networks against PyTorch's, in f64.
//!
//! `scripts/golden.py` computed the values in `tests/golden/*.json`; the tests do not need PyTorch.

#[path = "golden/layers.rs"]
mod layers;
#[path = "golden/memory.rs"]
mod memory;
#[path = "golden/networks.rs"]
mod networks;
#[path = "golden/normalizers.rs"]
mod normalizers;
#[path = "golden/support.rs"]
mod support;
#[path = "golden/training.rs"]
mod training;
