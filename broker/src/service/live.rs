//! Settings that change while the broker runs, whoever changes them.

use super::Broker;
use crate::config::{Change, ConfigError, KEYS, Key, Settings, hours};
use rmq_delivery::topics::TopicChange;
use rmq_store::Retention;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What clients may do, since when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionView {
    /// Bits: 4 read, 2 write.
    pub perm: u32,
    /// As given by who set it; empty for the configured one.
    pub reason: String,
    /// Since it became this.
    pub since: Duration,
}

/// What a store deletes when.
pub(crate) fn retention(settings: &Settings) -> Retention {
    let percent = |value: u32| u8::try_from(value).unwrap_or(100);
    Retention {
        keep: Duration::from_secs(u64::from(settings.file_reserved_time).saturating_mul(3_600)),
        delete_hours: hours(&settings.delete_when).unwrap_or_default(),
        max_used_percent: percent(settings.disk_max_used_space_ratio),
        force_percent: percent(settings.disk_space_clean_forcibly_ratio),
        force: settings.clean_file_forcibly_enable,
        warning_percent: percent(settings.disk_space_warning_level_ratio),
        batch_max: usize::try_from(settings.delete_file_batch_max).unwrap_or(usize::MAX),
        every: Duration::from_millis(settings.clean_resource_interval),
        ..Retention::default()
    }
}

impl Broker {
    /// Takes over the live settings among `names` from `new`, which is checked. Those that were set
    /// by an administrator and are not among them stay, and so does a permission that was set
    /// until the next start.
    pub(crate) fn take_over(
        &self,
        new: &Settings,
        names: &BTreeSet<&'static str>,
    ) -> Result<Vec<&'static str>, ConfigError> {
        let _others_wait = self.changing.lock();
        let before = self.settings.load_full();
        let mut settings = Settings::clone(&before);
        let mut changed = Vec::new();
        for key in KEYS.iter().filter(|key| names.contains(key.name) && key.change == Change::Live)
        {
            if key.name == "brokerPermission" && self.permission.lock().overridden {
                continue;
            }
            let text = new.text(key.name).unwrap_or_default();
            if before.text(key.name).as_ref() != Some(&text) {
                settings = settings.with(key, &text)?;
                changed.push(key.name);
            }
        }
        if settings.broker_permission != before.broker_permission {
            self.permission_is("", false);
        }
        if !changed.is_empty() {
            self.put_in_force(settings);
        }
        Ok(changed)
    }

    /// Sets what clients may do, until the next start or until it is set to what is configured.
    pub fn set_permission(&self, perm: u32, reason: &str) {
        let _others_wait = self.changing.lock();
        let before = self.settings.load_full();
        let configured = perm == self.config.settings.broker_permission;
        let changed = before.broker_permission != perm;
        {
            let mut state = self.permission.lock();
            reason.clone_into(&mut state.reason);
            state.overridden = !configured;
            if changed {
                state.since = self.clock.monotonic();
            }
        }
        if changed {
            tracing::info!(perm, reason, "permission changed");
            self.put_in_force(Settings { broker_permission: perm, ..Settings::clone(&before) });
        }
    }

    /// What clients may do.
    pub fn permission(&self) -> PermissionView {
        let state = self.permission.lock();
        let since = self.clock.monotonic().saturating_sub(state.since);
        let perm = self.settings().broker_permission;
        PermissionView { perm, reason: state.reason.clone(), since }
    }

    pub(super) fn permission_is(&self, reason: &str, overridden: bool) {
        let mut state = self.permission.lock();
        reason.clone_into(&mut state.reason);
        state.since = self.clock.monotonic();
        state.overridden = overridden;
    }

    /// Replaces the settings, and what was made of them.
    pub(super) fn put_in_force(&self, settings: Settings) {
        let before = self.settings.load_full();
        let now = self.clock.now();
        let settings = Arc::new(settings);
        self.settings.store(Arc::clone(&settings));
        {
            let mut version = self.settings_version.lock();
            *version = version.next(0, now);
        }
        if settings.log_level != before.log_level
            && let Err(error) = rmq_host::telemetry::set_filter(&settings.log_level)
        {
            tracing::warn!(%error, "what is logged stays as it was");
        }
        let rules = retention(&settings);
        if rules != retention(&before) {
            self.store.set_retention(rules);
        }
        let expire = settings.channel_expired_timeout;
        if expire != before.channel_expired_timeout {
            let expire = i64::try_from(expire).unwrap_or(i64::MAX);
            self.clients.write().set_expire_ms(expire);
        }
        let auto_create = settings.auto_create_subscription_group;
        if auto_create != before.auto_create_subscription_group {
            self.groups.change(|groups| groups.set_auto_create(auto_create));
        }
        let queues = settings.default_topic_queue_nums;
        if queues != before.default_topic_queue_nums {
            let name = |change: &Option<TopicChange>| {
                let config = change.as_ref().and_then(TopicChange::changed);
                config.map(|config| Arc::clone(&config.topic_name)).into_iter().collect()
            };
            let change = |topics: &mut rmq_delivery::Topics| topics.set_default_queues(now, queues);
            self.topics.change(self.outside(), change, name);
        }
        if settings.broker_permission != before.broker_permission {
            let anew = |topics: &mut rmq_delivery::Topics| topics.announce_anew(now);
            self.topics.change(self.outside(), anew, |()| Vec::new());
            self.outside().all_topics_changed();
        }
    }
}

/// The names of the keys that `given` sets, by their present spelling.
pub(crate) fn known_names<'a>(given: impl Iterator<Item = &'a String>) -> BTreeSet<&'static str> {
    given.filter_map(|name| crate::config::key(name)).map(|key: &Key| key.name).collect()
}
