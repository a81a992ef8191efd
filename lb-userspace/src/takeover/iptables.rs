//! Chains of iptables: from what `iptables-save` prints to what `iptables-restore` is told. Where the node has no
//! such program, whether there could be any.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::nf_tables::Named;
use super::tools::{self, ToolError};

/// Chains that kube-proxy makes, by their whole names.
const CHAINS: [&str; 16] = [
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-POSTROUTING",
    "KUBE-MARK-MASQ",
    "KUBE-MARK-DROP",
    "KUBE-FORWARD",
    "KUBE-PROXY-FIREWALL",
    "KUBE-PROXY-CANARY",
    "KUBE-SOURCE-RANGES-FIREWALL",
    "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
    "KUBE-NODE-PORT",
    "KUBE-LOAD-BALANCER",
    "KUBE-LOAD-BALANCER-FW",
    "KUBE-PORTALS-HOST",
];
/// And by the beginnings of their names, for Services and endpoints.
const PREFIXES: [&str; 6] = ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-SEP-", "KUBE-FW-", "KUBE-XLB-"];
/// Chains of the kernel, in which kube-proxy has rules that lead to its own.
const BUILT_IN: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// How long another program that changes the tables is waited for, in seconds.
const WAIT: &str = "--wait=30";

/// One of iptables' programs: for a family, by one of its two interfaces to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    save: &'static str,
    restore: &'static str,
    kernel: Kernel,
}

/// One of the two interfaces, of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// nf_tables, which calls the family so.
    NfTables(&'static str),
    /// The older one, with the names of the tables that are in use in this file.
    Legacy(&'static str),
}

impl Backend {
    /// All of them.
    pub fn all() -> [Self; 4] {
        [
            Self {
                save: "iptables-nft-save",
                restore: "iptables-nft-restore",
                kernel: Kernel::NfTables("ip"),
            },
            Self {
                save: "ip6tables-nft-save",
                restore: "ip6tables-nft-restore",
                kernel: Kernel::NfTables("ip6"),
            },
            Self {
                save: "iptables-legacy-save",
                restore: "iptables-legacy-restore",
                kernel: Kernel::Legacy("/proc/net/ip_tables_names"),
            },
            Self {
                save: "ip6tables-legacy-save",
                restore: "ip6tables-legacy-restore",
                kernel: Kernel::Legacy("/proc/net/ip6_tables_names"),
            },
        ]
    }

    /// The program that shows its chains.
    pub fn save(self) -> &'static str {
        self.save
    }
}

/// What there is of kube-proxy's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftovers {
    backend: Backend,
    tables: BTreeMap<String, Table>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Table {
    /// Rules in chains of the kernel that lead to chains that go, as they were added.
    rules: Vec<String>,
    /// Chains that go.
    chains: BTreeSet<String>,
    /// Chains that stay, for others lead to them.
    kept: BTreeSet<String>,
}

impl Leftovers {
    /// Nothing there, not even something that has to stay.
    pub(super) fn is_empty(&self) -> bool {
        self.tables.values().all(|table| table.chains.is_empty() && table.kept.is_empty())
    }

    /// How many chains go.
    pub(super) fn chains(&self) -> usize {
        self.tables.values().map(|table| table.chains.len()).sum()
    }

    /// Chains that stay, with their tables.
    pub(super) fn kept(&self) -> Vec<String> {
        let named = |(name, table): (&String, &Table)| {
            table.kept.iter().map(|chain| format!("{name}/{chain}")).collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(named).collect()
    }

    /// Of what one of the programs printed.
    fn parse(backend: Backend, saved: &str) -> Self {
        let mut tables = BTreeMap::new();
        let mut rest = saved;
        while let Some((_, from)) = rest.split_once("\n*").or_else(|| Some(("", rest.strip_prefix('*')?))) {
            let (whole, after) = from.split_once("\nCOMMIT").unwrap_or((from, ""));
            let (name, body) = whole.split_once('\n').unwrap_or((whole, ""));
            tables.insert(name.trim().to_owned(), Table::parse(body));
            rest = after;
        }
        Self { backend, tables }
    }

    /// What `iptables-restore --noflush` is told. To declare a chain empties it; then no rule leads to it.
    fn script(&self) -> String {
        let mut script = String::new();
        for (name, table) in self.tables.iter().filter(|(_, table)| !table.chains.is_empty()) {
            let mut line = |line: String| script.extend([line.as_str(), "\n"]);
            line(format!("*{name}"));
            table.chains.iter().for_each(|chain| line(format!(":{chain} - [0:0]")));
            table.rules.iter().for_each(|rule| line(format!("-D {rule}")));
            table.chains.iter().for_each(|chain| line(format!("-X {chain}")));
            line("COMMIT".to_owned());
        }
        script
    }
}

impl Table {
    fn parse(body: &str) -> Self {
        let declared = body.lines().filter_map(|line| line.strip_prefix(':')?.split_whitespace().next());
        let own: BTreeSet<&str> = declared.filter(|chain| is_own(chain)).collect();
        let rules: Vec<(&str, &str, &str)> = body.lines().filter_map(leading).collect();
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = Vec::new();
        for (from, _, to) in &rules {
            if own.contains(to) && !own.contains(from) && !BUILT_IN.contains(from) {
                open.push(to);
            }
        }
        // A chain that stays keeps those that it leads to.
        while let Some(chain) = open.pop() {
            if kept.insert(chain) {
                let onward = rules.iter().filter(|(from, _, to)| *from == chain && own.contains(to));
                open.extend(onward.map(|(_, _, to)| *to));
            }
        }
        let goes = |chain: &str| own.contains(chain) && !kept.contains(chain);
        let owned = |names: &BTreeSet<&str>| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            rules: rules
                .iter()
                .filter(|(from, _, to)| BUILT_IN.contains(from) && goes(to))
                .map(|(_, rule, _)| (*rule).to_owned())
                .collect(),
            chains: owned(&own.difference(&kept).copied().collect()),
            kept: owned(&kept),
        }
    }
}

/// Of a rule that leads from one chain to another: the first, the rule as it can be deleted, and the other.
fn leading(line: &str) -> Option<(&str, &str, &str)> {
    let rule = line.strip_prefix("-A ")?;
    let from = rule.split(' ').next()?;
    // The target and what it is told come last; a comment before it may hold any word.
    let to = rule.rsplit_once(" -j ").or_else(|| rule.rsplit_once(" -g "))?.1.split(' ').next()?;
    Some((from, rule, to))
}

fn is_own(chain: &str) -> bool {
    CHAINS.contains(&chain) || PREFIXES.iter().any(|prefix| chain.starts_with(prefix))
}

/// Looks. Where the node lacks the program, there is nothing as long as the kernel has nothing that it would show:
/// no chain of `chains`, which are nf_tables', with a name of kube-proxy's; no legacy table that is in use.
pub(super) fn find(backend: Backend, chains: &[Named]) -> Result<Option<Leftovers>, ToolError> {
    if let Some(saved) = tools::output(backend.save, &[])? {
        return Ok(Some(Leftovers::parse(backend, &saved)));
    }
    let why = match backend.kernel {
        Kernel::NfTables(family) => unseen_chains(family, chains),
        Kernel::Legacy(file) => unseen_tables(&fs::read_to_string(file).unwrap_or_default()),
    };
    why.map_or(Ok(None), |why| Err(ToolError::Missing { tool: backend.save.to_owned(), why }))
}

/// What there is of kube-proxy's, among all chains of nf_tables.
fn unseen_chains(family: &str, chains: &[Named]) -> Option<String> {
    let count = chains.iter().filter(|chain| chain.family == family && is_own(&chain.name)).count();
    (count > 0)
        .then(|| format!("nf_tables has chains ({count}) with kube-proxy's names in the family {family}"))
}

/// What there may be of kube-proxy's: the file names the tables that are in use.
fn unseen_tables(file: &str) -> Option<String> {
    let names: Vec<&str> = file.split_whitespace().collect();
    (!names.is_empty()).then(|| format!("legacy iptables has the tables {}", names.join(", ")))
}

/// Removes: a whole table at once.
pub(super) fn remove(leftovers: &Leftovers) -> Result<(), ToolError> {
    let script = leftovers.script();
    if script.is_empty() {
        return Ok(());
    }
    // Legacy tables are written by one at a time; the other interface passes the word over.
    tools::run(leftovers.backend.restore, &["--noflush", WAIT], &script).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "\
# Generated by iptables-save
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -p tcp -m comment --comment \"see -j KUBE-FORWARD\" -j ACCEPT
-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
# Completed
*nat
:PREROUTING ACCEPT [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-ABC - [0:0]
-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A PREROUTING -j CNI-HOSTPORT-SETMARK
-A CNI-HOSTPORT-SETMARK -j KUBE-MARK-MASQ
-A KUBE-SERVICES -d 10.96.0.10/32 -j KUBE-SVC-ABC
-A KUBE-SVC-ABC -j KUBE-MARK-MASQ
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
COMMIT
";

    #[test]
    fn what_is_told_takes_out_kube_proxys_chains_and_the_rules_that_lead_there() {
        let leftovers = Leftovers::parse(Backend::all()[0], SAVED);
        let expected = "\
*filter
:KUBE-FORWARD - [0:0]
-D FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD
-X KUBE-FORWARD
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-ABC - [0:0]
-D PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-X KUBE-SERVICES
-X KUBE-SVC-ABC
COMMIT
";
        assert_eq!(leftovers.script(), expected);
        assert_eq!(leftovers.kept(), ["nat/KUBE-MARK-MASQ"]);
        assert_eq!(leftovers.chains(), 3);
    }

    #[test]
    fn what_no_program_can_show_is_known_by_the_kernel_s_own_lists() {
        let chain = |family, name: &str| Named { family, name: name.to_owned() };
        let chains = [chain("ip", "KUBE-SERVICES"), chain("ip", "KUBE-FIREWALL"), chain("ip", "INPUT")];
        let why = unseen_chains("ip", &chains).expect("a chain of kube-proxy's");
        assert_eq!(why, "nf_tables has chains (1) with kube-proxy's names in the family ip");
        assert_eq!(unseen_chains("ip6", &chains), None);
        assert_eq!(unseen_chains("ip", &chains[1..]), None, "the kubelet's");
        assert_eq!(
            unseen_tables("nat\nfilter\n").as_deref(),
            Some("legacy iptables has the tables nat, filter")
        );
        assert_eq!(unseen_tables(""), None);
    }

    #[test]
    fn nothing_is_told_where_there_is_nothing_of_kube_proxys() {
        let saved =
            "*filter\n:INPUT ACCEPT [0:0]\n:KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\nCOMMIT\n";
        let leftovers = Leftovers::parse(Backend::all()[0], saved);
        assert!(leftovers.is_empty());
        assert_eq!(leftovers.script(), "");
    }
}
