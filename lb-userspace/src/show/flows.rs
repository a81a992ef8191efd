//! Flows of the packet path.

use std::collections::BTreeMap;
use std::io::{self, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::Format;
use crate::datapath::FlowPair;
use crate::text;

/// A flow with the name of its Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowRow {
    /// `namespace/name`; none where the Service is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The flow.
    #[serde(flatten)]
    pub flow: FlowPair,
}

/// Flows with the names of their Services.
pub fn flows(flows: Vec<FlowPair>, services: &BTreeMap<u32, String>) -> Vec<FlowRow> {
    flows.into_iter().map(|flow| FlowRow { service: services.get(&flow.service).cloned(), flow }).collect()
}

/// Prints flows as a table or as JSON.
///
/// # Errors
///
/// Where `out` can't be written.
pub fn print_flows_into(out: &mut impl Write, rows: &[FlowRow], format: Format) -> io::Result<()> {
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut *out, rows)?;
        return writeln!(out);
    }
    if rows.is_empty() {
        return writeln!(out, "no flows of clients outside");
    }
    let wide = format == Format::Wide;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut header = vec!["PROTOCOL", "CLIENT", "DIALS", "REACHES", "STATE", "IDLE"];
    if wide {
        header.extend(["SEEN AS", "AGE", "SERVICE"]);
    }
    table.set_header(header);
    for FlowRow { service, flow } in rows {
        let mut cells = vec![
            flow.protocol.clone(),
            flow.client.to_string(),
            flow.frontend.to_string(),
            flow.backend.to_string(),
            flow.state.to_string(),
            format!("{} s", flow.idle),
        ];
        if wide {
            cells.push(flow.masquerade.unwrap_or(flow.client).to_string());
            cells.push(format!("{} s", flow.age));
            cells.push(text::name(service.as_deref().unwrap_or("-")).to_string());
        }
        table.add_row(cells);
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lb_common::FlowState;

    use super::*;

    fn row() -> FlowRow {
        let socket = |text: &str| text.parse().expect(text);
        let flow = FlowPair {
            protocol: "TCP".to_owned(),
            client: socket("192.0.2.9:40000"),
            frontend: socket("192.168.0.2:31111"),
            masquerade: Some(socket("192.168.0.2:61000")),
            backend: socket("10.244.2.5:80"),
            state: FlowState::HalfClosed,
            assured: true,
            idle: 3,
            age: 70,
            service: 1,
        };
        flows(vec![flow], &BTreeMap::from([(1, "default/web".to_owned())])).remove(0)
    }

    fn printed(format: Format) -> String {
        printed_of(row(), format)
    }

    fn printed_of(row: FlowRow, format: Format) -> String {
        let mut out = Vec::new();
        print_flows_into(&mut out, &[row], format).expect("a vector takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn names_of_any_bytes_are_printed_as_text() {
        let row = FlowRow { service: Some("x\u{1b}[2J\nforged".to_owned()), ..row() };
        let said = printed_of(row, Format::Wide);
        assert!(said.contains(r"x\u{1b}[2J\nforged") && !said.contains(['\u{1b}']), "{said:?}");
        assert_eq!(said.lines().count(), 2, "{said:?}");
    }

    #[test]
    fn a_flow_says_who_reaches_whom_by_what() {
        let expected = [
            " PROTOCOL  CLIENT           DIALS              REACHES        STATE        IDLE",
            " TCP       192.0.2.9:40000  192.168.0.2:31111  10.244.2.5:80  half-closed  3 s",
        ];
        assert_eq!(printed(Format::Table).lines().collect::<Vec<_>>(), expected);
        for text in ["192.168.0.2:61000", "70 s", "default/web"] {
            assert!(printed(Format::Wide).contains(text), "{text}");
        }
    }

    #[test]
    fn a_flow_is_one_flat_object_for_programs() {
        let said: serde_json::Value = serde_json::from_str(&printed(Format::Json)).expect("JSON");
        assert_eq!(said[0]["service"], "default/web");
        assert_eq!(said[0]["state"], "half-closed");
        assert_eq!(said[0]["masquerade"], "192.168.0.2:61000");
    }
}
