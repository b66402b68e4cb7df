//! INFO deployments: each configured source in one line.

use std::fmt::Write;

use super::info::plain;
use super::port::Port;
use super::roster::{self, Standing};
use crate::clock;

pub(crate) fn section(port: &Port, text: &mut String) {
    let entries = roster::entries(&port.fleet);
    text.push_str("# Deployments\r\n");
    for (index, deployment) in port.fleet.deployments().iter().enumerate() {
        let view = deployment.view();
        let own = || {
            entries
                .iter()
                .filter(|e| e.deployment.source == deployment.source)
        };
        let masters = port.fleet.masters();
        let masters = masters.iter().filter(|m| m.source == deployment.source);
        let covered = view.topology.as_ref().map_or(0, |map| map.covered());
        let complaints = view
            .topology
            .as_ref()
            .map_or(0, |map| map.complaints().len());
        let age_s = match view.refreshed_ms {
            0 => "-1".to_owned(),
            at => (clock::unix_ms().saturating_sub(at) / 1000).to_string(),
        };
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            text,
            "keyscape_deployment{index}:label={},kind={},masters={},unowned_masters={},nodes={}",
            plain(&deployment.label),
            deployment.kind.name(),
            masters.count(),
            view.unowned,
            own().count(),
        );
        for which in Standing::ALL {
            let nodes = own().filter(|entry| entry.standing() == which);
            let _ = write!(text, ",nodes_{}={}", which.name(), nodes.count());
        }
        let _ = write!(
            text,
            ",slots_covered={covered},complaints={complaints},map_age_s={age_s},last_error={}\r\n",
            plain(&view.last_error),
        );
    }
}
