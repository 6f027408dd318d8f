//! Reading: one pull request under way per queue and reader.

use super::engine::{Window, Work};
use super::link::{Answer, Link};
use super::tally::Tally;
use super::template::{OPAQUE_BASE, PullTemplate, STAMP_MAGIC};
use anyhow::{Context, bail};

const SUCCESS: i32 = 0;
const PULL_NOT_FOUND: i32 = 19;
const PULL_RETRY_IMMEDIATELY: i32 = 20;
const PULL_OFFSET_MOVED: i32 = 21;
/// After a refusal a lane waits this long, ns.
const PAUSE: u64 = 100_000_000;

/// One reader of one queue.
#[derive(Debug)]
pub(crate) struct PullLane {
    pub(crate) template: PullTemplate,
    /// Link it asks on.
    pub(crate) link: usize,
    /// Offset it asks for next.
    pub(crate) offset: i64,
    /// Where it begins again, having reached the end; `None` waits at the end for more.
    pub(crate) again: Option<(i64, i64)>,
}

#[derive(Debug)]
struct LaneState {
    lane: PullLane,
    started: Option<u64>,
    not_before: u64,
}

/// Reads with all lanes at once.
#[derive(Debug)]
pub(crate) struct Consume {
    lanes: Vec<LaneState>,
    /// Opaque of a lane is its index, so a lane's answers are known on any link.
    in_flight: usize,
    /// Whether parked requests count as missing answers.
    waits_at_end: bool,
    /// From the stamp in a body until it was read, ns.
    pub(crate) delivery: Tally,
    pub(crate) pulls: Tally,
    received: u64,
}

impl Consume {
    pub(crate) fn new(lanes: Vec<PullLane>, window: Window) -> Self {
        let waits_at_end = lanes.iter().any(|lane| lane.again.is_none());
        let lanes = lanes
            .into_iter()
            .map(|lane| LaneState { lane, started: None, not_before: 0 })
            .collect();
        Self {
            lanes,
            in_flight: 0,
            waits_at_end,
            delivery: Tally::new(window),
            pulls: Tally::new(window),
            received: 0,
        }
    }

    /// Messages received in the whole run.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }
}

impl Work for Consume {
    fn pump(&mut self, now: u64, links: &mut [Link]) -> anyhow::Result<Option<u64>> {
        let mut wake: Option<u64> = None;
        for (index, state) in self.lanes.iter_mut().enumerate() {
            if state.started.is_some() {
                continue;
            }
            if now < state.not_before {
                wake = Some(wake.map_or(state.not_before, |at| at.min(state.not_before)));
                continue;
            }
            let link = links.get_mut(state.lane.link).context("a lane without connection")?;
            let slot = i32::try_from(index).context("too many lanes")?;
            state.lane.template.write(slot, state.lane.offset, link.output());
            state.started = Some(now);
            self.in_flight += 1;
        }
        Ok(wake)
    }

    fn answer(&mut self, now: u64, _link: usize, answer: &Answer<'_>) -> anyhow::Result<()> {
        let index = usize::try_from(answer.opaque.wrapping_sub(OPAQUE_BASE)).ok();
        let Some(state) = index.and_then(|index| self.lanes.get_mut(index)) else {
            bail!("an answer to request {} that nobody sent", answer.opaque);
        };
        let Some(started) = state.started.take() else {
            bail!("two answers to request {}", answer.opaque);
        };
        self.in_flight -= 1;
        match answer.code {
            SUCCESS => {
                let messages = records(answer.body, |stamp| self.delivery.waited(stamp, now))
                    .context("the records of an answer are not understood")?;
                self.received += messages;
                self.delivery.done(u64::MAX, now, messages);
                self.pulls.done(started, now, messages);
            }
            PULL_NOT_FOUND | PULL_RETRY_IMMEDIATELY | PULL_OFFSET_MOVED => {}
            _ => {
                self.pulls.refused(answer);
                state.not_before = now.saturating_add(PAUSE);
                return Ok(());
            }
        }
        let next = answer
            .json_field("nextBeginOffset")
            .context("an answer to a pull has no nextBeginOffset")?;
        state.lane.offset = match state.lane.again {
            Some((first, end)) if end <= next => first,
            _ => next,
        };
        Ok(())
    }

    fn is_waiting(&self) -> bool {
        !self.waits_at_end && 0 < self.in_flight
    }
}

/// Counts the records of a pull answer and hands out the stamps in their bodies; `None` if the
/// bytes are no records. Layout: total size i32 at 0, system flag i32 at 36, body length i32 at
/// 84, 12 more for each IPv6 host.
fn records(mut body: &[u8], mut stamp: impl FnMut(u64)) -> Option<u64> {
    const SYS_FLAG: usize = 36;
    const BODY_LENGTH: usize = 84;
    const MIN: usize = 91;
    let mut count = 0;
    while !body.is_empty() {
        let size = usize::try_from(i32_at(body, 0)?).ok()?;
        if size < MIN {
            return None;
        }
        let (record, rest) = body.split_at_checked(size)?;
        let flags = i32_at(record, SYS_FLAG)?;
        let v6_hosts = usize::from(flags & 0x10 != 0) + usize::from(flags & 0x20 != 0);
        let payload = record.get(BODY_LENGTH + 12 * v6_hosts + 4..)?;
        if let Some(payload) = payload.strip_prefix(STAMP_MAGIC)
            && let Some(bytes) = payload.first_chunk::<8>()
        {
            stamp(u64::from_be_bytes(*bytes));
        }
        count += 1;
        body = rest;
    }
    Some(count)
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|chunk| i32::from_be_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(flags: i32, payload: &[u8]) -> Vec<u8> {
        let hosts = if flags & 0x30 == 0x30 { 24 } else { 0 };
        let mut out = vec![0; 84 + hosts];
        out[36..40].copy_from_slice(&flags.to_be_bytes());
        out.extend_from_slice(&i32::try_from(payload.len()).unwrap().to_be_bytes());
        out.extend_from_slice(payload);
        out.extend_from_slice(&[1, b'T', 0, 0]);
        let size = i32::try_from(out.len()).unwrap();
        out[..4].copy_from_slice(&size.to_be_bytes());
        out
    }

    #[test]
    fn counts_and_stamps() {
        let mut stamped = STAMP_MAGIC.to_vec();
        stamped.extend_from_slice(&77_u64.to_be_bytes());
        let mut body = record(0, b"plain");
        body.extend(record(0x30, &stamped));
        body.extend(record(0, &stamped));
        let mut seen = Vec::new();
        assert_eq!(records(&body, |s| seen.push(s)), Some(3));
        assert_eq!(seen, [77, 77]);
        assert_eq!(records(&body[..body.len() - 1], |_| ()), None);
        assert_eq!(records(&[0; 100], |_| ()), None);
        assert_eq!(records(b"", |_| ()), Some(0));
    }

    fn lane(again: Option<(i64, i64)>) -> (Consume, Vec<Link>) {
        let shape = super::super::template::PullShape {
            topic: "T",
            group: "G",
            queue: 0,
            messages_max: 32,
            suspend_ms: 0,
        };
        let template = PullTemplate::new(&shape).unwrap();
        let lane = PullLane { template, link: 0, offset: 5, again };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let link = Link::connect(listener.local_addr().unwrap()).unwrap();
        (Consume::new(vec![lane], Window { begin: 0, end: 1_000_000_000 }), vec![link])
    }

    fn asked(link: &mut Link) -> Vec<i64> {
        let text = String::from_utf8(link.output().clone()).unwrap();
        let offsets = text.split("\"queueOffset\":\"").skip(1);
        offsets.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    }

    fn answer<'a>(code: i32, header: &'a str, body: &'a [u8]) -> Answer<'a> {
        Answer { code, opaque: OPAQUE_BASE, header: header.as_bytes(), body }
    }

    #[test]
    fn a_backlog_is_read_again_from_its_begin() {
        let (mut work, mut links) = lane(Some((2, 9)));
        work.pump(0, &mut links).unwrap();
        work.pump(0, &mut links).unwrap();
        let two = [record(0, b"a"), record(0, b"b")].concat();
        work.answer(1, 0, &answer(0, r#"{"nextBeginOffset":"7"}"#, &two)).unwrap();
        work.pump(1, &mut links).unwrap();
        work.answer(2, 0, &answer(0, r#"{"nextBeginOffset":"9"}"#, &two)).unwrap();
        work.pump(2, &mut links).unwrap();
        assert_eq!(asked(&mut links[0]), [5, 7, 2]);
        assert_eq!((work.received(), work.pulls.messages, work.pulls.requests), (4, 4, 2));
        assert!(work.is_waiting());
    }

    #[test]
    fn a_reader_at_the_end_waits_there_and_one_that_is_refused_pauses() {
        let (mut work, mut links) = lane(None);
        work.pump(0, &mut links).unwrap();
        assert!(!work.is_waiting(), "a parked pull is nothing to wait for");
        work.answer(1, 0, &answer(19, r#"{"nextBeginOffset":"5"}"#, b"")).unwrap();
        assert_eq!(work.pump(1, &mut links).unwrap(), None);
        work.answer(2, 0, &answer(2, "{}", b"")).unwrap();
        assert_eq!(work.pump(3, &mut links).unwrap(), Some(2 + PAUSE));
        assert_eq!(asked(&mut links[0]), [5, 5]);
        work.pump(2 + PAUSE, &mut links).unwrap();
        assert_eq!(asked(&mut links[0]), [5, 5, 5]);
        assert_eq!(work.pulls.failed.get(&2), Some(&1));
    }

    #[test]
    fn nonsense_ends_the_run() {
        for (header, body) in [("{}", &b""[..]), (r#"{"nextBeginOffset":"6"}"#, &b"noise"[..])] {
            let (mut work, mut links) = lane(None);
            work.pump(0, &mut links).unwrap();
            assert!(work.answer(1, 0, &answer(0, header, body)).is_err());
        }
    }
}
