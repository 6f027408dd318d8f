//! Sending and reading at once: from the send of a message until it has been delivered.

use super::consume::Consume;
use super::engine::Work;
use super::link::{Answer, Link};
use super::produce::Produce;

/// Sends on the first links and reads on the others.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) produce: Produce,
    pub(crate) consume: Consume,
    pub(crate) groups: u64,
}

impl Work for Pipeline {
    fn pump(&mut self, now: u64, links: &mut [Link]) -> anyhow::Result<Option<u64>> {
        // The readers first: they wait at the end when the first message comes.
        let read = self.consume.pump(now, links)?;
        let send = self.produce.pump(now, links)?;
        Ok(read.into_iter().chain(send).min())
    }

    fn answer(&mut self, now: u64, link: usize, answer: &Answer<'_>) -> anyhow::Result<()> {
        if link < self.produce.links() {
            self.produce.answer(now, link, answer)
        } else {
            self.consume.answer(now, link, answer)
        }
    }

    fn is_waiting(&self) -> bool {
        let expected = self.produce.accepted().saturating_mul(self.groups);
        self.produce.is_waiting() || self.consume.received() < expected
    }
}
