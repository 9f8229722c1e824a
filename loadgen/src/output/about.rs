//! What a file says about the run that it comes from.

use serde_json::{Value, json};

use crate::Config;
use crate::clock::WallOffset;

/// Headers whose values are nobody else's business.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// The run that a file comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// Version of loadgen.
    pub version: &'static str,
    /// The [`Config`] as JSON, the body as its length in bytes, and without the values of
    /// headers that hold credentials.
    pub config: Value,
    /// Where the wall clock stood when the files were opened.
    pub wall: WallOffset,
}

impl About {
    /// A run of `config` that begins now.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            config: shown(config),
            wall: WallOffset::measure(),
        }
    }
}

/// The config as a file shows it.
pub(crate) fn shown(config: &Config) -> Value {
    let mut config = config.clone();
    let body_bytes = std::mem::take(&mut config.body).len();
    for (name, value) in &mut config.headers {
        if SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            *value = "(left out)".to_owned();
        }
    }
    // Plain data with text for keys, so this cannot fail.
    let mut shown = serde_json::to_value(&config).unwrap_or_default();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("body");
        fields.insert("body_bytes".to_owned(), json!(body_bytes));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    #[test]
    fn credentials_and_bodies_stay_out_of_files() {
        let mut config = Config::new(Target::parse("http://127.0.0.1/x").expect("good"));
        config.body = b"secret".to_vec();
        config.headers = ["AUTHORIZATION", "Cookie", "X-Kept"]
            .map(|name| (name.to_owned(), format!("value of {name}")))
            .to_vec();
        let about = About::new(&config);
        assert_eq!(about.config["body_bytes"], 6);
        assert_eq!(about.config["targets"][0]["target"]["path"], "/x");
        let text = about.config.to_string();
        assert!(text.contains("value of X-Kept"), "{text}");
        for secret in ["115,101", "value of AUTH", "value of Cookie"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
