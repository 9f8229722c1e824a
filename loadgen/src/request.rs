//! The request, serialised once for the whole run.

use crate::{Config, Target};

/// The bytes that are sent for every request for `target`.
pub(crate) fn serialise(config: &Config, target: &Target) -> Vec<u8> {
    let asked_for = match config.proxy {
        Some(_) => target.url(),
        None => target.path.clone(),
    };
    let mut head = format!("{} {asked_for} HTTP/1.1\r\n", config.method);
    let mut line = |name: &str, value: &str| {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    };
    let given = |name: &str| {
        config
            .headers
            .iter()
            .any(|(header, _)| header.eq_ignore_ascii_case(name))
    };
    if !given("Host") {
        line("Host", &target.host_header());
    }
    if !given("User-Agent") {
        line("User-Agent", concat!("loadgen/", env!("CARGO_PKG_VERSION")));
    }
    if !given("Accept") {
        line("Accept", "*/*");
    }
    if !config.keep_alive && !given("Connection") {
        line("Connection", "close");
    }
    if !config.body.is_empty() {
        line("Content-Length", &config.body.len().to_string());
    }
    for (name, value) in &config.headers {
        line(name, value);
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&config.body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    fn text(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::new(Target::parse("http://127.0.0.1:81/x?y").expect("good"));
        change(&mut config);
        String::from_utf8(serialise(&config, config.target())).expect("ASCII")
    }

    #[test]
    fn a_plain_request_asks_for_a_connection_of_its_own() {
        assert_eq!(
            text(|_| {}),
            concat!(
                "GET /x?y HTTP/1.1\r\nHost: 127.0.0.1:81\r\nUser-Agent: loadgen/",
                env!("CARGO_PKG_VERSION"),
                "\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            )
        );
        assert!(!text(|c| c.keep_alive = true).contains("Connection"));
    }

    #[test]
    fn a_proxy_is_asked_for_the_whole_url() {
        let text = text(|c| c.proxy = Some("127.0.0.9:3128".parse().expect("address")));
        assert!(text.starts_with("GET http://127.0.0.1:81/x?y HTTP/1.1\r\nHost: 127.0.0.1:81\r\n"));
    }

    #[test]
    fn given_headers_replace_the_usual_ones() {
        let text = text(|c| {
            c.headers = vec![
                ("host".into(), "example.org".into()),
                ("USER-AGENT".into(), "me".into()),
                ("X-A".into(), "b".into()),
            ];
        });
        assert_eq!(text.to_ascii_lowercase().matches("host:").count(), 1);
        assert!(text.contains("host: example.org\r\n") && text.contains("X-A: b\r\n"));
        assert!(!text.contains("loadgen/"));
    }

    #[test]
    fn a_body_follows_with_its_length() {
        let text = text(|c| {
            c.method = "POST".into();
            c.body = b"a=b".to_vec();
        });
        assert!(text.starts_with("POST ") && text.contains("Content-Length: 3\r\n"));
        assert!(text.ends_with("\r\n\r\na=b"));
    }
}
