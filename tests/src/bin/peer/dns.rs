//! As much DNS as `dig` needs: every name has one address (RFC 1035 §4).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

const HEADER: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];
/// Answer, recursion available (RFC 1035 §4.1.1).
const QR: u8 = 0x80;
const RD: u8 = 0x01;
const RA: u8 = 0x80;

/// The answer to a message with one question: `address` where that asks for type A, else no record.
pub(crate) fn answer(message: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let question = message.get(HEADER..HEADER + question_length(message.get(HEADER..)?)?)?;
    let is_a = question.get(question.len() - 4..question.len() - 2)? == TYPE_A;
    let mut answer = Vec::with_capacity(message.len() + 16);
    answer.extend_from_slice(&message[..2]);
    answer.extend_from_slice(&[QR | message[2] & RD, RA]);
    answer.extend_from_slice(&[0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    answer.extend_from_slice(question);
    if is_a {
        // The name by a pointer to the question's, type A, class IN, a TTL of 0, four bytes of address.
        answer.extend_from_slice(&[0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend_from_slice(&address.octets());
    }
    Some(answer)
}

/// One question on a TCP connection, after its length in two bytes (RFC 1035 §4.2.2).
pub(crate) fn answer_stream(mut stream: TcpStream, address: Ipv4Addr) -> io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    let answer = answer(&message, address).ok_or(io::ErrorKind::InvalidData)?;
    let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&answer)
}

/// The bytes of a question: the labels of its name, the root, type and class.
fn question_length(question: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match usize::from(*question.get(at)?) {
            0 => return Some(at + 5),
            label => at += 1 + label,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 11);

    fn ask(name: &str, kind: u8) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, RD, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend_from_slice(label.as_bytes());
        }
        message.extend_from_slice(&[0, 0, kind, 0, 1]);
        message
    }

    #[test]
    fn a_question_for_an_address_is_answered_with_it() {
        let answer = answer(&ask("web.default.svc", 1), ADDRESS).expect("an answer");
        assert_eq!(answer[..8], [0xab, 0xcd, QR | RD, RA, 0, 1, 0, 1]);
        assert!(answer.ends_with(&[0, 4, 10, 244, 1, 11]));
    }

    #[test]
    fn a_question_for_another_type_is_answered_with_no_record() {
        let answer = answer(&ask("web", 28), ADDRESS).expect("an answer");
        assert_eq!(answer[6..8], [0, 0]);
    }

    #[test]
    fn a_message_cut_short_is_not_answered() {
        let whole = ask("web", 1);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length], ADDRESS), None, "{length} bytes");
        }
    }
}
