//! A scraper, and what it reads.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Nothing takes so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// `None` if the text is no whole answer.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some(Self {
            status,
            head: head.to_lowercase(),
            body: body.to_owned(),
        })
    }
}

/// Sends bytes and reads to the end of the connection.
pub fn send(address: SocketAddr, bytes: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Asks with further lines in the head, each with its end.
pub fn ask(address: SocketAddr, method: &str, path: &str, lines: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n");
    let text = send(address, request.as_bytes()).unwrap();
    Answer::parse(&text).unwrap_or_else(|| panic!("no answer: {text:?}"))
}

/// The metrics as a scrape has them.
#[derive(Debug)]
pub struct Scrape(pub String);

impl Scrape {
    pub fn of(address: SocketAddr) -> Self {
        let answer = ask(address, "GET", "/metrics", "");
        assert_eq!(answer.status, 200, "{}", answer.head);
        Self(answer.body)
    }

    /// The number of a series by its name with its labels, such as `a{b="c"}`.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then(|| value.parse().unwrap())
        })
    }

    /// The same, of a series that must be there.
    pub fn of_series(&self, series: &str) -> f64 {
        let found = self.get(series);
        found.unwrap_or_else(|| panic!("no {series} in\n{}", self.0))
    }

    /// The sum of all series of a name.
    pub fn sum(&self, name: &str) -> f64 {
        let of_name = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let is_it = series.split('{').next() == Some(name);
            is_it.then(|| value.parse::<f64>().unwrap())
        });
        of_name.sum()
    }
}
