//! Many questions at once: a JSON object a line in, one a line out, in the same order.

use std::io::{self, BufRead, Write};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::oracle::Oracle;
use super::question::protocol;
use super::{Answer, Live, Question, Verdict};

/// A line in.
#[derive(Debug, Deserialize)]
struct Query {
    /// Given back as it is.
    #[serde(default)]
    id: Value,
    src: IpAddr,
    #[serde(default)]
    proto: Option<String>,
    dst: IpAddr,
    /// Left out where the protocol has no ports.
    #[serde(default)]
    dport: u16,
}

/// A line out.
#[derive(Debug, Serialize)]
struct Reply<'a> {
    id: &'a Value,
    verdict: Verdict,
    endpoints: &'a [String],
    masquerade: &'a [String],
    service: &'a str,
    reason: &'a str,
    row: &'a str,
    /// Where the maps say otherwise.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    disagreements: &'a [String],
}

/// A line out for a line that is no question.
#[derive(Debug, Serialize)]
struct Refusal {
    id: Value,
    error: String,
}

/// Answers every line of `input`; empty lines are left out. Returns how many were no questions.
///
/// # Errors
///
/// Reading or writing fails.
pub(super) fn answer_all(
    oracle: &Oracle<'_>,
    input: impl BufRead,
    mut output: impl Write,
) -> io::Result<usize> {
    let mut refused = 0;
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        match answer(oracle, &line) {
            Ok((id, answer, live)) => write_line(&mut output, &reply(&id, &answer, live.as_ref()))?,
            Err(refusal) => {
                refused += 1;
                write_line(&mut output, &refusal)?;
            }
        }
    }
    output.flush()?;
    Ok(refused)
}

fn answer(oracle: &Oracle<'_>, line: &str) -> Result<(Value, Answer, Option<Live>), Refusal> {
    let query: Query = serde_json::from_str(line).map_err(|error| {
        let id = serde_json::from_str::<Value>(line).ok().and_then(|value| value.get("id").cloned());
        Refusal { id: id.unwrap_or_default(), error: error.to_string() }
    })?;
    let refuse = |error: String| Refusal { id: query.id.clone(), error };
    let proto =
        protocol(query.proto.as_deref().unwrap_or("TCP")).map_err(|error| refuse(error.to_string()))?;
    let question =
        Question::new(query.src, proto, query.dst, query.dport).map_err(|error| refuse(error.to_string()))?;
    let (answer, live) = oracle.ask(&question);
    Ok((query.id, answer, live))
}

fn reply<'a>(id: &'a Value, answer: &'a Answer, live: Option<&'a Live>) -> Reply<'a> {
    Reply {
        id,
        verdict: answer.verdict,
        endpoints: &answer.endpoints,
        masquerade: &answer.masquerade,
        service: &answer.service,
        reason: &answer.reason,
        row: answer.row,
        disagreements: live.map_or(&[], |live| &live.disagreements),
    }
}

fn write_line(output: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, line)?;
    output.write_all(b"\n")
}
