//! One test per rule of the tables; every one ends with a check of the invariants.

mod admin;
mod leave;
mod register;

use super::*;
use std::time::Duration;

const C: &str = "DefaultCluster";

fn rules(acting: bool, notify: bool) -> Rules {
    Rules {
        support_acting_master: acting,
        notify_min_broker_id_changed: notify,
        delete_topic_with_registration: false,
    }
}

fn routes(rules: Rules) -> Routes {
    Routes::new(rules, Limits::default())
}

fn head<'a>(broker: &'a str, addr: &'a str, id: i64) -> Head<'a> {
    Head {
        cluster: C,
        broker,
        addr,
        ha_addr: "ha",
        id,
        timeout: None,
        acting_master: None,
        zone: None,
        conn: 1,
    }
}

fn version(counter: i64, state_version: i64) -> DataVersion {
    DataVersion { counter, state_version, timestamp: 5 }
}

fn table(counter: i64, topics: &[&str]) -> Table {
    let entry = QueueEntry::new(8, Permission::READ_WRITE);
    Table {
        version: version(counter, 0),
        topics: topics.iter().map(|topic| (Arc::from(*topic), entry)).collect(),
        ..Table::default()
    }
}

/// Registers and checks the tables; what must happen outside.
fn register(routes: &mut Routes, head: Head<'_>, table: Table) -> (Registered, Effects) {
    register_at(routes, Duration::ZERO, head, table)
}

fn register_at(
    routes: &mut Routes,
    now: Duration,
    head: Head<'_>,
    table: Table,
) -> (Registered, Effects) {
    let mut out = Effects::default();
    let done = routes.register(now, head, table, Some(7), &mut out).expect("the tables have room");
    routes.check();
    (done, out)
}

fn leave(routes: &mut Routes, broker: &str, addr: &str) -> Effects {
    let mut out = Effects::default();
    let one = Leaving { cluster: C.into(), broker: broker.into(), addr: addr.into() };
    routes.leave(&[one], &mut out);
    routes.check();
    out
}

fn addrs(routes: &Routes, broker: &str) -> Vec<(i64, String)> {
    let members = routes.members(broker).map(|view| view.addrs).unwrap_or_default();
    members.iter().map(|(id, addr)| (*id, addr.to_string())).collect()
}

fn perm(routes: &Routes, topic: &str, broker: &str) -> u32 {
    let view = routes.route(topic).expect("the topic has a route");
    let entry = view.queues.iter().find(|(name, _)| **name == *broker);
    entry.map(|(_, entry)| entry.perm.0).expect("the broker has the topic")
}

fn names(topics: &[Arc<str>]) -> Vec<&str> {
    topics.iter().map(|topic| &**topic).collect()
}
