//! How a request can end.

use serde::{Deserialize, Serialize};

/// How one attempt at a request ended. Every attempt has exactly one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Outcome {
    /// A complete answer with a status below 400.
    Ok = 0,
    /// A complete answer with a status of 400 or above.
    Non2xx = 1,
    /// The connection was refused.
    Refused = 2,
    /// The connection was reset before the kernel took a byte of the request.
    ResetConnecting = 3,
    /// The connection was reset after the request was sent, before a byte of the answer.
    ResetBeforeFirstByte = 4,
    /// The connection was reset after the first byte of the answer, in head or body.
    ResetInBody = 5,
    /// A fresh connection was closed without a byte of answer.
    ClosedEarly = 6,
    /// The connection was closed inside the head or the body.
    ShortBody = 7,
    /// The answer is not HTTP/1.x; the row's `detail` says why.
    Malformed = 8,
    /// The timeout passed; the row's times say at which stage.
    Timeout = 9,
    /// Another error of connecting; the row's `errno` says which.
    ConnectFailed = 10,
    /// A reused connection was closed or reset before a byte of the answer. The request
    /// is sent again on a new connection, unless retries are off.
    StaleKeepAlive = 11,
    /// The run ended while the request was under way.
    Aborted = 12,
    /// A complete answer whose body is not the expected one.
    WrongBody = 13,
}

impl Outcome {
    /// All outcomes, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Ok,
        Self::Non2xx,
        Self::Refused,
        Self::ResetConnecting,
        Self::ResetBeforeFirstByte,
        Self::ResetInBody,
        Self::ClosedEarly,
        Self::ShortBody,
        Self::Malformed,
        Self::Timeout,
        Self::ConnectFailed,
        Self::StaleKeepAlive,
        Self::Aborted,
        Self::WrongBody,
    ];

    /// The outcome of a number, as it stands in an encoded row.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// A short name in lower case with underscores, the same as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Non2xx => "non2xx",
            Self::Refused => "refused",
            Self::ResetConnecting => "reset_connecting",
            Self::ResetBeforeFirstByte => "reset_before_first_byte",
            Self::ResetInBody => "reset_in_body",
            Self::ClosedEarly => "closed_early",
            Self::ShortBody => "short_body",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::ConnectFailed => "connect_failed",
            Self::StaleKeepAlive => "stale_keep_alive",
            Self::Aborted => "aborted",
            Self::WrongBody => "wrong_body",
        }
    }

    /// What it means, in a few plain words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "answered with 2xx or 3xx",
            Self::Non2xx => "answered with 4xx or 5xx",
            Self::Refused => "connection refused",
            Self::ResetConnecting => "reset while connecting",
            Self::ResetBeforeFirstByte => "reset before the first byte",
            Self::ResetInBody => "reset after the first byte",
            Self::ClosedEarly => "closed without an answer",
            Self::ShortBody => "closed inside the answer",
            Self::Malformed => "answer is not HTTP",
            Self::Timeout => "timed out",
            Self::ConnectFailed => "could not connect",
            Self::StaleKeepAlive => "met a stale keep-alive connection",
            Self::Aborted => "still under way at the end",
            Self::WrongBody => "answered with another body",
        }
    }

    /// Whether a complete answer came, whatever its status.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Ok | Self::Non2xx)
    }

    /// Whether the attempt failed: it ended, and neither with the right answer, nor by
    /// a stale connection, nor with the run.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        !matches!(
            self,
            Self::Ok | Self::Non2xx | Self::StaleKeepAlive | Self::Aborted
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back_to_the_outcome() {
        for (number, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, number);
            assert_eq!(
                Outcome::from_u8(u8::try_from(number).expect("small")),
                Some(outcome)
            );
            let json = serde_json::to_string(&outcome).expect("plain enum");
            assert_eq!(json, format!("\"{}\"", outcome.name()));
        }
        assert_eq!(Outcome::from_u8(14), None);
    }
}
