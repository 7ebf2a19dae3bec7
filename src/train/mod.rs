//! Training: the loop, one step (with Double-Forward), optimizer, schedule, checkpoints.
