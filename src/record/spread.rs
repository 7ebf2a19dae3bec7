//! Measurements per layer, summarized by quantiles: a few extreme values must not dominate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The distribution of the measurements of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerSpread {
    /// The layer, by its path in the network.
    pub layer: String,
    /// Number of measurements.
    pub count: usize,
    /// The 10th percentile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The 90th percentile.
    pub high: f64,
    /// The maximum.
    pub largest: f64,
}

/// The spread of every layer, in the order in which the layers first appear; non-finite values are left out.
pub fn by_layer<'a>(measurements: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<LayerSpread> {
    let (mut order, mut values): (Vec<&str>, BTreeMap<&str, Vec<f64>>) = Default::default();
    for (layer, value) in measurements.into_iter().filter(|(_, value)| value.is_finite()) {
        values.entry(layer).or_insert_with(|| {
            order.push(layer);
            vec![]
        });
        values.entry(layer).and_modify(|all| all.push(value));
    }
    let spread = |layer: &str| {
        let mut sorted = values.remove(layer)?;
        sorted.sort_by(f64::total_cmp);
        let at = |part| quantile(&sorted, part);
        let (low, median, high, largest) = (at(0.1)?, at(0.5)?, at(0.9)?, at(1.0)?);
        Some(LayerSpread { layer: layer.to_string(), count: sorted.len(), low, median, high, largest })
    };
    order.into_iter().filter_map(spread).collect()
}

/// One number for a network: the median of its layers' medians.
pub fn median_of_medians(layers: &[LayerSpread]) -> Option<f64> {
    let mut medians: Vec<f64> = layers.iter().map(|layer| layer.median).collect();
    medians.sort_by(f64::total_cmp);
    quantile(&medians, 0.5)
}

/// The `part`-quantile of the sorted values, interpolated linearly.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * sorted.len().checked_sub(1)? as f64;
    let below = place.floor() as usize;
    let (low, high) = (sorted.get(below)?, sorted.get(below + 1).or(sorted.get(below))?);
    Some(low + (high - low) * (place - below as f64))
}

#[cfg(test)]
mod tests {
    use super::{by_layer, median_of_medians};

    #[test]
    fn one_layer_and_one_measurement_dominate_nothing() {
        let calm = (0..11).flat_map(|i| [("bn2", 0.1 * i as f64), ("bn1", 0.2)]);
        let layers = by_layer(calm.chain([("bn1", 4000.0), ("bn1", f64::NAN), ("wild", 500.0)]));
        let names: Vec<&str> = layers.iter().map(|layer| layer.layer.as_str()).collect();
        assert_eq!(names, ["bn2", "bn1", "wild"]);
        let [bn2, bn1, _] = &layers[..] else { panic!("three layers") };
        for (found, expected) in [(bn2.low, 0.1), (bn2.median, 0.5), (bn2.high, 0.9), (bn2.largest, 1.0)] {
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
        assert_eq!((bn1.count, bn1.median, bn1.high, bn1.largest), (12, 0.2, 0.2, 4000.0));
        assert_eq!(median_of_medians(&layers), Some(0.5));
        assert_eq!(median_of_medians(&[]), None);
    }
}
