//! What OpenTelemetry's own variables say, and who sends.

use std::{env, net::SocketAddr};

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;

const SERVICE_NAME: Key = Key::from_static_str("service.name");

/// Whether metrics and spans are to be sent: `none` says that they are not. Other values would
/// choose exporters that there are none of here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signals {
    pub(super) metrics: bool,
    pub(super) spans: bool,
}

impl Signals {
    pub(super) fn from_environment() -> Self {
        let is_on = |name| !env::var(name).is_ok_and(|value| is_none(&value));
        Self {
            metrics: is_on("OTEL_METRICS_EXPORTER"),
            spans: is_on("OTEL_TRACES_EXPORTER"),
        }
    }
}

fn is_none(value: &str) -> bool {
    value.trim().eq_ignore_ascii_case("none")
}

/// Who sends: an observer that listens there, if it does. `OTEL_SERVICE_NAME` and
/// `OTEL_RESOURCE_ATTRIBUTES` take precedence.
pub(super) fn resource(listen: Option<SocketAddr>) -> Resource {
    let host = nix::unistd::gethostname().ok();
    let host = host.map(|name| name.to_string_lossy().into_owned());
    completed(&Resource::builder().build(), host, listen)
}

/// What the user named, and what was left out.
fn completed(named: &Resource, host: Option<String>, listen: Option<SocketAddr>) -> Resource {
    let mut builder = Resource::builder_empty();
    // Collectors tell senders apart by it: hosts, and observers of one host.
    if let (Some(host), Some(listen)) = (&host, listen) {
        let instance = format!("{host}:{listen}");
        builder = builder.with_attribute(KeyValue::new("service.instance.id", instance));
    }
    if let Some(host) = host {
        builder = builder.with_attribute(KeyValue::new("host.name", host));
    }
    // Later ones take precedence.
    builder = builder.with_attributes(
        named
            .iter()
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone())),
    );
    // The SDK has a name for what nobody named.
    let is_named = named.get_ref(&SERVICE_NAME).is_some_and(|name| {
        let name = name.as_str();
        !name.is_empty() && !name.starts_with("unknown_service")
    });
    if !is_named {
        builder = builder.with_service_name("httpd");
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(of: &Resource, key: &'static str) -> Option<String> {
        let value = of.get_ref(&Key::from_static_str(key))?;
        Some(value.as_str().into_owned())
    }

    fn sender(named: &[(&'static str, &'static str)]) -> Resource {
        let named = named.iter().map(|(key, value)| KeyValue::new(*key, *value));
        let named = Resource::builder_empty().with_attributes(named).build();
        let listen = SocketAddr::from(([127, 0, 0, 1], 9117));
        completed(&named, Some("web1".to_owned()), Some(listen))
    }

    #[test]
    fn what_the_user_did_not_name_has_a_name() {
        for nobody in ["unknown_service", "unknown_service:mpm-observer", ""] {
            let sender = sender(&[("service.name", nobody), ("peer.service.name", "x")]);
            let get = |key| attribute(&sender, key);
            assert_eq!(get("service.name").as_deref(), Some("httpd"));
            assert_eq!(get("peer.service.name").as_deref(), Some("x"));
            assert_eq!(get("host.name").as_deref(), Some("web1"));
            let instance = get("service.instance.id");
            assert_eq!(instance.as_deref(), Some("web1:127.0.0.1:9117"));
        }
    }

    #[test]
    fn what_the_user_named_keeps_its_name() {
        let named = [
            ("service.name", "web"),
            ("service.instance.id", "one"),
            ("host.name", "other"),
        ];
        let sender = sender(&named);
        for (key, value) in named {
            assert_eq!(attribute(&sender, key).as_deref(), Some(value));
        }
    }

    #[test]
    fn two_without_a_host_or_an_address_are_not_told_to_be_one() {
        let nobody = Resource::builder_empty().build();
        for (host, listen) in [
            (Some("web1".to_owned()), None),
            (None, Some(SocketAddr::from(([127, 0, 0, 1], 9117)))),
        ] {
            let sender = completed(&nobody, host, listen);
            assert_eq!(attribute(&sender, "service.instance.id"), None);
        }
    }

    #[test]
    fn only_none_turns_a_signal_off() {
        assert!(is_none("none") && is_none(" None "));
        for other in ["", "otlp", "otlp,none", "prometheus"] {
            assert!(!is_none(other), "{other}");
        }
    }
}
