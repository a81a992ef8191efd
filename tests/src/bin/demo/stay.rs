//! After the tour: what to try, and what the instance says to it.

use std::time::Duration;

use anyhow::Result;
use lb_tests::{Inside, Place, programs_dir, shunt_program};

use crate::interrupt::Interrupt;
use crate::page::Page;
use crate::services;
use crate::stage::Stage;

/// Says what to try, and shows what the instance logs, until Ctrl-C.
pub(crate) fn stay(stage: &Stage, page: &Page, interrupt: &Interrupt) -> Result<()> {
    let services = services::read(stage)?;
    let web = services::find(&services, "web")?;
    let peer = programs_dir()?.join("peer");
    let enter = |place: &Place| {
        format!("{} enter --netns {} --cgroup {} --", peer.display(), place.netns(), place.cgroup().display())
    };
    page.heading("It stays up: try it from another terminal", &["Ctrl-C takes everything down again."]);
    page.block("# as the client pod: the Service's address, and a node port");
    page.block(&format!("{} curl -s http://{}", enter(stage.client.place()), web.cluster_ip()?));
    if let Some(node_port) = web.node_port {
        page.block(&format!(
            "{} curl -s http://{}:{node_port}",
            enter(stage.client.place()),
            stage.node.v4()
        ));
        page.block("# as a process of the node: the same port on loopback");
        page.block(&format!("{} curl -s http://127.0.0.1:{node_port}", enter(stage.node.place())));
    }
    page.block("# the Services again; more columns with -o wide");
    page.block(&format!(
        "{} services --pin-dir {}",
        shunt_program()?.display(),
        stage.node.pin_dir().display()
    ));
    page.block("# any change to these manifests is in force at once, and logged here");
    page.block(&format!("ls {}", stage.node.manifests().display()));
    page.line("");
    let mut seen = stage.shunt.lines_so_far();
    while !interrupt.wait(Duration::from_millis(100)) {
        for line in stage.shunt.lines_since(seen) {
            page.line(&line);
            seen += 1;
        }
    }
    Ok(())
}
