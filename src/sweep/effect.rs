//! Settings of a sweep file that no run uses.

use crate::Result;
use crate::config::{Config, Layers};

/// A setting at the place where it is written.
struct Setting {
    key: String,
    origin: String,
    is_used: bool,
    is_default: bool,
    /// Why it has no effect; several reasons where that depends on the run.
    reasons: Vec<String>,
}

/// The settings that have no effect in any of these runs (as given, and resolved), each in a sentence with its place;
/// those that only spell out a default are left out.
///
/// # Errors
/// A configuration cannot be written as TOML; resolved ones can.
pub(super) fn unused<'a>(runs: impl Iterator<Item = (&'a Layers, &'a Config)>) -> Result<Vec<String>> {
    let mut settings = Vec::<Setting>::new();
    for (layers, config) in runs {
        let idle = layers.without_effect(config)?;
        for (key, origin) in layers.given() {
            let place = settings.iter().position(|known| known.key == key && known.origin == origin);
            let place = place.unwrap_or_else(|| {
                let (key, origin) = (key.clone(), origin.to_string());
                settings.push(Setting { key, origin, is_used: false, is_default: true, reasons: vec![] });
                settings.len() - 1
            });
            let setting = &mut settings[place];
            match idle.iter().find(|idle| idle.key == key && idle.origin == origin) {
                None => setting.is_used = true,
                Some(idle) => {
                    setting.is_default &= idle.is_default;
                    if !setting.reasons.contains(&idle.why) {
                        setting.reasons.push(idle.why.clone());
                    }
                }
            }
        }
    }
    let unused = settings.iter().filter(|setting| !setting.is_used && !setting.is_default);
    Ok(unused.map(Setting::sentence).collect())
}

impl Setting {
    fn sentence(&self) -> String {
        let Self { key, origin, reasons, .. } = self;
        match &reasons[..] {
            [why] => format!("{origin}: `{key}` has no effect in any run: {why}"),
            _ => format!("{origin}: `{key}` has no effect in any run"),
        }
    }
}
