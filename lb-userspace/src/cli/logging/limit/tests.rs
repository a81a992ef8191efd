use std::io;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::cli::logging::fields::Fields;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What is logged by `say`, and the places that said it.
fn logged(say: impl FnOnce(&Mutex<Places>)) -> Vec<String> {
    let log = Log::default();
    let limit = Limit::default();
    let places = Arc::clone(&limit.places);
    // Nobody is to sum up but the test.
    places.lock().unwrap().is_awaited = true;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(log.clone())
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .fmt_fields(Fields);
    let subscriber = tracing_subscriber::registry().with(limit).with(lines);
    tracing::subscriber::with_default(subscriber, || say(&places));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_first_lines_of_a_place_are_logged_and_the_rest_of_them_counted() {
    let mut sums = vec![];
    let lines = logged(|places| {
        for number in 0..10_000 {
            tracing::warn!("Service default/s{number}: {}", "is wrong");
        }
        tracing::warn!("another place is heard");
        sums = places.lock().unwrap().sum_up();
        assert_eq!(places.lock().unwrap().sum_up(), []);
    });
    assert_eq!(lines.len() as u64, LINES + 1);
    assert_eq!(lines[0], " WARN Service default/s0: is wrong");
    assert_eq!(lines.last().unwrap(), " WARN another place is heard");
    let [sum] = &sums[..] else { panic!("one place: {sums:?}") };
    assert_eq!((sum.lines, sum.file.ends_with("limit/tests.rs")), (10_000 - LINES, true));
}

#[test]
fn a_place_that_was_held_back_is_heard_again_after_the_window() {
    let lines = logged(|places| {
        for round in 0..3 {
            for _ in 0..2 * LINES {
                tracing::info!("again in round {round}");
            }
            for place in places.lock().unwrap().by_callsite.values_mut() {
                place.began -= WINDOW;
            }
        }
    });
    assert_eq!(lines.len() as u64, 3 * LINES);
    assert_eq!(lines.last().unwrap(), " INFO again in round 2");
}

#[test]
fn a_step_of_the_work_is_logged_far_more_often_and_not_without_end() {
    let lines = logged(|_| {
        for generation in 0..2 * OFTEN_LINES {
            tracing::info!(target: OFTEN, "applied generation={generation}");
        }
    });
    assert_eq!(lines.len() as u64, OFTEN_LINES);
}

#[test]
fn a_name_of_any_bytes_is_one_line_without_orders_to_a_terminal() {
    let name = "web\n2026-01-01T00:00:00Z  INFO datapath complete\u{1b}]0;title\u{7}\u{202e}";
    let long = "x".repeat(1 << 20);
    let lines = logged(|_| {
        tracing::error!(service = name, "not in force: {name}");
        tracing::error!(error = %name, "{long}");
    });
    let escaped = r"web\n2026-01-01T00:00:00Z  INFO datapath complete\u{1b}]0;title\u{7}\u{202e}";
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], format!("ERROR not in force: {escaped} service=\"{escaped}\""));
    assert!(lines[1].ends_with(&format!("bytes more) error={escaped}")), "{}", lines[1]);
    assert!(lines[1].len() < 5000);
}
