use super::*;
use crate::cli::args::Args;
use crate::cli::args::tests::{config, refusal};
use clap::Parser;

const URL: &str = "http://127.0.0.1/";

fn good(flags: &str) -> Config {
    config(&format!("{flags} {URL}")).expect(flags)
}

fn args(words: &[&str]) -> Args {
    Args::try_parse_from([&["loadgen"], words, &[URL]].concat()).expect("good")
}

fn header_of<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    let found = config.headers.iter().find(|(n, _)| n == name);
    found.map(|(_, value)| value.as_str())
}

#[test]
fn every_letter_of_ab_is_an_option() {
    // What `ab -h` of 2.4 lists.
    const PLAIN: &str = "wikdSqlrI";
    const WITH_VALUE: [(&str, &str); 22] = [
        ("-n", "5"),
        ("-c", "2"),
        ("-t", "5"),
        ("-s", "5"),
        ("-b", "8192"),
        ("-B", "127.0.0.1"),
        ("-p", "/dev/null"),
        ("-u", "/dev/null"),
        ("-T", "a/b"),
        ("-v", "2"),
        ("-x", "border=1"),
        ("-y", "a=b"),
        ("-z", "a=b"),
        ("-C", "a=b"),
        ("-H", "A: b"),
        ("-A", "a:b"),
        ("-P", "a:b"),
        ("-X", "127.0.0.1:3128"),
        ("-g", "file"),
        ("-e", "file"),
        ("-m", "GET"),
        ("-Z", "suite"),
    ];
    for letter in PLAIN.chars() {
        args(&[&format!("-{letter}")]);
    }
    for (flag, value) in WITH_VALUE
        .into_iter()
        .chain([("-f", "TLS1.2"), ("-E", "file")])
    {
        args(&[flag, value]);
        args(&[&format!("{flag}{value}")]);
    }
    for (flag, kind) in [
        ("-h", clap::error::ErrorKind::DisplayHelp),
        ("-V", clap::error::ErrorKind::DisplayVersion),
    ] {
        let error = Args::try_parse_from(["loadgen", flag]).expect_err("ends the program");
        assert_eq!((error.kind(), error.exit_code()), (kind, 0));
    }
}

#[test]
fn the_tutorials_commands_are_understood_word_by_word() {
    let first = config("-n 10000 -c 1000 http://127.0.0.1/").expect("good");
    assert_eq!((first.requests, first.concurrency), (Some(10_000), 1000));
    assert!(!first.keep_alive);
    let second = config("-k -n 5000 -c 500 http://127.0.0.1/").expect("good");
    assert!(second.keep_alive);
    let third = config("-n 1000 -c 100 http://127.0.0.1/10MB.bin").expect("good");
    assert_eq!(third.target().path, "/10MB.bin");
    // ab takes http:// for granted, letters in one word, and the last of a repeated option.
    let short = config("-kqn5 -n 6 127.0.0.1:81/").expect("good");
    assert_eq!((short.requests, short.keep_alive), (Some(6), true));
    assert_eq!(short.target().addr.port(), 81);
}

#[test]
fn credentials_cookies_and_headers_are_sent() {
    let parsed = args(&[
        "-A",
        "user:pass",
        "-P",
        "a:b",
        "-C",
        "a=1",
        "-C",
        "b=2",
        "-H",
        "X-A: b:c",
        "-H",
        "X-B: d",
    ]);
    let config = parsed.config().expect("good");
    let header = |name| header_of(&config, name);
    assert_eq!(header("Authorization"), Some("Basic dXNlcjpwYXNz"));
    assert_eq!(header("Proxy-Authorization"), Some("Basic YTpi"));
    assert_eq!(header("Cookie"), Some("a=1; b=2"));
    assert_eq!((header("X-A"), header("X-B")), (Some("b:c"), Some("d")));
}

#[test]
fn bodies_have_their_method_and_type() {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    std::fs::write(file.path(), "a=b").expect("written");
    let path = file.path().display().to_string();
    let sent = |flags: &str| {
        let config = good(flags);
        let content_type = header_of(&config, "Content-Type").map(str::to_owned);
        assert_eq!(config.body, b"a=b");
        (config.method, content_type.expect("a type"))
    };
    let of = |method: &str, content_type: &str| (method.to_owned(), content_type.to_owned());
    assert_eq!(sent(&format!("-p {path} -T a/b")), of("POST", "a/b"));
    assert_eq!(sent(&format!("-u {path}")), of("PUT", "text/plain"));
    assert_eq!(
        sent(&format!("-p {path} -m PATCH")),
        of("PATCH", "text/plain")
    );
    let config = good(&format!("-p {path} -H content-type:x/y"));
    assert_eq!(header_of(&config, "Content-Type"), None);
    for bad in [
        format!("-p {path} -u {path}"),
        format!("-i -p {path}"),
        "-i -m GET".to_owned(),
        "-p /nonexistent/body".to_owned(),
    ] {
        refusal(&format!("{bad} {URL}"));
    }
    assert_eq!(good("-i").method, "HEAD");
}

#[test]
fn a_proxy_is_connected_to_and_the_host_not_looked_up() {
    let config = config("-X 127.0.0.9:3128 http://shop.invalid/a").expect("good");
    let proxy = config.proxy.expect("a proxy");
    assert_eq!(proxy.to_string(), "127.0.0.9:3128");
    assert_eq!(config.target().url(), "http://shop.invalid/a");
    let text = refusal("-X 127.0.0.9:3128 https://127.0.0.1/");
    assert!(text.contains("proxy"), "{text}");
}

#[test]
fn tls_flags_do_nothing_without_tls_and_are_refused_with_a_reason_with_it() {
    for flags in ["-I", "-Z x", "-f TLS1.2"] {
        good(flags);
        let text = refusal(&format!("{flags} https://127.0.0.1/"));
        assert!(
            text.contains("cannot be had: ") && !text.contains('\n'),
            "{text}"
        );
    }
    config("-f ALL https://127.0.0.1/").expect("both protocols");
    let shown = config("-E file.pem https://127.0.0.1/").expect("good");
    assert_eq!(shown.client_certificate, Some("file.pem".into()));
}

#[test]
fn figures_can_be_left_out_or_put_into_a_table() {
    let all = args(&[]).ab;
    assert_eq!((all.layout(), all.html()), (Layout::default(), None));
    let less = args(&["-d", "-S"]).ab.layout();
    assert!(!less.percentiles && !less.deviations);
    assert_eq!(args(&["-w"]).ab.html(), Some(HtmlAttributes::default()));
    let table = args(&["-x", "border=1", "-y", "-y", "-z", "c"]).ab.html();
    let table = table.expect("-x sets -w");
    assert_eq!(
        (
            table.table.as_str(),
            table.row.as_str(),
            table.cell.as_str()
        ),
        ("border=1", "-y", "c")
    );
    assert_eq!(good("-b 4096").socket_buffer_bytes, Some(4096));
    refusal(&format!("-b 0 {URL}"));
}

#[test]
fn abs_rules_follow_its_flags() {
    let rules = |words: &[&str]| {
        let args = args(words);
        args.ab.rules(&args.config().expect("good"))
    };
    assert_eq!(rules(&["-k"]), None);
    let plain = rules(&["--ab-counts", "-n", "7"]).expect("asked for");
    assert_eq!((plain.requests, plain.keep_alive), (Some(7), false));
    let other = rules(&["--ab-counts", "-k", "-r", "-l", "-t", "5"]).expect("asked for");
    assert_eq!(other.requests, None);
    assert!(other.keep_alive && other.goes_on_after_errors && other.length_may_vary);
}
