//! What tests say of dials: each panics with the place of the test where it isn't so.

use std::net::SocketAddr;
use std::time::Duration;

use crate::dial::Dial;
use crate::place::Inside;
use crate::wire::{Answer, Attempt, Failure, Outcome};

/// A refusal that takes longer than this was not given at once: no packet was sent for it.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The one answer to one dial.
#[track_caller]
pub fn dial(place: &impl Inside, dial: &Dial) -> Answer {
    match answers(place, dial).as_slice() {
        [answer] => answer.clone(),
        many => panic!("one answer wanted, {} came: {many:?}", many.len()),
    }
}

/// The answers to dials that are all answered.
#[track_caller]
pub fn answers(place: &impl Inside, dial: &Dial) -> Vec<Answer> {
    let mut answers = Vec::new();
    // No closure: a panic in one would name this line and not the test's.
    for attempt in attempts(place, dial) {
        answers.push(answered(attempt));
    }
    answers
}

/// The answer, where a pod answered.
#[track_caller]
pub fn answered(attempt: Attempt) -> Answer {
    match attempt.outcome {
        Outcome::Answered(answer) => answer,
        Outcome::Failed(failure) => panic!("{} did not answer: {failure}", attempt.target),
    }
}

/// Every one of the dials fails, at once, with this errno and before anything is sent.
#[track_caller]
pub fn refused(place: &impl Inside, dial: &Dial, errno: &str) {
    for attempt in attempts(place, dial) {
        assert!(attempt.elapsed() < AT_ONCE, "not at once: {attempt:?}");
        let target = attempt.target;
        assert_eq!(failed(attempt).errno, errno, "dialling {target}");
    }
}

/// The failure, where none answered.
#[track_caller]
pub fn failed(attempt: Attempt) -> Failure {
    match attempt.outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Answered(answer) => panic!("{} answered: {answer:?}", attempt.target),
    }
}

/// The names of the pods that answered, each once, sorted.
pub fn pods(answers: &[Answer]) -> Vec<&str> {
    let mut pods: Vec<_> = answers.iter().map(|answer| answer.greeting.pod.as_str()).collect();
    pods.sort_unstable();
    pods.dedup();
    pods
}

/// An address and port in words.
#[track_caller]
pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn attempts(place: &impl Inside, dial: &Dial) -> Vec<Attempt> {
    match dial.from(place) {
        Ok(attempts) => attempts,
        Err(error) => panic!("{error:#}"),
    }
}
