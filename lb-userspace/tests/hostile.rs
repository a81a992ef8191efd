//! What the commands print of objects that others wrote: whatever these hold, no line is made by them and no order
//! is given to a terminal.

use std::process::{Command, Output};
use std::{fs, iter};

/// A newline that begins a line of its own, a title for a terminal, the direction of text turned.
const EVIL: &str = r"x\nproblem: forged\e]0;title\a\e[31m\u202e";

fn shunt(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shunt")).args(arguments).output().expect("shunt runs")
}

#[track_caller]
fn is_plain(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    let is_order = |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
    assert!(!text.contains(is_order), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("problem: forged")), "{text}");
    text
}

#[test]
fn names_of_any_bytes_are_printed_as_text_by_check() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = "apiVersion: v1\nkind: Service\n";
    let texts = [
        format!("{service}metadata: {{name: \"{EVIL}\"}}\n"),
        format!("{service}metadata: {{name: a, namespace: \"{EVIL}\"}}\n"),
        format!("{service}metadata: {{name: b}}\nspec: {{\"{EVIL}\": 1}}\n"),
        format!("{service}metadata: {{name: c}}\nspec: {{ports: [{{name: \"{EVIL}\", port: 80}}]}}\n"),
        format!("{service}metadata: {{name: d}}\nspec: {{ports: [{{port: 80, targetPort: \"{EVIL}\"}}]}}\n"),
        format!("{service}metadata: {{name: e}}\nspec: {{type: \"{EVIL}\"}}\n"),
        format!("apiVersion: v1\nkind: \"{EVIL}\"\n"),
        format!("\"{EVIL}\": 1\n\"{EVIL}\": 2\n"),
    ];
    for (number, text) in texts.iter().enumerate() {
        fs::write(directory.path().join(format!("{number}.yaml")), text).expect("a file");
    }
    fs::write(directory.path().join("\n\u{1b}[31m.yaml"), "a").expect("a file");
    let path = directory.path().to_str().expect("text");
    let text = is_plain(&shunt(&["check", path]));
    assert_eq!(text.lines().filter(|line| line.starts_with("problem: ")).count(), 11, "{text}");
    is_plain(&shunt(&["check", path, "-o", "wide"]));
    let json = shunt(&["check", path, "-o", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(11));
}

#[test]
fn names_of_any_bytes_are_printed_as_text_by_explain() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: \"{EVIL}\"}}\n\
         spec: {{clusterIP: 10.96.0.9, ports: [{{name: \"{EVIL}\", port: 80, targetPort: \"{EVIL}\"}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: s, labels: {{kubernetes.io/service-name: \"{EVIL}\"}}}}\n\
         addressType: IPv4\nports: [{{name: \"{EVIL}\", port: 80}}]\n\
         endpoints: [{{addresses: [10.244.1.2], nodeName: \"{EVIL}\", targetRef: {{kind: Pod, name: \"{EVIL}\"}}}}]\n"
    );
    fs::write(directory.path().join("a.yaml"), text).expect("a file");
    let path = directory.path().to_str().expect("text");
    for output in ["text", "json"] {
        let arguments = ["explain", "10.96.0.9:80", "--manifests", path, "-o", output];
        let said = is_plain(&shunt(&arguments));
        assert!(said.contains("10.244.1.2"), "{said}");
    }
    let missing = shunt(&["explain", "\u{1b}[31m.\n:80", "--manifests", path]);
    is_plain(&missing);
}

#[test]
fn ten_thousand_things_that_are_wrong_are_a_hundred_lines_of_check() {
    let directory = tempfile::tempdir().expect("a directory");
    let text: String = iter::repeat_n("---\napiVersion: v1\nkind: Service\n", 10_000).collect();
    fs::write(directory.path().join("a.yaml"), text).expect("a file");
    let text = is_plain(&shunt(&["check", directory.path().to_str().expect("text")]));
    assert_eq!(text.matches("problem: ").count(), 101, "{text}");
    assert!(text.contains("9900 more of the kind"), "{text}");
}
