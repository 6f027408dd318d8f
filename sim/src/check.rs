//! What must hold, whatever happened.

use crate::log::{Log, Record};
use std::collections::BTreeMap;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which seed shows it.
    pub seed: u64,
    /// What, and where.
    pub what: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

/// What producers were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acknowledged {
    by_message: BTreeMap<u32, (u32, u32)>,
    by_place: BTreeMap<(u32, u32), u32>,
}

impl Acknowledged {
    pub(crate) fn len(&self) -> usize {
        self.by_message.len()
    }

    pub(crate) fn contains(&self, message: u32) -> bool {
        self.by_message.contains_key(&message)
    }

    /// Adds an acknowledgement; an error if its place was given to another message.
    pub(crate) fn add(&mut self, record: Record) -> Result<(), String> {
        let place = (record.queue, record.queue_offset);
        self.by_message.insert(record.message, place);
        match self.by_place.insert(place, record.message) {
            Some(other) if other != record.message => Err(format!(
                "offset {} of queue {} was given to messages {other} and {}",
                place.1, place.0, record.message
            )),
            _ => Ok(()),
        }
    }

    /// Everything acknowledged is in the log, at its place.
    pub(crate) fn are_in(&self, log: &Log, node: usize) -> Result<(), String> {
        let found: BTreeMap<u32, (u32, u32)> = log
            .records()
            .into_iter()
            .map(|(_, record)| (record.message, (record.queue, record.queue_offset)))
            .collect();
        for (message, place) in &self.by_message {
            if found.get(message) != Some(place) {
                return Err(format!(
                    "message {message} was acknowledged and is lost on node {node}"
                ));
            }
        }
        Ok(())
    }
}

/// Queues are in order and without gaps, and nothing but whole records is in the log.
pub(crate) fn in_order(log: &Log, node: usize) -> Result<(), String> {
    let mut next: BTreeMap<u32, u32> = BTreeMap::new();
    let records = log.records();
    for (end, record) in &records {
        let next = next.entry(record.queue).or_insert(0);
        if *next != record.queue_offset {
            return Err(format!(
                "node {node}, byte {end}: queue {} has offset {} where {next} belongs",
                record.queue, record.queue_offset
            ));
        }
        *next += 1;
    }
    let end = records.last().map_or(0, |(end, _)| *end);
    if end != log.bytes().len() {
        return Err(format!("node {node}: what follows byte {end} is no record"));
    }
    Ok(())
}

/// Two copies are the same.
pub(crate) fn same(a: &Log, b: &Log, node: usize) -> Result<(), String> {
    if a.bytes() == b.bytes() {
        return Ok(());
    }
    let at = a.bytes().iter().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let (a, b) = (a.bytes().len(), b.bytes().len());
    Err(format!("node {node} differs from the master at byte {at} ({b} bytes of {a})"))
}
