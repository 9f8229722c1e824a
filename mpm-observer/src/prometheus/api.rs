//! Prometheus' HTTP API, <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::PrometheusError;
use crate::httpd::http;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Prometheus that can be asked.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    address: SocketAddr,
}

/// A series of an answer.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Sampled {
    /// Its labels, `__name__` among them where the query keeps it; none of a scalar.
    pub labels: BTreeMap<String, String>,
    /// Times, seconds since 1970, and values, ascending by time; one for an instant query.
    pub points: Vec<(f64, f64)>,
}

impl Sampled {
    /// The last value.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.points.last().map(|(_, value)| *value)
    }
}

/// Whom Prometheus asks, and how that went.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// `up`, `down` or `unknown`.
    pub health: String,
    /// Why it is down; else empty.
    pub last_error: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// The envelope of every answer.
#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Answer {
    Matrix(Vec<MatrixSeries>),
    Vector(Vec<VectorSeries>),
    Scalar(Point),
    String(serde::de::IgnoredAny),
}

type Point = (f64, String);

#[derive(Deserialize)]
struct MatrixSeries {
    metric: BTreeMap<String, String>,
    values: Vec<Point>,
}

#[derive(Deserialize)]
struct VectorSeries {
    metric: BTreeMap<String, String>,
    value: Point,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<Target>,
}

impl Api {
    /// The Prometheus at an address.
    #[must_use]
    pub const fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// The values of `expression` now.
    ///
    /// # Errors
    /// When it does not answer, or refuses the expression.
    pub fn query(&self, expression: &str) -> Result<Vec<Sampled>, PrometheusError> {
        let path = format!("/api/v1/query?query={}", escaped(expression));
        self.series(expression, &path)
    }

    /// The values of `expression` from `from_s` to `to_s`, seconds since 1970, each `step_s`.
    ///
    /// # Errors
    /// When it does not answer, or refuses the expression or the times.
    pub fn query_range(
        &self,
        expression: &str,
        (from_s, to_s): (f64, f64),
        step_s: f64,
    ) -> Result<Vec<Sampled>, PrometheusError> {
        let path = format!(
            "/api/v1/query_range?query={}&start={from_s}&end={to_s}&step={step_s}",
            escaped(expression)
        );
        self.series(expression, &path)
    }

    /// Whom it asks.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn targets(&self) -> Result<Vec<Target>, PrometheusError> {
        let path = "/api/v1/targets?state=active";
        Ok(self.ask::<Targets>(path, path)?.active_targets)
    }

    /// Its rules as it gives them: groups, each with its rules, their state and health.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn rules(&self) -> Result<Value, PrometheusError> {
        self.ask("the rules", "/api/v1/rules")
    }

    fn series(&self, expression: &str, path: &str) -> Result<Vec<Sampled>, PrometheusError> {
        let number = |(time, value): Point| Some((time, value.parse().ok()?));
        let unreadable = || PrometheusError::Answer {
            question: expression.into(),
            message: "a value is no number".into(),
        };
        let series = match self.ask(expression, path)? {
            Answer::Matrix(series) => series
                .into_iter()
                .map(|MatrixSeries { metric, values }| (metric, values))
                .collect(),
            Answer::Vector(series) => series
                .into_iter()
                .map(|VectorSeries { metric, value }| (metric, vec![value]))
                .collect(),
            Answer::Scalar(point) => vec![(BTreeMap::new(), vec![point])],
            Answer::String(_) => return Err(unreadable()),
        };
        series
            .into_iter()
            .map(|(labels, points)| {
                let points: Option<Vec<_>> = points.into_iter().map(number).collect();
                points.map(|points| Sampled { labels, points })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(unreadable)
    }

    fn ask<T: DeserializeOwned>(&self, question: &str, path: &str) -> Result<T, PrometheusError> {
        let wrong = |message: String| PrometheusError::Answer {
            question: question.into(),
            message,
        };
        let answer = http::get(self.address, path, PATIENCE, &mut 0)
            .map_err(|error| wrong(error.to_string()))?;
        let envelope: Envelope<T> = serde_json::from_str(&answer.body)
            .map_err(|error| wrong(format!("status {}, {error}", answer.status)))?;
        match (envelope.error, envelope.data) {
            (Some(error), _) => Err(wrong(error)),
            (None, Some(data)) => Ok(data),
            (None, None) => Err(wrong("it has no data".into())),
        }
    }
}

/// An expression as part of a query string.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(byte.into());
            }
            _ => {
                // Writing to a string does not fail.
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// A server that gives one answer, and the request that it got.
    fn asked(
        body: &'static str,
        ask: impl FnOnce(Api) -> Result<Vec<Sampled>, PrometheusError>,
    ) -> (Result<Vec<Sampled>, PrometheusError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Api::at(listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let answer = ask(api);
        (answer, server.join().unwrap())
    }

    #[test]
    fn an_expression_arrives_whole() {
        let body = r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"+Inf"]}}"#;
        let (answer, request) = asked(body, |api| api.query("a{b=~\"c+&d\"} > 1"));
        assert!(
            request.starts_with("GET /api/v1/query?query=a%7Bb%3D~%22c%2B%26d%22%7D%20%3E%201 "),
            "{request}"
        );
        assert_eq!(answer.unwrap()[0].points, [(1.5, f64::INFINITY)]);
    }

    #[test]
    fn a_range_is_read_with_labels_times_and_values() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"a":"b"},"values":[[1,"2"],[2.5,"3e3"]]},{"metric":{},"values":[]}]}}"#;
        let (answer, request) = asked(body, |api| api.query_range("x", (1.0, 2.5), 0.5));
        assert!(request.contains("&start=1&end=2.5&step=0.5 "), "{request}");
        let answer = answer.unwrap();
        assert_eq!(answer[0].labels["a"], "b");
        assert_eq!(answer[0].points, [(1.0, 2.0), (2.5, 3000.0)]);
        assert_eq!(answer[0].last(), Some(3000.0));
        assert_eq!(answer[1], Sampled::default());
    }

    #[test]
    fn what_prometheus_refuses_is_an_error_with_its_words() {
        let body = r#"{"status":"error","errorType":"bad_data","error":"parse error: x"}"#;
        let (answer, _) = asked(body, |api| api.query("x y"));
        let error = answer.unwrap_err().to_string();
        assert!(
            error.contains("x y") && error.contains("parse error: x"),
            "{error}"
        );
        let (answer, _) = asked("no JSON", |api| api.query("x"));
        assert!(answer.is_err());
    }
}
