//! Floods: spoofed sources churn the new flows among themselves and leave the others alone.

use lb_common::{Counter, Proto};
use lb_tests::packet::Packet;
use lb_tests::programs::{Device, Hook, Lab, Table, Verdict};

use crate::case::{Case, converse};

const CONVERSATIONS: u16 = 500;

/// Makes a packet come from another client: any address in 16.0.0.0/4, any port. Checksums don't matter here,
/// for no program looks at them.
fn spoof(frame: &mut [u8], number: u32) {
    let mixed = number.wrapping_mul(0x9e37_79b1);
    frame[26..30].copy_from_slice(&(0x1000_0000 | mixed >> 4).to_be_bytes());
    frame[34..36].copy_from_slice(&(mixed as u16 | 1_024).to_be_bytes());
}

/// Pours a flood of so many spoofed packets over a node with conversations, while new ones begin. `NEW_FLOWS` has
/// room for the flows of 65,536.
fn pour(mut lab: Lab, case: Case, flood: u32) -> Lab {
    lab.serve(&case.service(case.there()));
    let client = |port| std::net::SocketAddr::new(case.client().ip(), port);
    let sent: Vec<_> = (1..=CONVERSATIONS)
        .map(|number| converse(&mut lab, case, client(1_000 + number), case.frontend()))
        .collect();
    let mut frame = case.open(case.client(), case.frontend()).bytes();
    let (mut out, mut refused, mut begun, mut lost) = (Vec::new(), 0_u32, 0_u32, 0_u32);
    for number in 0..flood {
        spoof(&mut frame, number);
        if lab.pour(Hook::Ingress, Device::External, &frame, &mut out) != Verdict::Redirect {
            refused += 1;
        }
        // A client that means it opens, is answered and goes on, with a thousand spoofed packets between.
        if number % 5_000 == 0 {
            begun += 1;
            lost += u32::from(!begins(&mut lab, case, client(10_000 + begun as u16), &mut frame, number));
        }
    }
    assert_eq!(refused, 0, "a flood has the ports of its own kind");
    println!("{lost} of {begun} conversations lost in a flood of {flood}");
    for (number, sent) in (1..).zip(&sent) {
        let answered = lab.from_outside(&sent.answer()).redirected();
        assert_eq!((answered.src, answered.dst), (case.frontend(), client(1_000 + number)));
        let still = lab.from_outside(&case.go_on(client(1_000 + number), case.frontend())).redirected();
        assert_eq!(&still, sent);
    }
    assert!(lost * 100 <= begun, "{lost} of {begun} conversations that began in the flood were lost");
    assert!(lab.count_flows(Table::Assured) >= 2 * usize::from(CONVERSATIONS));
    lab
}

/// Whether a conversation that begins amid the flood comes to be.
fn begins(lab: &mut Lab, case: Case, client: std::net::SocketAddr, frame: &mut [u8], number: u32) -> bool {
    let opened = lab.from_outside(&case.open(client, case.frontend()));
    if opened.verdict() != Verdict::Redirect {
        return false;
    }
    let opened: Packet = opened.redirected();
    let mut out = Vec::new();
    for step in 0..1_000 {
        spoof(frame, number ^ 0x8000_0000 ^ step);
        let _any = lab.pour(Hook::Ingress, Device::External, frame, &mut out);
    }
    let answered = lab.from_outside(&opened.answer());
    let went_on = lab.from_outside(&case.go_on(client, case.frontend()));
    answered.verdict() == Verdict::Redirect
        && went_on.verdict() == Verdict::Redirect
        && went_on.redirected().src == opened.src
}

#[test]
fn a_flood_of_spoofed_syns_leaves_conversations_alone_and_lets_new_ones_begin() {
    pour(Lab::new(), Case { v4: true, proto: Proto::TCP }, 1_000_000);
}

#[test]
fn a_flood_of_spoofed_datagrams_leaves_conversations_alone_and_lets_new_ones_begin() {
    pour(Lab::new(), Case { v4: true, proto: Proto::UDP }, 300_000);
}

#[test]
fn a_flood_over_a_full_table_leaves_conversations_alone_and_lets_new_ones_begin() {
    let case = Case { v4: true, proto: Proto::TCP };
    let full = 2 * usize::from(CONVERSATIONS);
    let lab = Lab::with_sizes(&[("FLOWS", 2 * u32::from(CONVERSATIONS))]);
    let mut lab = pour(lab, case, 200_000);
    assert_eq!(lab.count_flows(Table::Assured), full);
    // One more goes on where it is, and is counted.
    let client = std::net::SocketAddr::new(case.client().ip(), 9_000);
    let opened = lab.from_outside(&case.open(client, case.frontend())).redirected();
    let _answered = lab.from_outside(&opened.answer()).redirected();
    let ran = lab.from_outside(&case.go_on(client, case.frontend()));
    ran.counting(&[Counter::FlowTableFull, Counter::TcForward]).redirected();
    assert_eq!(lab.count_flows(Table::Assured), full);
}
