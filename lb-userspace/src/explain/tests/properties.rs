//! What holds for any question to any world.

use proptest::prelude::*;

use super::*;
use crate::compile::compile;
use crate::compile::tests::properties::{address, any_node, any_service, any_slice, number, proto};
use crate::model::ObjectName;

/// Up to four Services and their slices, so that they claim each other's addresses.
pub(super) fn any_world() -> impl Strategy<Value = World> {
    let services = prop::collection::vec((any_service(), prop::option::of(0_i64..3)), 0..4);
    let slices = prop::collection::vec(any_slice(), 0..16);
    (services, slices).prop_map(|(services, slices)| {
        let name = |index: usize| format!("web-{index}");
        let services = services.into_iter().enumerate().map(|(index, (service, created))| Service {
            name: ObjectName::new("default", name(index)),
            created,
            ..service
        });
        let slices = slices.into_iter().enumerate().map(|(index, mut slice)| {
            slice.service = name(index % 4);
            slice.name = crate::model::ObjectName::new("default", format!("slice-{index}"));
            slice
        });
        world(services.collect(), slices.collect())
    })
}

proptest! {
    #[test]
    fn an_answer_agrees_with_the_tables_that_the_kernel_gets(
        world in any_world(),
        node in any_node(),
        src in address(),
        dst in address(),
        proto in proto(),
        dport in number(),
    ) {
        let Ok(question) = Question::new(src, proto, dst, dport) else { return Ok(()) };
        let answer = Index::new(&world, &node, &[]).explain(&question);

        prop_assert!(answer.endpoints.is_sorted());
        prop_assert!(answer.masquerade.iter().all(|one| answer.endpoints.contains(one)));
        prop_assert_eq!(answer.verdict == Verdict::Dnat, !answer.endpoints.is_empty());
        prop_assert_eq!(answer.verdict == Verdict::Pass, answer.service.is_empty() && answer.row != "CIP-03");
        prop_assert!(!answer.reason.is_empty() && !answer.steps.is_empty());

        let tables: Vec<_> = world
            .services()
            .flat_map(|service| compile(service, &world.slices_of(&service.name), &node))
            .collect();
        let backends: Vec<String> =
            tables.iter().flat_map(|table| table.backends.keys()).map(ToString::to_string).collect();
        prop_assert!(answer.endpoints.iter().all(|one| backends.contains(one)));
        let own_host = lb_common::Addr::from(question.dst).is_own_host();
        let key = lb_common::FrontendKey::new(question.dst.into(), lb_common::Port::new(dport), proto);
        // A guard that only answers pings decides nothing.
        let decides = |flags: &lb_common::FrontendFlags| !flags.has(lb_common::FrontendFlags::PING_ONLY);
        let claimed = tables.iter().any(|table| table.frontends.get(&key).is_some_and(decides));
        if claimed && !own_host {
            prop_assert!(answer.verdict != Verdict::Pass, "{:?}", answer);
        }
    }
}
