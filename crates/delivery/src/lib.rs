//! Who gets which message when: clients, subscriptions, offsets, long polling, retry, delay.
