//! Axes: scales, ranges, ticks and their labels.

/// How values map to positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Linear.
    Linear,
    /// Linear, with labels at whole numbers only.
    Count,
    /// Logarithmic to base 2, for batch sizes.
    Log2,
    /// Logarithmic to base 10.
    Log10,
    /// Fractions, logarithmic in 1 minus the value: 90 %, 99 % and 99.9 % are equally spaced.
    Error,
}

/// Smallest error that an axis by [`Scale::Error`] shows.
const LEAST_ERROR: f64 = 1e-4;

/// Fractions that an axis by [`Scale::Error`] may label, the rounder ones first.
const SHARES: [f64; 20] = [
    0.5, 0.9, 0.99, 0.999, 0.0, 0.8, 0.95, 0.98, 0.995, 0.998, 0.7, 0.2, 0.97, 0.6, 0.4, 0.85, 0.93, 0.985, 0.993,
    0.997,
];

impl Scale {
    /// Maps a value to a linear axis.
    pub fn stretch(self, value: f64) -> f64 {
        match self {
            Self::Linear | Self::Count => value,
            Self::Log2 => value.max(f64::MIN_POSITIVE).log2(),
            Self::Log10 => value.max(f64::MIN_POSITIVE).log10(),
            Self::Error => -(1.0 - value).max(LEAST_ERROR).log10(),
        }
    }

    /// The inverse of [`Scale::stretch`].
    pub fn back(self, place: f64) -> f64 {
        match self {
            Self::Linear | Self::Count => place,
            Self::Log2 => place.exp2(),
            Self::Log10 => 10f64.powf(place),
            Self::Error => 1.0 - 10f64.powf(-place),
        }
    }
}

/// An axis with its range.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Name and unit.
    pub title: String,
    /// How values map to positions.
    pub scale: Scale,
    /// The smallest value shown.
    pub min: f64,
    /// The largest value shown.
    pub max: f64,
    /// Labels are the values times this (100 for percentages).
    pub factor: f64,
}

impl Axis {
    /// The position of `value`: 0 at the beginning of the axis, 1 at its end.
    pub fn place(&self, value: f64) -> f64 {
        let [value, min, max] = [value, self.min, self.max].map(|x| self.scale.stretch(x));
        (value - min) / (max - min)
    }

    /// Ticks: values with their labels.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => self.linear_ticks(0.0),
            Scale::Count => self.linear_ticks(1.0),
            Scale::Log2 => self.power_ticks(2.0, &[1.0], 9),
            Scale::Log10 if self.max / self.min < 100.0 => self.power_ticks(10.0, &[1.0, 2.0, 5.0], 9),
            Scale::Log10 => self.power_ticks(10.0, &[1.0], 7),
            Scale::Error => self.share_ticks(),
        }
    }

    /// As many of [`SHARES`] as have room for their labels.
    fn share_ticks(&self) -> Vec<(f64, String)> {
        let mut taken: Vec<f64> = vec![];
        for share in SHARES.into_iter().filter(|share| (self.min - 1e-9..=self.max + 1e-9).contains(share)) {
            if taken.iter().all(|other| (self.place(share) - self.place(*other)).abs() > 0.09) {
                taken.push(share);
            }
        }
        taken.into_iter().map(|share| (share, plain(share * self.factor))).collect()
    }

    fn linear_ticks(&self, least: f64) -> Vec<(f64, String)> {
        let (min, max) = (self.min * self.factor, self.max * self.factor);
        let rough = (max - min) / 6.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|step| *step >= rough)
            .unwrap_or(rough)
            .max(least);
        let decimals = (-(step * 1.000_001).log10().floor()).clamp(0.0, 12.0) as usize;
        let (first, last) = ((min / step - 1e-9).ceil() as i64, (max / step + 1e-9).floor() as i64);
        let ticks = (first..=last).map(|i| i as f64 * step);
        ticks.map(|value| (value / self.factor, label(value, decimals))).collect()
    }

    fn power_ticks(&self, base: f64, multiples: &[f64], most: usize) -> Vec<(f64, String)> {
        let exponent = |x: f64| x.log(base);
        let (first, last) = ((exponent(self.min) - 1.0).floor() as i32, (exponent(self.max) + 1e-9).floor() as i32);
        let values = (first..=last).flat_map(|e| multiples.iter().map(move |m| m * base.powi(e)));
        let values: Vec<f64> = values.filter(|x| (self.min * 0.999..=self.max * 1.001).contains(x)).collect();
        let every = values.len().div_ceil(most).max(1);
        values.into_iter().step_by(every).map(|x| (x, plain(x))).collect()
    }
}

/// A label with that many decimals; thousands and millions are abbreviated to save space.
fn label(value: f64, decimals: usize) -> String {
    match value.abs() {
        size if size >= 1e9 => plain(value),
        size if size >= 1e6 => format!("{}M", plain(value / 1e6)),
        size if size >= 1e4 => format!("{}k", plain(value / 1e3)),
        _ => format!("{:.decimals$}", value + 0.0),
    }
}

/// A number without trailing zeros.
fn plain(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
