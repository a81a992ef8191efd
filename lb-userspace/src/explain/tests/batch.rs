//! Questions by the line.

use serde_json::{Value, json};

use super::*;
use crate::explain::batch::answer_all;
use crate::explain::oracle::Oracle;
use crate::model::TrafficPolicy;

/// The lines out for lines in, and how many were no questions.
fn answers(world: &World, lines: &str) -> (Vec<Value>, usize) {
    let node = node();
    let index = Index::new(world, &node, &[]);
    let mut out = Vec::new();
    let oracle = Oracle { index: &index, has_objects: true, maps: None };
    let refused = answer_all(&oracle, lines.as_bytes(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), refused)
}

#[test]
fn each_question_has_one_line_of_these_fields_in_its_place() {
    let service = Service { external_policy: TrafficPolicy::Local, ..node_port_service() };
    let lines = r#"{"id":"a","src":"203.0.113.7","proto":"TCP","dst":"192.168.0.2","dport":31111}

{"id":{"n":2},"src":"10.244.1.5","proto":"udp","dst":"192.168.0.2","dport":53}
"#;
    let (answers, refused) = answers(&served(service, both()), lines);
    assert_eq!(refused, 0);
    assert_eq!(
        answers[0],
        json!({
            "id": "a",
            "verdict": "DNAT",
            "endpoints": ["10.244.1.11:80"],
            "masquerade": [],
            "service": "default/web:8080",
            "reason": "31111 is the node port of Service default/web on this node, which has 1 endpoint of \
                       this node for it: the packet goes to it.",
            "row": "EPS-08",
        })
    );
    assert_eq!(answers[1]["id"], json!({"n": 2}));
    assert_eq!((&answers[1]["verdict"], &answers[1]["service"]), (&json!("PASS"), &json!("")));
    assert_eq!(answers.len(), 2);
}

#[test]
fn a_line_that_is_no_question_is_told_so_in_its_place_and_the_rest_is_answered() {
    let lines = r#"not json
{"id":1,"src":"10.244.1.5","dst":"fd00::1","dport":80}
{"id":2,"src":"10.244.1.5","proto":"GRE","dst":"172.20.0.10","dport":80}
{"id":3,"src":"10.244.1.5","dst":"172.20.0.10","dport":70000}
{"id":4,"src":"10.244.1.5","dst":"172.20.0.10","dport":8080}
"#;
    let (answers, refused) = answers(&served(service(), both()), lines);
    assert_eq!(refused, 4);
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&Value::Null, &json!(1), &json!(2), &json!(3), &json!(4)]);
    assert_eq!(answers[2]["error"], json!("the protocol \"GRE\" is not one of TCP, UDP, SCTP, ICMP"));
    assert_eq!(answers[4]["verdict"], json!("DNAT"));
}
