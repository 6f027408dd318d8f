//! Delivery of delayed messages: the shell around [`Scheduler`](rmq_delivery::delay::Scheduler).

use crate::service::Broker;
use bytes::Bytes;
use rmq_delivery::delay::{self, Deliver, Entry, LevelRead, ReadOrder};
use rmq_model::name::SCHEDULE_TOPIC;
use rmq_model::{LogOffset, Millis};
use rmq_record::layout::Check;
use rmq_record::{Message, RecordView};
use rmq_store::{OneOrMany, Prepared, Put, PutDone, PutGroup, PutResult, UnitView};
use std::io;
use std::sync::Arc;
use tokio::sync::Notify;

/// Bytes of waiting messages that are delivered together.
const TOGETHER_BYTES_MAX: u64 = 8 << 20;

/// Reports deliveries to the scheduler and wakes who drives it.
struct Delivered {
    broker: Arc<Broker>,
    level: u32,
    wake: Arc<Notify>,
}

impl PutDone for Delivered {
    fn done(&self, results: &mut Vec<PutResult>) {
        let now = self.broker.now();
        let mut scheduler = self.broker.scheduler.lock();
        for (token, result) in results.drain(..) {
            let offset = i64::try_from(token).unwrap_or(i64::MAX);
            scheduler.delivered(now, Deliver { level: self.level, offset }, result.is_ok());
        }
        drop(scheduler);
        self.wake.notify_one();
    }
}

impl Broker {
    /// Delivers what is due; gives the time of the next look. Reads the log: may block.
    pub fn deliver_due(self: &Arc<Self>, wake: &Arc<Notify>) -> Option<Millis> {
        let arrivals = self.waiting.take_delayed();
        let mut orders = Vec::new();
        {
            let mut scheduler = self.scheduler.lock();
            for (level, due) in arrivals {
                scheduler.arrived(level, due);
            }
            scheduler.orders(self.now(), &mut orders);
        }
        for order in orders {
            self.work_off(order, wake);
        }
        self.scheduler.lock().wake_at()
    }

    fn work_off(self: &Arc<Self>, order: ReadOrder, wake: &Arc<Notify>) {
        let queue = order.level.saturating_sub(1);
        let from = u64::try_from(order.from).unwrap_or(0);
        let count = usize::try_from(order.max).unwrap_or(usize::MAX);
        let mut units =
            self.store.tags_codes(SCHEDULE_TOPIC, queue, from, count).unwrap_or_else(|error| {
                tracing::warn!(level = order.level, %error, "cannot read a delay level");
                Vec::new()
            });
        let mut bytes = 0u64;
        let fits = |unit: &UnitView| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(u64::from(unit.bytes));
            first || bytes <= TOGETHER_BYTES_MAX
        };
        let together = units.iter().map_while({
            let mut fits = fits;
            move |unit| fits(unit).then_some(())
        });
        let together = together.count();
        units.truncate(together);
        let offset_of = |unit: &UnitView| i64::try_from(unit.queue_offset).unwrap_or(i64::MAX);
        let entries: Vec<Entry> = units
            .iter()
            .map(|unit| Entry { offset: offset_of(unit), due: unit.tags_code })
            .collect();
        let done = LevelRead {
            order,
            entries: &entries,
            next: units.last().map_or(order.from, |last| offset_of(last).saturating_add(1)),
            min: self.min_offset(SCHEDULE_TOPIC, queue).max(0),
            max: self.max_offset(SCHEDULE_TOPIC, queue).max(0),
        };
        let mut deliver = Vec::new();
        self.scheduler.lock().read(self.now(), &done, &mut deliver);
        self.store_delivered(order.level, &deliver, &units, wake);
    }

    fn store_delivered(
        self: &Arc<Self>,
        level: u32,
        deliver: &[Deliver],
        units: &[UnitView],
        wake: &Arc<Notify>,
    ) {
        let mut puts = Vec::with_capacity(deliver.len());
        let mut given_up = Vec::new();
        let mut unread = Vec::new();
        for delivery in deliver {
            let token = u64::try_from(delivery.offset).unwrap_or(0);
            let unit = units.iter().find(|unit| unit.queue_offset == token);
            match unit.map_or(Ok(None), |unit| self.delivered_copy(unit.log_offset)) {
                Ok(Some(prepared)) => {
                    let messages = OneOrMany::One(prepared);
                    // Progress must not be saved ahead of what it says was delivered.
                    puts.push(Put { token, messages, wait: true });
                }
                Ok(None) => given_up.push(*delivery),
                Err(error) => {
                    let offset = delivery.offset;
                    tracing::warn!(level, offset, %error, "cannot read a delayed message");
                    unread.push(*delivery);
                }
            }
        }
        let now = self.now();
        for delivery in unread {
            self.scheduler.lock().delivered(now, delivery, false);
        }
        for delivery in given_up {
            tracing::warn!(
                level,
                offset = delivery.offset,
                "a delayed message cannot be delivered"
            );
            self.scheduler.lock().delivered(now, delivery, true);
        }
        if puts.is_empty() {
            return;
        }
        let done = Delivered { broker: Arc::clone(self), level, wake: Arc::clone(wake) };
        if let Err(refused) = self.store.put(PutGroup { puts, done: Arc::new(done) }) {
            let mut scheduler = self.scheduler.lock();
            for put in refused.puts {
                let offset = i64::try_from(put.token).unwrap_or(i64::MAX);
                scheduler.delivered(now, Deliver { level, offset }, false);
            }
        }
    }

    /// The message as its consumers see it; `None` for what is gone or can never be stored.
    fn delivered_copy(&self, at: LogOffset) -> io::Result<Option<Prepared>> {
        let Some(bytes) = self.store.record_at(at)? else { return Ok(None) };
        Ok(self.copy_of(&bytes, at))
    }

    fn copy_of(&self, bytes: &Bytes, at: LogOffset) -> Option<Prepared> {
        let check = Check { body_crc: false, at: Some(at) };
        let record = RecordView::decode(bytes, check).ok()?;
        let to = delay::destination(record.properties)?;
        let topic = self.topics.get(to.topic);
        let message = Message {
            topic: topic.map_or_else(|| to.topic.into(), |topic| Arc::clone(&topic.topic_name)),
            queue_id: to.queue,
            flag: record.flag,
            sys_flag: record.sys_flag,
            born_timestamp: record.born_timestamp,
            born_host: record.born_host,
            store_host: self.store_host(),
            reconsume_times: record.reconsume_times,
            prepared_transaction_offset: 0,
            body: bytes.slice_ref(record.body),
            properties: bytes.slice_ref(record.properties),
        };
        match self.store.prepare(&message) {
            Ok(prepared) => Some(prepared),
            Err(error) => {
                tracing::warn!(topic = to.topic, %error, "a delayed message cannot be stored");
                None
            }
        }
    }
}
