//! The socket protocol `pp.live.v1+json`: what viewers may say, and the frames that are not of a topic.
//!
//! Invariant: whatever comes in is a request, is ignored (an operation of a later version) or is refused with a code
//! and words; nothing a viewer sends ends the connection by itself. It never holds state.

use domain::time::Day;
use serde::{Deserialize, Serialize};

use crate::progress::{PipelineState, State};
use crate::silence::Sources;

/// Name of the protocol in the subprotocol header.
pub const PROTOCOL: &str = "pp.live.v1+json";
/// Milliseconds between ticks at the usual rate.
pub const TICK_MS: u32 = 250;

/// How often a viewer wants to hear of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Once in five seconds.
    Fifth,
    /// Once a second.
    One,
    /// Twice a second.
    Two,
    /// Four times a second; the usual rate.
    Four,
    /// Ten times a second.
    Ten,
}

impl Rate {
    fn parse(rate: f64) -> Option<Self> {
        let known = [(0.2, Self::Fifth), (1.0, Self::One), (2.0, Self::Two), (4.0, Self::Four), (10.0, Self::Ten)];
        known.into_iter().find(|(value, _)| (value - rate).abs() < 1e-9).map(|(_, rate)| rate)
    }

    /// Milliseconds between two ticks.
    #[must_use]
    pub const fn every_ms(self) -> u64 {
        match self {
            Self::Fifth => 5_000,
            Self::One => 1_000,
            Self::Two => 500,
            Self::Four => TICK_MS as u64,
            Self::Ten => 100,
        }
    }
}

/// What a viewer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Subscribe, or subscribe again.
    Sub {
        /// Name of the topic.
        topic: String,
        /// How often.
        rate: Rate,
        /// The number at which the viewer is, if it goes on from there: only good within an epoch.
        since: Option<(u64, String)>,
    },
    /// No more of it.
    Unsub {
        /// Name of the topic.
        topic: String,
    },
    /// Another rate for a topic that is subscribed to.
    Rate {
        /// Name of the topic.
        topic: String,
        /// How often.
        rate: Rate,
    },
    /// An operation that this version does not know.
    Ignored,
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// It cannot be read.
    BadMessage,
    /// There is no such topic.
    UnknownTopic,
    /// A rate that is not offered.
    BadRate,
    /// More subscriptions than one connection may have.
    TooManySubscriptions,
    /// More messages than one connection may send.
    TooManyMessages,
    /// The topic is not subscribed to.
    NotSubscribed,
}

/// A refusal: code, words, and the topic if it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
    /// The topic that was named.
    pub topic: Option<String>,
}

impl Refusal {
    /// A refusal about a topic.
    #[must_use]
    pub fn of(code: Code, message: impl Into<String>, topic: &str) -> Self {
        Self { code, message: message.into(), topic: Some(topic.to_owned()) }
    }

    fn bad(message: impl Into<String>, topic: Option<String>) -> Self {
        Self { code: Code::BadMessage, message: message.into(), topic }
    }

    /// As an `err` frame.
    #[must_use]
    pub fn frame(&self) -> String {
        #[derive(Serialize)]
        struct Frame<'a> {
            op: &'static str,
            code: Code,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            topic: Option<&'a str>,
        }
        text(&Frame { op: "err", code: self.code, message: &self.message, topic: self.topic.as_deref() })
    }
}

#[derive(Deserialize)]
struct Message {
    op: String,
    topic: Option<String>,
    rate: Option<f64>,
    since: Option<u64>,
    epoch: Option<String>,
}

/// Reads a viewer's message.
///
/// # Errors
/// What is wrong with it.
pub fn parse(message: &str) -> Result<Request, Refusal> {
    let message: Message =
        serde_json::from_str(message).map_err(|error| Refusal::bad(format!("not a message: {error}"), None))?;
    if !["sub", "unsub", "rate"].contains(&message.op.as_str()) {
        return Ok(Request::Ignored);
    }
    let Some(topic) = message.topic else {
        return Err(Refusal::bad(format!("`{}` needs a `topic`", message.op), None));
    };
    if topic.len() > 200 {
        return Err(Refusal::bad("a topic has at most 200 bytes", None));
    }
    let rate = match message.rate {
        None => None,
        Some(rate) => Some(
            Rate::parse(rate)
                .ok_or_else(|| Refusal::of(Code::BadRate, "rates are 0.2, 1, 2, 4 and 10 a second", &topic))?,
        ),
    };
    match message.op.as_str() {
        "sub" => {
            let rate = rate.unwrap_or(Rate::Four);
            Ok(Request::Sub { topic, rate, since: message.since.zip(message.epoch) })
        }
        "unsub" => Ok(Request::Unsub { topic }),
        _ => match rate {
            Some(rate) => Ok(Request::Rate { topic, rate }),
            None => Err(Refusal::bad("`rate` needs a `rate`", Some(topic))),
        },
    }
}

/// The first frame of a connection.
#[derive(Debug, Clone, Serialize)]
pub struct Hello<'a> {
    /// Sequence numbers are comparable within it.
    pub epoch: &'a str,
    /// The gateway's clock.
    pub now: i64,
    /// What "today" means.
    #[serde(serialize_with = "day")]
    pub today: Day,
    /// Whether the traffic is made by the simulator.
    pub simulated: bool,
}

impl Hello<'_> {
    /// As a frame.
    #[must_use]
    pub fn frame(&self) -> String {
        #[derive(Serialize)]
        struct Frame<'a> {
            op: &'static str,
            protocol: &'static str,
            #[serde(flatten)]
            hello: &'a Hello<'a>,
            tick_ms: u32,
        }
        text(&Frame { op: "hello", protocol: PROTOCOL, hello: self, tick_ms: TICK_MS })
    }
}

/// What a heartbeat says.
#[derive(Debug, Clone, Serialize)]
pub struct Heartbeat<'a> {
    /// The gateway's clock.
    pub now: i64,
    /// What "today" means.
    #[serde(serialize_with = "day")]
    pub today: Day,
    /// Everything that the log took before this instant is in the figures.
    pub wm: Option<i64>,
    /// Of the gateway.
    pub state: State,
    /// From the collector to here.
    pub pipeline: Pipeline,
    /// Who reports and who is silent.
    pub sources: &'a Sources,
    /// Why figures may be incomplete, in words.
    pub incomplete: Option<&'a str>,
}

/// The part of a heartbeat about the pipeline.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pipeline {
    /// In one word.
    pub state: PipelineState,
    /// How far it is behind.
    pub behind_ms: Option<i64>,
    /// Since when, if it is.
    pub since: Option<i64>,
}

impl Heartbeat<'_> {
    /// As a frame.
    #[must_use]
    pub fn frame(&self) -> String {
        #[derive(Serialize)]
        struct Frame<'a> {
            op: &'static str,
            #[serde(flatten)]
            heartbeat: &'a Heartbeat<'a>,
        }
        text(&Frame { op: "hb", heartbeat: self })
    }
}

/// The last frame of a connection: why it ends and when to come back.
#[must_use]
pub fn bye(code: &str, retry_ms: u32) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        op: &'static str,
        code: &'a str,
        retry_ms: u32,
    }
    text(&Frame { op: "bye", code, retry_ms })
}

fn text(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).expect("plain values with text keys")
}

fn day<S: serde::Serializer>(day: &Day, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_with_their_defaults() {
        let sub = |rate, since| Request::Sub { topic: "overview".into(), rate, since };
        assert_eq!(parse(r#"{"op":"sub","topic":"overview"}"#), Ok(sub(Rate::Four, None)));
        assert_eq!(parse(r#"{"op":"sub","topic":"overview","rate":0.2}"#), Ok(sub(Rate::Fifth, None)));
        let resumed = Ok(sub(Rate::Ten, Some((120, "e".into()))));
        assert_eq!(parse(r#"{"op":"sub","topic":"overview","rate":10,"since":120,"epoch":"e"}"#), resumed);
        assert_eq!(parse(r#"{"op":"sub","topic":"overview","since":120}"#), Ok(sub(Rate::Four, None)));
        assert_eq!(parse(r#"{"op":"unsub","topic":"wall"}"#), Ok(Request::Unsub { topic: "wall".into() }));
    }

    #[test]
    fn unknown_fields_and_operations_are_ignored() {
        let sub = r#"{"op":"sub","topic":"wall","colour":"red","filter":{"x":1}}"#;
        assert!(matches!(parse(sub), Ok(Request::Sub { .. })));
        assert_eq!(parse(r#"{"op":"dance","rate":7}"#), Ok(Request::Ignored));
    }

    #[test]
    fn each_bad_message_has_its_code() {
        let code = |message: &str| parse(message).map_err(|refusal| refusal.code);
        for bad in [
            "",
            "[]",
            "{",
            r#"{"topic":"wall"}"#,
            r#"{"op":"sub"}"#,
            r#"{"op":"sub","topic":7}"#,
            r#"{"op":"rate","topic":"wall"}"#,
            r#"{"op":"sub","topic":"wall","since":-1}"#,
        ] {
            assert_eq!(code(bad), Err(Code::BadMessage), "{bad}");
        }
        assert_eq!(code(r#"{"op":"sub","topic":"wall","rate":3}"#), Err(Code::BadRate));
        let long = format!(r#"{{"op":"sub","topic":"{}"}}"#, "x".repeat(201));
        assert_eq!(code(&long), Err(Code::BadMessage));
    }

    #[test]
    fn refusals_name_code_words_and_topic() {
        let frame = Refusal::of(Code::UnknownTopic, "there is no topic \"x\"", "x").frame();
        assert_eq!(frame, r#"{"op":"err","code":"unknown_topic","message":"there is no topic \"x\"","topic":"x"}"#);
    }

    #[test]
    fn a_hello_says_what_a_client_needs() {
        let hello = Hello { epoch: "e1", now: 5, today: Day::from_ymd(2026, 11, 24), simulated: true }.frame();
        let expected = r#"{"op":"hello","protocol":"pp.live.v1+json","epoch":"e1","now":5,"today":"2026-11-24","simulated":true,"tick_ms":250}"#;
        assert_eq!(hello, expected);
    }
}
