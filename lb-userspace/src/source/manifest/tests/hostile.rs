//! Files that are made to be too much: each is refused as itself, told in a few lines, and what was in force stays.

use super::*;

const WEB: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";

/// A directory that serves `web`.
fn serving() -> Directory {
    let mut directory = Directory::new();
    directory.write("web.yaml", WEB).load();
    assert_eq!(directory.world.services().count(), 1);
    directory
}

/// What is said of `text` in the file of `web`, which stays as it was.
#[track_caller]
fn said_of(text: &str) -> Vec<String> {
    let mut directory = serving();
    let outcome = directory.write("web.yaml", text).load();
    assert_eq!(directory.world.services().count(), 1, "what was in force stays");
    let said: Vec<String> = outcome.problems.iter().map(ToString::to_string).collect();
    for line in &said {
        assert!(line.len() < 4096, "{} bytes: {line:.200}", line.len());
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    said
}

#[test]
fn a_name_of_any_bytes_is_refused_in_one_short_line() {
    for name in ["a\\nb", "\\e[2J", "\\u202e", "\\0", &"x".repeat(1 << 20)] {
        let text = WEB.replace("name: web", &format!("name: \"{name}\", annotations: {{\"\\e\": 7}}"));
        let said = said_of(&format!("{WEB}---\n{text}"));
        assert_eq!(said.len(), 1, "{said:?}");
        let text = WEB.replace("name: web", &format!("name: \"{name}\""));
        let said = said_of(&format!("{WEB}---\n{text}"));
        assert!(said[0].contains("metadata.name"), "{said:?}");
    }
}

#[test]
fn a_field_of_any_bytes_is_refused_in_one_short_line() {
    let long = "x".repeat(1 << 20);
    for value in ["\\e]0;title\\a", "\\r\\n", &long] {
        let said = said_of(&WEB.replace("port: 80", &format!("port: 80, protocol: \"{value}\"")));
        assert!(said[0].contains("protocol"), "{said:?}");
        let said = said_of(&WEB.replace("port: 80", &format!("port: 80, ? \"{value}\" : 1")));
        assert!(said[0].contains("is not a field"), "{said:?}");
    }
}

#[test]
fn a_million_objects_that_are_none_are_told_by_the_first_and_a_number() {
    let said = said_of(&format!("kind: List\napiVersion: v1\nitems: [{}]\n", "1,".repeat(1_000_000)));
    assert_eq!(said.len(), 101);
    assert!(said.iter().any(|line| line.contains("999900 more")), "{said:?}");
    let text: String = (0..200_000).map(|number| format!("  f{number}: 1\n")).collect();
    assert_eq!(
        said_of(&format!("apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec:\n{text}")).len(),
        100
    );
}

#[test]
fn an_alias_of_a_large_text_is_no_way_to_more_memory() {
    let large = "x".repeat(1 << 20);
    let said = said_of(&format!("a: &a {large}\nb: [{}]\n", "*a,".repeat(90_000)));
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn depth_is_refused_in_yaml_and_in_json() {
    let deep = "[".repeat(1 << 20);
    assert_eq!(said_of(&deep).len(), 1);
    let mut directory = serving();
    let outcome = directory.write("deep.json", &deep).load();
    assert_eq!((outcome.problems.len(), directory.world.services().count()), (1, 1));
}

#[test]
fn a_service_with_a_megabyte_of_annotations_is_served_and_its_annotations_are_not_kept() {
    let large = "x".repeat(1 << 20);
    let mut directory = serving();
    let text = WEB.replace("name: web", &format!("name: large, annotations: {{a: {large}}}"));
    let outcome = directory.write("large.yaml", &text).load();
    assert_eq!(outcome.problems, []);
    let service =
        directory.world.services().find(|service| service.name.name == "large").expect("it is served");
    assert!(!format!("{service:?}").contains("xxxx"));
}
