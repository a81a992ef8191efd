//! `docs/semantics.md` says what is true: every row is there once, every test that it names exists, and what
//! it claims is shown by one.
#![expect(clippy::unwrap_used, reason = "a page that can't be read fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The ids of the specification: a prefix, its first and its last number.
const ROWS: [(&str, u32, u32); 25] = [
    ("SVC", 1, 14),
    ("EPS", 0, 15),
    ("TOPO", 1, 7),
    ("CIP", 1, 5),
    ("NP", 1, 5),
    ("LB", 1, 4),
    ("EXT", 1, 2),
    ("LSR", 1, 5),
    ("NOE", 1, 5),
    ("LBA", 1, 3),
    ("AFF", 1, 7),
    ("NAT", 1, 10),
    ("CT", 1, 7),
    ("SYS", 1, 2),
    ("HCN", 1, 8),
    ("HLZ", 1, 6),
    ("MTS", 1, 1),
    ("NOD", 1, 5),
    ("SYN", 1, 5),
    ("RST", 1, 6),
    ("EVT", 1, 1),
    ("RBAC", 1, 1),
    ("PRV", 1, 1),
    ("LAG", 1, 1),
    ("KRN", 1, 13),
];
/// The one id without a number.
const DETECT_LOCAL: &str = "CFG-DL";
/// What follows is written from the tests.
const GENERATED: &str = "<!-- tests -->\n";
/// How it is written.
const REMEDY: &str = "SHUNT_WRITE_DOCS=1 cargo test -p lb-userspace --test semantics";

/// A line of one of the tables.
struct Row {
    id: String,
    state: String,
    remark: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    fs::read_to_string(root().join("docs/semantics.md")).unwrap()
}

fn ids() -> BTreeSet<String> {
    let numbered = ROWS.iter().flat_map(|(prefix, first, last)| {
        (*first..=*last).map(move |number| format!("{prefix}-{number:02}"))
    });
    numbered.chain([DETECT_LOCAL.to_owned()]).collect()
}

fn rows(page: &str) -> Vec<Row> {
    let ids = ids();
    page.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| ")?.split('|').map(str::trim).collect();
            let [id, _, _, state, remark, ..] = cells.as_slice() else { return None };
            let [id, state, remark] = [id, state, remark].map(|cell| (*cell).to_owned());
            ids.contains(&id).then_some(Row { id, state, remark })
        })
        .collect()
}

/// Every test of the repository by its name, with its name, the comments above it and those inside.
fn tests() -> BTreeMap<String, String> {
    let mut tests = BTreeMap::new();
    let mut directories = vec![];
    for directory in ["lb-common", "lb-userspace", "tests", "xtask"] {
        directories.extend([root().join(directory).join("src"), root().join(directory).join("tests")]);
    }
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                collect(&fs::read_to_string(&path).unwrap(), &mut tests);
            }
        }
    }
    tests
}

fn collect(source: &str, tests: &mut BTreeMap<String, String>) {
    let lines: Vec<&str> = source.lines().collect();
    let is_comment = |line: &&&str| line.trim_start().starts_with("//");
    for (index, line) in lines.iter().enumerate() {
        let attribute = line.trim_start();
        if !(attribute.starts_with("#[test]") || attribute.starts_with("#[tokio::test")) {
            continue;
        }
        let end_of_test = format!("{}}}", &line[..line.len() - attribute.len()]);
        let body: Vec<&str> =
            lines[index..].iter().copied().take_while(|line| *line != end_of_test).collect();
        let signature = body.iter().find_map(|line| line.split_once("fn ").map(|(_, rest)| rest));
        let Some(name) = signature.and_then(|rest| rest.split('(').next()) else { continue };
        let above = lines[..index].iter().rev().take_while(is_comment);
        let comments: Vec<&str> = above.chain(body.iter().filter(is_comment)).copied().collect();
        tests.insert(name.to_owned(), format!("{}\n{}", name, comments.join("\n")));
    }
}

/// Whether a test's name or comments have the id: `eps_07` or `EPS-07`.
fn has_id(text: &str, id: &str) -> bool {
    let is_apart = |character: Option<char>| !character.is_some_and(|one| one.is_ascii_alphanumeric());
    [id.to_owned(), id.to_lowercase().replace('-', "_")].iter().any(|written| {
        text.match_indices(written.as_str()).any(|(at, _)| {
            is_apart(text[..at].chars().next_back()) && is_apart(text[at + written.len()..].chars().next())
        })
    })
}

fn tests_by_row(page: &str, tests: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for Row { id, .. } in rows(page) {
        let named: Vec<String> =
            tests.iter().filter(|(_, text)| has_id(text, &id)).map(|(name, _)| format!("`{name}`")).collect();
        if !named.is_empty() {
            text += &format!("- **{id}**: {}\n", named.join(", "));
        }
    }
    text
}

/// The names of tests in a text: between backticks, several words joined by underscores.
fn named_in(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.matches('_').count() >= 3).map(str::to_owned).collect()
}

#[test]
fn every_row_of_the_specification_is_on_the_page_once() {
    let found: Vec<String> = rows(&page()).into_iter().map(|row| row.id).collect();
    let distinct: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(distinct, ids());
    assert_eq!(found.len(), distinct.len(), "a row is there twice");
}

#[test]
fn what_is_claimed_is_shown_by_a_test() {
    let tests = tests();
    for Row { id, state, remark } in rows(&page()) {
        match state.as_str() {
            "done" => assert!(
                tests.values().any(|text| has_id(text, &id)) || !named_in(&remark).is_empty(),
                "{id} is done, and no test names it"
            ),
            // Tests of the model name the row too: it takes one that dials.
            "sockets" => assert!(!named_in(&remark).is_empty(), "{id} is dialled by no test that it names"),
            "partial" | "later" | "none" => {
                assert!(!remark.is_empty(), "{id} is {state}, and nothing says why or where");
            }
            other => panic!("{id}: {other:?} is not a state"),
        }
    }
}

#[test]
fn every_test_that_the_page_names_exists() {
    let (page, tests) = (page(), tests());
    let (text, list) = page.split_once(GENERATED).unwrap();
    if std::env::var_os("SHUNT_WRITE_DOCS").is_some() {
        let written = format!("{text}{GENERATED}\n{}", tests_by_row(&page, &tests));
        return fs::write(root().join("docs/semantics.md"), written).unwrap();
    }
    for name in named_in(text) {
        assert!(tests.contains_key(&name), "{name} is no test any more: name another in its remark");
    }
    let lines: Vec<&str> = list.lines().filter(|line| !line.is_empty()).collect();
    assert!(!lines.is_empty(), "the list of tests is not written: {REMEDY}");
    for line in lines {
        let id = line.split("**").nth(1).unwrap();
        for name in named_in(line) {
            let shows = tests.get(&name).is_some_and(|text| has_id(text, id));
            assert!(shows, "{name} is no test of {id} any more: {REMEDY}");
        }
    }
}
