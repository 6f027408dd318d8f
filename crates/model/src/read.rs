//! Reading queues.

/// What became of a read of a queue. Names are those of the reference implementation's remarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    /// Messages were read.
    Found,
    /// None of the examined messages is wanted.
    NoMatchedMessage,
    /// The record is gone from the log though its queue entry is there.
    MessageWasRemoving,
    /// The entry is beyond the end of its queue file.
    OffsetFoundNull,
    /// Above the end of the queue.
    OffsetOverflowBadly,
    /// Exactly the end of the queue.
    OffsetOverflowOne,
    /// Below the beginning of the queue.
    OffsetTooSmall,
    /// The queue does not exist.
    NoMatchedLogicQueue,
    /// The queue is empty.
    NoMessageInQueue,
    /// An administrator set another offset: the queue was not read.
    OffsetReset,
}

impl ReadStatus {
    /// As in the remark of a pull answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "FOUND",
            Self::NoMatchedMessage => "NO_MATCHED_MESSAGE",
            Self::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
            Self::OffsetFoundNull => "OFFSET_FOUND_NULL",
            Self::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
            Self::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
            Self::OffsetTooSmall => "OFFSET_TOO_SMALL",
            Self::NoMatchedLogicQueue => "NO_MATCHED_LOGIC_QUEUE",
            Self::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
            Self::OffsetReset => "OFFSET_RESET",
        }
    }
}
