//! Axes: scales, ranges, ticks and their labels.

/// How values become distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By doublings, for batch sizes.
    Log2,
    /// By powers of ten.
    Log10,
}

/// An axis with its range.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Name and unit.
    pub title: String,
    /// How values become distances.
    pub scale: Scale,
    /// The smallest value shown.
    pub min: f64,
    /// The largest value shown.
    pub max: f64,
    /// Labels are the values times this (100 for percentages).
    pub factor: f64,
}

impl Axis {
    /// Where `value` lies, 0 at the beginning and 1 at the end.
    pub fn place(&self, value: f64) -> f64 {
        let [value, min, max] = [value, self.min, self.max].map(|x| self.stretch(x));
        (value - min) / (max - min)
    }

    fn stretch(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log2 => value.max(f64::MIN_POSITIVE).log2(),
            Scale::Log10 => value.max(f64::MIN_POSITIVE).log10(),
        }
    }

    /// Values worth a label, with the label.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => self.linear_ticks(),
            Scale::Log2 => self.power_ticks(2.0, &[1.0], 9),
            Scale::Log10 if self.max / self.min < 100.0 => self.power_ticks(10.0, &[1.0, 2.0, 5.0], 9),
            Scale::Log10 => self.power_ticks(10.0, &[1.0], 7),
        }
    }

    fn linear_ticks(&self) -> Vec<(f64, String)> {
        let (min, max) = (self.min * self.factor, self.max * self.factor);
        let rough = (max - min) / 6.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough).unwrap_or(rough);
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

/// A label with that many decimals; thousands and millions are abbreviated, since labels stand side by side.
fn label(value: f64, decimals: usize) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", plain(value / 1e6)),
        size if size >= 1e4 => format!("{}k", plain(value / 1e3)),
        _ => format!("{:.decimals$}", value + 0.0),
    }
}

/// A number without superfluous digits.
fn plain(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
