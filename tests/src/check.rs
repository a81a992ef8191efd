//! What tests say of dials: each panics with the place of the test where it isn't so.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::dial::Dial;
use crate::place::Inside;
use crate::wire::{Answer, Attempt, Failure, Outcome};

/// A refusal that takes longer than this was not given at once: less than the second after which TCP sends again
/// what was not answered (RFC 6298).
const AT_ONCE: Duration = Duration::from_millis(900);
/// How often it is dialled anew where that took longer: once it is the machine that had much else to do.
const TRIES: usize = 3;
/// How long a condition may take to hold; nothing waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not so after {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

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
    for tried in 1..=TRIES {
        let attempts = attempts(place, dial);
        let late = attempts.iter().find(|attempt| attempt.elapsed() >= AT_ONCE).cloned();
        for attempt in attempts {
            let target = attempt.target;
            assert_eq!(failed(attempt).errno, errno, "dialling {target}");
        }
        match late {
            None => return,
            Some(late) => assert!(tried < TRIES, "not at once: {late:?}"),
        }
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
