//! What a collector answered, which the exporters themselves do not tell.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use opentelemetry_http::{Bytes, HttpError, Response};
use opentelemetry_sdk::error::OTelSdkResult;
use prost::Message;

/// So much of what a collector says is passed on.
const MOST_SAID_CHARS: usize = 200;

/// What came of an attempt to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Spans or data points that were refused although the answer was that all is well.
    pub(super) rejected: u64,
    /// Why not all was taken; empty if all was, or nobody said why.
    pub(super) why: String,
}

impl Answer {
    /// Of a request to `path`.
    pub(super) fn of(path: &str, received: &Result<Response<Bytes>, HttpError>) -> Self {
        let response = match received {
            Ok(response) => response,
            Err(error) => return Self::none(path, error),
        };
        let status = response.status();
        if !status.is_success() {
            return Self::none(path, &status);
        }
        // What cannot be read says nothing; the exporters take it for a success as well.
        let answer = ExportAnswer::decode(response.body().clone()).unwrap_or_default();
        let partial = answer.partial_success.unwrap_or_default();
        let Ok(rejected @ 1..) = u64::try_from(partial.rejected) else {
            return Self::default();
        };
        let said: String = partial.message.chars().take(MOST_SAID_CHARS).collect();
        let why = match said.as_str() {
            "" => format!("{path}: {rejected} rejected"),
            said => format!("{path}: {rejected} rejected: {said:?}"),
        };
        Self { rejected, why }
    }

    fn none(path: &str, why: &dyn fmt::Display) -> Self {
        Self {
            rejected: 0,
            why: format!("{path}: {why}"),
        }
    }

    /// What to say of an export that ended so, after this answer; `None` if all was taken.
    pub(super) fn complaint(&self, sent: &OTelSdkResult) -> Option<String> {
        match sent {
            Ok(()) if self.rejected == 0 => None,
            Err(error) if self.why.is_empty() => Some(error.to_string()),
            Ok(()) | Err(_) => Some(self.why.clone()),
        }
    }
}

/// Where a client leaves its last answer.
#[derive(Debug, Default)]
pub(super) struct LastAnswer(Mutex<Answer>);

impl LastAnswer {
    pub(super) fn set(&self, answer: Answer) {
        *self.lock() = answer;
    }

    pub(super) fn get(&self) -> Answer {
        self.lock().clone()
    }

    /// Of the next export, which may fail before anything is sent.
    pub(super) fn clear(&self) {
        self.set(Answer::default());
    }

    fn lock(&self) -> MutexGuard<'_, Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `ExportTraceServiceResponse` and `ExportMetricsServiceResponse`, which have the same form.
#[derive(Clone, PartialEq, Message)]
struct ExportAnswer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// How many were rejected, and why.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    message: String,
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::{metrics::v1 as metrics, trace::v1 as trace};
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    fn answered(status: u16, body: Vec<u8>) -> Answer {
        let response = Response::builder().status(status);
        Answer::of("/v1/x", &Ok(response.body(Bytes::from(body)).unwrap()))
    }

    fn failed() -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("no".into()))
    }

    #[test]
    fn what_is_rejected_of_spans_and_of_metrics_is_read() {
        let of_spans = trace::ExportTraceServiceResponse {
            partial_success: Some(trace::ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "over\nquota".to_owned(),
            }),
        };
        let of_metrics = metrics::ExportMetricsServiceResponse {
            partial_success: Some(metrics::ExportMetricsPartialSuccess {
                rejected_data_points: 3,
                error_message: "over\nquota".to_owned(),
            }),
        };
        for body in [of_spans.encode_to_vec(), of_metrics.encode_to_vec()] {
            let answer = answered(200, body);
            assert_eq!(answer.rejected, 3);
            let said = r#"/v1/x: 3 rejected: "over\nquota""#;
            assert_eq!(answer.complaint(&Ok(())).as_deref(), Some(said));
        }
    }

    #[test]
    fn a_rejection_without_a_word_and_one_with_many_are_told_in_short() {
        for (message, told) in [
            (String::new(), "/v1/x: 1 rejected".to_owned()),
            (
                "é".repeat(300),
                format!("/v1/x: 1 rejected: {:?}", "é".repeat(200)),
            ),
        ] {
            let body = ExportAnswer {
                partial_success: Some(PartialSuccess {
                    rejected: 1,
                    message,
                }),
            };
            let answer = answered(200, body.encode_to_vec());
            assert_eq!(answer.complaint(&Ok(())), Some(told));
        }
    }

    #[test]
    fn an_answer_without_a_rejection_is_no_complaint() {
        let warned = trace::ExportTraceServiceResponse {
            partial_success: Some(trace::ExportTracePartialSuccess {
                rejected_spans: 0,
                error_message: "use gzip".to_owned(),
            }),
        };
        for body in [Vec::new(), warned.encode_to_vec(), vec![0xff; 4]] {
            let answer = answered(200, body);
            assert_eq!(answer, Answer::default());
            assert_eq!(answer.complaint(&Ok(())), None);
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_status_and_a_failure_with_its_cause() {
        let refused = answered(405, b"whatever".to_vec());
        let complaint = refused.complaint(&failed());
        assert_eq!(complaint.as_deref(), Some("/v1/x: 405 Method Not Allowed"));
        let unreached = Answer::of("/v1/x", &Err("Connection refused".into()));
        let complaint = unreached.complaint(&failed());
        assert_eq!(complaint.as_deref(), Some("/v1/x: Connection refused"));
        // Nothing was sent.
        let complaint = Answer::default().complaint(&failed());
        assert!(complaint.unwrap().contains("no"));
    }
}
