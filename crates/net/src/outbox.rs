//! What waits to be written to a peer.

use bytes::{Bytes, BytesMut};
use rmq_remoting::Command;
use std::collections::VecDeque;

/// Bodies from here on are sent as they are; shorter ones are copied behind their header, which is
/// cheaper than a slice of their own.
const OWN_SLICE_BYTES: usize = 2048;
/// Room made for heads at once.
const HEADS_BYTES: usize = 4096;

/// Frames in their order, as few slices as possible.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    slices: VecDeque<Bytes>,
    /// What comes after `slices`; grows until a large body or the writer takes it.
    heads: BytesMut,
    /// All bytes above.
    bytes: usize,
    /// The task knows that there is something.
    signalled: bool,
    closed: bool,
}

/// What to do after something was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// The task knows already, or nobody will ever write.
    Quiet,
    /// Wake the task.
    Wake,
}

impl Outbox {
    /// Adds a frame: `command` and its own body.
    pub(crate) fn put(&mut self, command: &Command) -> Put {
        self.put_parts(command, std::slice::from_ref(&command.body))
    }

    /// Adds a frame: the head of `command`, then `body` part by part.
    pub(crate) fn put_parts(&mut self, command: &Command, body: &[Bytes]) -> Put {
        if self.closed {
            return Put::Quiet;
        }
        let body_len = body.iter().map(Bytes::len).sum();
        if self.heads.capacity() - self.heads.len() < 512 {
            self.heads.reserve(HEADS_BYTES);
        }
        let before = self.heads.len();
        command.encode_head(body_len, &mut self.heads);
        self.bytes += self.heads.len() - before + body_len;
        for part in body {
            if part.len() < OWN_SLICE_BYTES {
                self.heads.extend_from_slice(part);
            } else {
                self.slices.push_back(self.heads.split().freeze());
                self.slices.push_back(part.clone());
            }
        }
        if std::mem::replace(&mut self.signalled, true) { Put::Quiet } else { Put::Wake }
    }

    /// Moves everything behind `into` and returns its bytes.
    pub(crate) fn take(&mut self, into: &mut VecDeque<Bytes>) -> usize {
        self.signalled = false;
        into.append(&mut self.slices);
        if !self.heads.is_empty() {
            into.push_back(self.heads.split().freeze());
        }
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Drops what waits and refuses more.
    pub(crate) fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_remoting::take_frame;

    #[test]
    fn frames_leave_in_order_and_the_task_is_woken_once() {
        let mut outbox = Outbox::default();
        let small = Command::response(0).with_body(vec![1u8; 10]);
        let parts = [Bytes::from(vec![2u8; 5000]), Bytes::from(vec![3u8; 7])];
        assert_eq!(outbox.put(&small), Put::Wake);
        assert_eq!(outbox.put_parts(&Command::response(0), &parts), Put::Quiet);
        assert_eq!(outbox.put(&small), Put::Quiet);

        let mut slices = VecDeque::new();
        let bytes = outbox.take(&mut slices);
        let mut wire = BytesMut::new();
        slices.iter().for_each(|slice| wire.extend_from_slice(slice));
        assert_eq!(wire.len(), bytes);
        let mut next = || take_frame(&mut wire, 1 << 20).unwrap().unwrap().body;
        assert_eq!(next(), small.body);
        assert_eq!(next(), [parts[0].as_ref(), parts[1].as_ref()].concat());
        assert_eq!(next(), small.body);

        assert_eq!(outbox.put(&small), Put::Wake, "woken again after the task took everything");
        outbox.close();
        assert_eq!(outbox.put(&small), Put::Quiet);
        assert_eq!(outbox.bytes(), 0);
    }
}
