//! Sending: a fixed number of requests in flight, or a fixed rate.

use super::engine::Work;
use super::link::{Answer, Link};
use super::tally::{Pace, Tally};
use super::template::{OPAQUE_BASE, SendTemplate};
use anyhow::{Context, bail};

/// Requests of one connection that may be under way at once.
#[derive(Debug)]
struct Lane {
    /// When the request in each slot started; `None` is a free slot.
    started: Vec<Option<u64>>,
    free: Vec<usize>,
}

/// Sends on the first links of a run, one lane each.
#[derive(Debug)]
pub(crate) struct Produce {
    templates: Vec<SendTemplate>,
    next_template: usize,
    lanes: Vec<Lane>,
    next_lane: usize,
    pace: Option<Pace>,
    batch: u64,
    /// Wall clock at the start of the run, ms.
    began_ms: i64,
    counter: u64,
    in_flight: usize,
    accepted: u64,
    pub(crate) tally: Tally,
}

impl Produce {
    /// One template per queue; `connections` x `in_flight` requests at once.
    pub(crate) fn new(
        templates: Vec<SendTemplate>,
        connections: usize,
        in_flight: usize,
        pace: Option<Pace>,
        batch: u64,
        began_ms: i64,
        tally: Tally,
    ) -> Self {
        let lane = || Lane { started: vec![None; in_flight], free: (0..in_flight).rev().collect() };
        Self {
            templates,
            next_template: 0,
            lanes: std::iter::repeat_with(lane).take(connections).collect(),
            next_lane: 0,
            pace,
            batch,
            began_ms,
            counter: 0,
            in_flight: 0,
            accepted: 0,
            tally,
        }
    }

    /// Connections that this work sends on: the first ones of the run.
    pub(crate) fn links(&self) -> usize {
        self.lanes.len()
    }

    /// Messages that the server took, in the whole run.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Messages that were sent and are not answered.
    pub(crate) fn unanswered(&self) -> u64 {
        u64::try_from(self.in_flight).unwrap_or(u64::MAX).saturating_mul(self.batch)
    }

    /// Counts the wait of requests that were due before `end` and found no free slot, so that a
    /// server which falls behind cannot hide it. Returns how many there were.
    pub(crate) fn count_unsent(&mut self, end: u64) -> u64 {
        let Some(pace) = &mut self.pace else { return 0 };
        let mut unsent = 0;
        while pace.due() < end {
            self.tally.waited(pace.due(), end);
            pace.advance();
            unsent += 1;
        }
        unsent
    }

    /// Sends on lane `lane` if it has a free slot.
    fn send(&mut self, lane: usize, started: u64, now: u64, links: &mut [Link]) -> bool {
        let (Some(state), Some(link)) = (self.lanes.get_mut(lane), links.get_mut(lane)) else {
            return false;
        };
        let Some(slot) = state.free.pop() else { return false };
        if let Some(entry) = state.started.get_mut(slot) {
            *entry = Some(started);
        }
        let index = self.next_template;
        self.next_template = (index + 1) % self.templates.len().max(1);
        if let Some(template) = self.templates.get_mut(index) {
            let now_ms = i64::try_from(now / 1_000_000).unwrap_or(0);
            let born = self.began_ms.saturating_add(now_ms);
            let slot = i32::try_from(slot).unwrap_or(i32::MAX);
            template.write(slot, born, started, &mut self.counter, link.output());
        }
        self.in_flight += 1;
        true
    }
}

impl Work for Produce {
    fn pump(&mut self, now: u64, links: &mut [Link]) -> anyhow::Result<Option<u64>> {
        let Some(mut pace) = self.pace else {
            for lane in 0..self.lanes.len() {
                while self.send(lane, now, now, links) {}
            }
            return Ok(None);
        };
        let mut full = false;
        while !full && pace.due() <= now {
            full = true;
            for _ in 0..self.lanes.len() {
                let lane = self.next_lane;
                self.next_lane = (lane + 1) % self.lanes.len();
                if self.send(lane, pace.due(), now, links) {
                    pace.advance();
                    full = false;
                    break;
                }
            }
        }
        self.pace = Some(pace);
        Ok((!full).then(|| pace.due()))
    }

    fn answer(&mut self, now: u64, link: usize, answer: &Answer<'_>) -> anyhow::Result<()> {
        let slot = usize::try_from(answer.opaque.wrapping_sub(OPAQUE_BASE)).ok();
        let lane = self.lanes.get_mut(link).context("an answer on a foreign connection")?;
        let started = slot.and_then(|slot| lane.started.get_mut(slot)?.take().map(|at| (slot, at)));
        let Some((slot, started)) = started else {
            bail!("an answer to request {} that nobody sent", answer.opaque);
        };
        lane.free.push(slot);
        self.in_flight -= 1;
        if answer.code == 0 {
            self.accepted += self.batch;
            self.tally.done(started, now, self.batch);
        } else {
            self.tally.refused(answer);
            self.tally.waited(started, now);
        }
        Ok(())
    }

    fn is_waiting(&self) -> bool {
        0 < self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::super::engine::Window;
    use super::super::template::{HeaderForm, SendShape};
    use super::*;
    use std::collections::BTreeMap;
    use std::net::TcpListener;

    const MS: u64 = 1_000_000;

    fn work(connections: usize, in_flight: usize, pace: Option<Pace>) -> (Produce, Vec<Link>) {
        let template = SendTemplate::new(&SendShape {
            topic: "T",
            group: "G",
            queue: 0,
            body_bytes: 10,
            batch: 1,
            header: HeaderForm::V2,
            tag: None,
            id_prefix: "7F00000112345678ABCD",
        });
        let window = Window { begin: 0, end: 1000 * MS };
        let tally = Tally::new(window);
        let templates = vec![template.unwrap()];
        let work = Produce::new(templates, connections, in_flight, pace, 1, 0, tally);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        (work, (0..connections).map(|_| Link::connect(addr).unwrap()).collect())
    }

    fn answer(slot: i32, code: i32) -> Answer<'static> {
        Answer { code, opaque: OPAQUE_BASE + slot, header: b"{}", body: b"" }
    }

    fn frames(link: &mut Link) -> usize {
        let key: &[u8] = b"\"opaque\":";
        link.output().windows(key.len()).filter(|w| *w == key).count()
    }

    #[test]
    fn a_closed_loop_keeps_its_slots_full() {
        let (mut work, mut links) = work(2, 3, None);
        assert_eq!(work.pump(0, &mut links).unwrap(), None);
        assert_eq!([frames(&mut links[0]), frames(&mut links[1])], [3, 3]);
        work.answer(5 * MS, 1, &answer(2, 0)).unwrap();
        work.pump(5 * MS, &mut links).unwrap();
        assert_eq!([frames(&mut links[0]), frames(&mut links[1])], [3, 4]);
        assert_eq!((work.tally.messages, work.tally.latency.max()), (1, 5 * MS));
        assert_eq!((work.accepted(), work.unanswered()), (1, 6));
        assert!(work.is_waiting());
    }

    #[test]
    fn refusals_are_counted_by_code_and_are_no_throughput() {
        let (mut work, mut links) = work(1, 2, None);
        work.pump(0, &mut links).unwrap();
        work.answer(MS, 0, &answer(0, 2)).unwrap();
        work.answer(MS, 0, &answer(1, 0)).unwrap();
        assert_eq!(work.tally.failed, BTreeMap::from([(2, 1)]));
        assert_eq!((work.tally.messages, work.accepted()), (1, 1));
    }

    #[test]
    fn latency_of_an_open_loop_counts_from_when_a_send_was_due() {
        // Every 10 ms one, but only one slot, and the first answer takes 35 ms.
        let (mut work, mut links) = work(1, 1, Some(Pace::new(100.0)));
        assert_eq!(work.pump(0, &mut links).unwrap(), Some(10 * MS));
        assert_eq!(work.pump(20 * MS, &mut links).unwrap(), None, "no slot: an answer must come");
        work.answer(35 * MS, 0, &answer(0, 0)).unwrap();
        work.pump(35 * MS, &mut links).unwrap();
        assert_eq!(frames(&mut links[0]), 2);
        work.answer(36 * MS, 0, &answer(0, 0)).unwrap();
        assert_eq!(work.tally.latency.count(), 2);
        assert_eq!(work.tally.latency.mean(), (35 + 26) * MS / 2, "due at 10 ms, done at 36 ms");
    }

    #[test]
    fn sends_that_never_got_a_slot_are_not_hidden() {
        let (mut work, mut links) = work(1, 1, Some(Pace::new(100.0)));
        work.pump(0, &mut links).unwrap();
        assert_eq!(work.count_unsent(50 * MS), 4, "due at 10, 20, 30 and 40 ms");
        assert_eq!(work.tally.latency.max(), 40 * MS);
    }

    #[test]
    fn answers_that_nobody_asked_for_end_the_run() {
        let (mut work, mut links) = work(1, 1, None);
        work.pump(0, &mut links).unwrap();
        work.answer(MS, 0, &answer(0, 0)).unwrap();
        for (link, slot) in [(0, 0), (0, 7), (0, -1), (1, 0)] {
            assert!(work.answer(MS, link, &answer(slot, 0)).is_err(), "{link} {slot}");
        }
    }
}
