//! Differentiable operations candle lacks, does slowly or gets wrong.
