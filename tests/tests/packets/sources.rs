//! Source ranges: who may dial (LSR-01 to LSR-04).

use lb_common::Counter;
use lb_tests::programs::Verdict;

use crate::case::{each, ip};

#[test]
fn only_clients_of_the_source_ranges_are_served() {
    each(|case, lab| {
        let (networks, inside, outside): (&[&str], _, _) = if case.v4 {
            (
                &["192.0.2.0/25", "198.51.100.7/32"],
                ["192.0.2.0", "192.0.2.9", "192.0.2.127", "198.51.100.7"],
                ["192.0.2.128", "192.0.3.1", "198.51.100.6", "10.96.0.1"],
            )
        } else {
            (
                &["2001:db8::/65", "2001:db8:7::7/128"],
                ["2001:db8::", "2001:db8::9", "2001:db8::7fff:ffff:ffff:ffff", "2001:db8:7::7"],
                ["2001:db8:0:0:8000::", "2001:db9::9", "2001:db8:7::6", "2001:db8:7::8"],
            )
        };
        lab.serve(&case.service(case.here()).sources(networks));
        for addr in inside {
            let mut client = case.client();
            client.set_ip(ip(addr));
            assert_eq!(
                lab.from_outside(&case.open(client, case.frontend())).passed().dst,
                case.here(),
                "{addr}"
            );
        }
        for addr in outside {
            let mut client = case.client();
            client.set_ip(ip(addr));
            let ran =
                lab.from_outside(&case.open(client, case.frontend())).counting(&[Counter::SourceRefused]);
            assert_eq!(ran.verdict(), Verdict::Drop, "{addr}");
        }
    });
}

#[test]
fn the_ranges_of_one_service_are_no_other_s() {
    each(|case, lab| {
        let everyone: &[&str] = if case.v4 { &["0.0.0.0/0"] } else { &["::/0"] };
        let nobody: &[&str] = if case.v4 { &["198.51.100.0/24"] } else { &["2001:db8:7::/48"] };
        lab.serve(&case.service(case.here()).sources(nobody));
        let other = lb_tests::programs::frontend(case.other_frontend(), case.proto);
        lab.serve(&lb_tests::programs::service(other).to(case.here()).sources(everyone));
        lab.from_outside(&case.dial()).counting(&[Counter::SourceRefused]).dropped();
        assert_eq!(
            lab.from_outside(&case.open(case.client(), case.other_frontend())).passed().dst,
            case.here()
        );
    });
}
