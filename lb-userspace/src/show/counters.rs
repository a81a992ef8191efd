//! What was counted, for people.

use comfy_table::{Table, presets};
use lb_common::Counter;

/// A table of counters with what each means; without those at zero unless `all`. `None` where none is left.
pub(super) fn table(counters: &[(Counter, u64)], all: bool) -> Option<Table> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["COUNTED", "TIMES", "BECAME", "WHAT"]);
    for (counter, times) in counters.iter().filter(|(_, times)| all || *times > 0) {
        let (became, what) = describe(*counter);
        table.add_row([counter.name(), &times.to_string(), became, what]);
    }
    (!table.is_empty()).then_some(table)
}

/// What becomes of what is counted, in a word, and what it is.
pub(crate) const fn describe(counter: Counter) -> (&'static str, &'static str) {
    const SERVED: &str = "served";
    const ANSWERED: &str = "answered";
    const REFUSED: &str = "refused";
    const DROPPED: &str = "dropped";
    match counter {
        Counter::SocketConnect => (SERVED, "connect on this node, sent to an endpoint"),
        Counter::SocketSend => (SERVED, "datagram from this node, sent to an endpoint"),
        Counter::SocketReceive => (SERVED, "answer shown as the Service's"),
        Counter::SocketPeerName => (SERVED, "peer shown as the Service's"),
        Counter::NotRemembered => (SERVED, "no memory: an application sees its endpoint's address"),
        Counter::TcForward => (SERVED, "packet of a client, sent on to an endpoint"),
        Counter::TcReply => (SERVED, "packet of an endpoint, sent back to a client"),
        Counter::IcmpError => (SERVED, "ICMP error about a flow, sent on"),
        Counter::StaleFlow => (SERVED, "datagram of a flow whose endpoint is gone, sent to another"),
        Counter::NewFlow => (SERVED, "flow begun"),
        Counter::AssuredFlow => (SERVED, "flow that both sides have confirmed"),
        Counter::FlowTableFull => (SERVED, "flow without room among the confirmed: a flood may end it"),
        Counter::EchoAnswered => (ANSWERED, "ping of a Service's address"),
        Counter::TtlExpired => (ANSWERED, "packet whose hops ended here"),
        Counter::TooBig => (ANSWERED, "packet too big for the way on"),
        Counter::RefusedRst => (ANSWERED, "with RST: no endpoint, wrong port, or no connection"),
        Counter::RefusedIcmp => (ANSWERED, "with ICMP port unreachable: no endpoint, or wrong port"),
        Counter::NoEndpoint => (REFUSED, "the Service has no endpoint"),
        Counter::UnknownPort => (REFUSED, "the ClusterIP has no such port"),
        Counter::NoFlow => (REFUSED, "in the middle of a connection that nobody knows"),
        Counter::Inconsistent => (REFUSED, "the maps contradict each other: please report it"),
        Counter::NodePortTaken => (REFUSED, "bind to a node port"),
        Counter::NoLocalEndpoint => (DROPPED, "policy Local, and no endpoint on this node"),
        Counter::SourceRefused => (DROPPED, "client outside the Service's source ranges"),
        Counter::MasqueradeExhausted => (DROPPED, "no masquerade port free toward the endpoint"),
        Counter::FragmentUnknown => (DROPPED, "fragment that came before the first of its datagram"),
        Counter::Malformed => (DROPPED, "packet that contradicts itself"),
        Counter::NoRoute => (DROPPED, "no route to the endpoint or to the client"),
        Counter::UnallocatedAddress => (DROPPED, "address of Services that no Service has"),
        Counter::Unanswered => (DROPPED, "packet to be refused that could not be answered"),
        Counter::ForgedSource => (DROPPED, "client with an address that no client has"),
        Counter::AnswerLimited => (DROPPED, "packet to be answered by ICMP, of which many were just sent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_happened_is_shown_unless_all_is_asked_for() {
        let counters = Counter::ALL.map(|counter| (counter, u64::from(counter == Counter::NoRoute)));
        assert_eq!(table(&counters, false).expect("a table").row_iter().count(), 1);
        assert_eq!(table(&counters, true).expect("a table").row_iter().count(), Counter::ALL.len());
        assert!(table(&[(Counter::NoRoute, 0)], false).is_none());
    }
}
