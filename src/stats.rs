//! Means with 95 % confidence intervals: Student's t for one sample and for pairs, Welch's for two independent samples.

use std::sync::LazyLock;

use serde::Serialize;

/// Fewest runs, or pairs, whose interval says something: two are too often equal by chance, and the interval of two is huge.
pub const ENOUGH: usize = 3;

/// Probability below the upper end of a two-sided 95 % confidence interval.
const UPPER: f64 = 0.975;

/// A mean with standard deviation and 95 % confidence interval, neither of which exists for `n = 1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// Number of values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, with n - 1 in the denominator.
    pub sd: Option<f64>,
    /// Lower end of the mean's 95 % interval.
    pub low: Option<f64>,
    /// Upper end of the mean's 95 % interval.
    pub high: Option<f64>,
}

impl Sample {
    /// The sample of `values`; none where `values` is empty.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        if n == 1 {
            return Some(Self { n, mean, sd: None, low: None, high: None });
        }
        let sd = (variance(values, mean)).sqrt();
        let half = t_quantile(UPPER, n as f64 - 1.0) * sd / (n as f64).sqrt();
        Some(Self { n, mean, sd: Some(sd), low: Some(mean - half), high: Some(mean + half) })
    }

    /// `Some(true)` where the interval lies above 0, `Some(false)` where it lies below, none where it contains 0 or is missing.
    pub fn sign(&self) -> Option<bool> {
        match (self.low?, self.high?) {
            (low, _) if low > 0.0 => Some(true),
            (_, high) if high < 0.0 => Some(false),
            _ => None,
        }
    }
}

/// The difference of the means of `a` and `b`, independent samples of possibly different variances, with its interval
/// (Welch); none where one of them has fewer than two values.
pub fn welch(a: &[f64], b: &[f64]) -> Option<Sample> {
    let (first, second) = (Sample::of(a)?, Sample::of(b)?);
    let part = |s: Sample| Some(s.sd? * s.sd? / s.n as f64);
    let (va, vb) = (part(first)?, part(second)?);
    let squares = va * va / (first.n as f64 - 1.0) + vb * vb / (second.n as f64 - 1.0);
    let mean = first.mean - second.mean;
    let half = if squares > 0.0 { t_quantile(UPPER, (va + vb).powi(2) / squares) * (va + vb).sqrt() } else { 0.0 };
    let n = first.n.min(second.n);
    Some(Sample { n, mean, sd: None, low: Some(mean - half), high: Some(mean + half) })
}

fn variance(values: &[f64], mean: f64) -> f64 {
    values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (values.len() as f64 - 1.0)
}

/// The value below which Student's t with `dof` degrees of freedom lies with probability `p`, 0.5 <= p < 1.
pub fn t_quantile(p: f64, dof: f64) -> f64 {
    /// Cached: curves need the same few quantiles thousands of times.
    static USUAL: LazyLock<Vec<f64>> = LazyLock::new(|| (1..=128).map(|dof| bisect(UPPER, f64::from(dof))).collect());
    match USUAL.get(dof as usize - usize::from(dof >= 1.0)) {
        Some(&t) if p == UPPER && dof >= 1.0 && dof.fract() == 0.0 => t,
        _ => bisect(p, dof),
    }
}

fn bisect(p: f64, dof: f64) -> f64 {
    // Twice the upper tail: I_x(dof/2, 1/2) at x = dof / (dof + t²).
    let tails = |t: f64| incomplete_beta(dof / 2.0, 0.5, dof / (dof + t * t));
    let wanted = 2.0 * (1.0 - p);
    let (mut low, mut high) = (0.0, 1.0);
    while tails(high) > wanted && high < 1e12 {
        (low, high) = (high, 2.0 * high);
    }
    // Until the two are neighbouring floating-point numbers.
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        (low, high) = if tails(middle) > wanted { (middle, high) } else { (low, middle) };
    }
    high
}

/// The regularized incomplete beta function I_x(a, b), by its continued fraction (Lentz's method).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    // The fraction converges fast only on this side of the mean.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp() / a;
    let away_from_0 = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away_from_0(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in (1..=500).map(f64::from) {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / away_from_0(1.0 + term * d);
            c = away_from_0(1.0 + term / c);
            fraction *= c * d;
        }
        if (fraction - before).abs() <= 1e-16 * fraction.abs() {
            break;
        }
    }
    front * fraction
}

/// The logarithm of the gamma function for x > 0, by Lanczos' approximation (g = 7, nine terms).
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let sum = TERMS.iter().zip(1..).fold(0.999_999_999_999_809_9, |sum, (term, i)| sum + term / (x + f64::from(i)));
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}
