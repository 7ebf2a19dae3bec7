//! Settings from a text.

use mbn::config::{Config, Layers};

pub fn resolve(text: &str) -> Result<Config, String> {
    Layers::new().text("x.toml", text).and_then(|layers| layers.resolve()).map_err(|e| e.to_string())
}

#[track_caller]
pub fn refused(text: &str, parts: &[&str]) {
    let message = resolve(text).expect_err(text);
    for part in parts {
        assert!(message.contains(part), "`{text}`: `{part}` is not in: {message}");
    }
}
