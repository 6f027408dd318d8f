//! What is wanted and what was seen, side by side.

use crate::control::{BrokerView, Phase};
use crate::intent::Intent;
use crate::names;
use crate::observed::Observed;
use crate::pods::PodView;
use crate::stage::{GroupStage, Stage};
use crate::staging;

/// Bytes a slave may lag behind and still count as having everything before another pod goes.
pub(crate) const LAG_BYTES_MAX: u64 = 1 << 20;
/// A pod has to be ready for this long before another one goes for it.
pub(crate) const SETTLED_AFTER_MS: u64 = 10_000;
/// A name server has heard from every broker once it has run for this long: brokers register at
/// least this often.
pub(crate) const REGISTRATION_PERIOD_MS: u64 = 30_000;

/// A cluster as it is, against what it should be.
#[derive(Debug)]
pub(crate) struct World<'a> {
    pub(crate) intent: &'a Intent<'a>,
    pub(crate) observed: &'a Observed,
    /// What the objects should look like in this step.
    pub(crate) stage: Stage,
}

/// One StatefulSet and its pods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'w> {
    pub(crate) world: &'w World<'w>,
    pub(crate) stage: &'w GroupStage,
}

impl<'a> World<'a> {
    pub(crate) fn new(intent: &'a Intent<'a>, observed: &'a Observed) -> Self {
        Self { intent, observed, stage: staging::stage(intent, observed) }
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.stage.groups.iter().map(move |stage| Group { world: self, stage })
    }

    pub(crate) fn group(&self, name: &str) -> Option<Group<'_>> {
        self.groups().find(|group| group.stage.name == name)
    }

    /// Groups that belong to the cluster and take part in it.
    pub(crate) fn active(&self) -> impl Iterator<Item = Group<'_>> {
        self.groups().filter(|group| !group.stage.leaving)
    }

    /// Pods of the name servers that the StatefulSet should have, by ordinal; `None` while one is
    /// not there.
    pub(crate) fn name_server_pods(&self) -> Vec<(u32, String, Option<&PodView>)> {
        let count = self.stage.name_servers.replicas.unwrap_or(0);
        (0..count)
            .map(|ordinal| {
                let name = self.intent.names.name_server_pod(ordinal);
                let pod = self.observed.pods.get(&name);
                (ordinal, name, pod)
            })
            .collect()
    }

    /// How many name servers serve.
    pub(crate) fn ready_name_servers(&self) -> usize {
        let pods = self.name_server_pods();
        pods.iter().filter(|(_, _, pod)| pod.is_some_and(PodView::is_ready)).count()
    }

    /// Why the name servers do not all serve yet, for people; `None` if they do.
    pub(crate) fn name_servers_starting(&self) -> Option<String> {
        self.name_servers_ready_for(0, None)
    }

    /// Why the name servers are not settled, for people; `None` if they are. `except` is not
    /// looked at.
    pub(crate) fn name_servers_unsettled(&self, except: Option<&str>) -> Option<String> {
        self.name_servers_ready_for(SETTLED_AFTER_MS, except)
    }

    fn name_servers_ready_for(&self, ready_ms: u64, except: Option<&str>) -> Option<String> {
        let pods = self.name_server_pods();
        let known = |name: &str| self.observed.name_server(name).map(|view| view.brokers.len());
        let most = pods.iter().filter_map(|(_, name, _)| known(name)).max().unwrap_or(0);
        pods.iter().filter(|(_, name, _)| Some(name.as_str()) != except).find_map(
            |(_, name, pod)| {
                if let Some(why) = pod_not_ready_for(ready_ms, name, *pod) {
                    return Some(why);
                }
                match self.observed.name_server(name) {
                    None => Some(format!("{name} does not answer its control port")),
                    Some(view)
                        if view.brokers.len() < most
                            && view.started_ms_ago < REGISTRATION_PERIOD_MS =>
                    {
                        Some(format!("{name} does not know all brokers yet"))
                    }
                    Some(_) => None,
                }
            },
        )
    }

    /// Whether a group other than `name` takes writes.
    pub(crate) fn another_is_writable(&self, name: &str) -> bool {
        self.active().any(|group| group.stage.name != name && group.is_writable())
    }
}

/// Why a pod has not been ready for this long, for people.
fn pod_not_ready_for(ready_ms: u64, name: &str, pod: Option<&PodView>) -> Option<String> {
    let Some(pod) = pod else { return Some(format!("{name} is not there")) };
    if pod.deleting_for_ms.is_some() {
        return Some(format!("{name} is stopping"));
    }
    match pod.ready_for_ms {
        None => Some(match &pod.trouble {
            Some(trouble) => format!("{name} cannot start: {}", trouble.reason),
            None => format!("{name} is not ready"),
        }),
        Some(ms) if ms < ready_ms => Some(format!("{name} has just become ready")),
        Some(_) => None,
    }
}

impl<'w> Group<'w> {
    /// Name of its StatefulSet and of most that belongs to it.
    pub(crate) fn set_name(&self) -> String {
        self.world.intent.names.group(&self.stage.name)
    }

    /// Name of the pod with `ordinal`.
    pub(crate) fn pod_name(&self, ordinal: u32) -> String {
        names::pod(&self.set_name(), ordinal)
    }

    pub(crate) fn pod(&self, ordinal: u32) -> Option<&'w PodView> {
        self.world.observed.pods.get(&self.pod_name(ordinal))
    }

    pub(crate) fn broker(&self, ordinal: u32) -> Option<&'w BrokerView> {
        self.world.observed.broker(&self.pod_name(ordinal))
    }

    /// Ordinals of the pods it should have now.
    pub(crate) fn ordinals(&self) -> std::ops::Range<u32> {
        0..self.stage.replicas
    }

    /// The master, by ordinal; without failover it is always the first.
    pub(crate) fn master(&self) -> Option<&'w BrokerView> {
        self.broker(0)
    }

    /// Whether its master takes writes from clients.
    pub(crate) fn is_writable(&self) -> bool {
        self.pod(0).is_some_and(PodView::is_ready)
            && self.master().is_some_and(|master| {
                master.phase == Phase::Serving
                    && master.permission.writable()
                    && master.disk.writable
            })
    }

    /// Whether any of its pods is there.
    pub(crate) fn has_pods(&self) -> bool {
        let set = self.set_name();
        self.world.observed.pods.keys().any(|pod| names::ordinal(&set, pod).is_some())
    }

    /// Why it does not serve with all its pods yet, for people; `None` if it does.
    pub(crate) fn starting(&self) -> Option<String> {
        self.ready_for(0, None)
    }

    /// Why it is not settled, for people; `None` if it is. The pod `except` is not looked at.
    pub(crate) fn unsettled(&self, except: Option<u32>) -> Option<String> {
        self.ready_for(SETTLED_AFTER_MS, except)
    }

    fn ready_for(&self, ready_ms: u64, except: Option<u32>) -> Option<String> {
        let ordinals = self.ordinals().filter(|ordinal| Some(*ordinal) != except);
        for ordinal in ordinals {
            if let Some(why) = self.pod_not_serving_for(ready_ms, ordinal) {
                return Some(why);
            }
        }
        // A pod that is still there beyond the number wanted holds its volume and its name.
        let set = self.set_name();
        let beyond = self.world.observed.pods.keys().find(|pod| {
            names::ordinal(&set, pod).is_some_and(|ordinal| self.stage.replicas <= ordinal)
        });
        beyond.map(|pod| format!("{pod} is stopping"))
    }

    fn pod_not_serving_for(&self, ready_ms: u64, ordinal: u32) -> Option<String> {
        let name = self.pod_name(ordinal);
        if let Some(why) = pod_not_ready_for(ready_ms, &name, self.pod(ordinal)) {
            return Some(why);
        }
        let Some(broker) = self.broker(ordinal) else {
            return Some(format!("{name} does not answer its control port"));
        };
        if broker.phase != Phase::Serving {
            return Some(format!("{name} does not serve yet"));
        }
        let registered = broker.registrations.iter().filter(|one| one.ok).count();
        let servers = self.world.ready_name_servers();
        if registered < servers.max(1) {
            return Some(format!(
                "{name} is registered with {registered} of {servers} name servers"
            ));
        }
        if ordinal == 0 {
            return None;
        }
        self.replica_unsettled(ordinal)
    }

    /// Why the slave with `ordinal` does not have what its master has.
    pub(crate) fn replica_unsettled(&self, ordinal: u32) -> Option<String> {
        let name = self.pod_name(ordinal);
        let Some(master) = self.master() else {
            return Some(format!("{name} has no master to compare it with"));
        };
        if !master.in_sync.contains(&ordinal) {
            return Some(format!("{name} is not in sync"));
        }
        let lag = master.replicas.iter().find(|one| one.ordinal == ordinal);
        match lag {
            Some(one) if one.lag_bytes <= LAG_BYTES_MAX => None,
            Some(one) => Some(format!("{name} is {} bytes behind", one.lag_bytes)),
            None => Some(format!("{name} is unknown to its master")),
        }
    }
}
