//! Who holds connections, or says its request slowly, or at length.

use super::super::connections::{HEAD_BYTES, MOST};
use super::*;

/// Whether the other side has hung up, after at most so long.
fn is_cut_off(stream: &mut TcpStream, patience: Duration) -> bool {
    stream.set_read_timeout(Some(patience)).expect("a time");
    match stream.read(&mut [0; 512]) {
        Ok(0) => true,
        Ok(_) => is_cut_off(stream, patience),
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn health_answers_whatever_number_of_connections_is_held_and_no_more_than_so_many_are() {
    let mut instance = Instance::start(false);
    let check = free_address();
    instance.put(vec![boxed(checked(check.port()))]);
    ask_until(instance.health, "GET /healthz", is(200));
    ask_until(check, "GET /", is(503));
    for address in [instance.health, instance.metrics, check] {
        let connect = || TcpStream::connect(address).expect("a connection");
        let mut held: Vec<TcpStream> = (0..3 * MOST).map(|_| connect()).collect();
        let answer = try_ask(address, "GET /healthz").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        let (first, others) = held.split_at_mut(2 * MOST);
        for stream in first {
            assert!(is_cut_off(stream, Duration::from_secs(20)), "{address}");
        }
        // Those that came last are there still, and are served.
        let last = others.last_mut().expect("a connection");
        write!(last, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("written");
        let mut answer = String::new();
        last.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
}

#[test]
fn a_request_that_is_never_finished_is_not_waited_for() {
    let instance = Instance::start(false);
    ask_until(instance.health, "GET /healthz", is(200));
    let mut said_a_word = TcpStream::connect(instance.health).expect("a connection");
    let mut silent = TcpStream::connect(instance.health).expect("a connection");
    write!(said_a_word, "GET /healthz HTTP/1.1\r\nHost: loc").expect("written");
    for stream in [&mut said_a_word, &mut silent] {
        // Less than hyper's own patience, and far more than ours.
        assert!(is_cut_off(stream, Duration::from_secs(20)));
    }
}

#[test]
fn a_request_of_any_length_is_not_taken_into_memory() {
    let instance = Instance::start(false);
    ask_until(instance.health, "GET /healthz", is(200));
    let mut stream = TcpStream::connect(instance.health).expect("a connection");
    // It may be refused before all of it is written.
    let _written = write!(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")
        .and_then(|()| stream.write_all(&vec![b'x'; 2 * HEAD_BYTES]))
        .and_then(|()| stream.write_all(b"\r\nConnection: close\r\n\r\n"));
    let mut answer = String::new();
    let _reset = stream.read_to_string(&mut answer);
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(is_cut_off(&mut stream, Duration::from_secs(20)));
}

#[test]
fn a_closed_check_port_holds_no_connection() {
    let mut instance = Instance::start(false);
    let check = free_address();
    instance.put(vec![boxed(checked(check.port()))]);
    ask_until(check, "GET /", is(503));
    let mut held = TcpStream::connect(check).expect("a connection");
    instance.put(vec![boxed(load_balancer_service())]);
    assert!(is_cut_off(&mut held, Duration::from_secs(20)));
    ask_until(check, "GET /", Result::is_err);
}
