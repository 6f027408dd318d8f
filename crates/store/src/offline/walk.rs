//! Reading the log from end to end, past damage.

use super::report::{LogDamage, Tail};
use crate::log::Segment;
use crate::recovery::scan::{Reader, next_record};
use rmq_model::LogOffset;
use rmq_record::layout::{Check, Parsed, RecordView};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What stands at a place of the log.
pub(super) enum Seen<'a> {
    /// A valid record.
    Record(&'a RecordView<'a>),
    /// No record, but there are some behind it.
    Damage(LogDamage),
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct End {
    pub(super) at: u64,
    pub(super) tail: Tail,
}

type Visit<'a> = &'a mut dyn FnMut(Seen<'_>) -> io::Result<ControlFlow<()>>;

/// Shows everything from `from` on to `visit`, until that breaks off. `from` must be the beginning
/// of a record; one within a record is damage up to the next.
pub(super) fn walk(segments: &[Arc<Segment>], from: u64, visit: Visit<'_>) -> io::Result<End> {
    let mut end = segments.first().map_or(from, |first| first.base.max(from));
    for (number, segment) in segments.iter().enumerate() {
        if segment.end() <= from {
            continue;
        }
        let later = segments.get(number + 1..).unwrap_or_default();
        let mut reader = Reader::new(segment, from.max(segment.base));
        loop {
            let at = reader.place();
            let fault = match reader.record() {
                Ok(None) => {
                    end = segment.end();
                    break;
                }
                Ok(Some(bytes)) => match RecordView::parse(bytes, Check::full(LogOffset(at))) {
                    Ok(Parsed::Record(record)) => {
                        let len = record.bytes.len();
                        end = at + len as u64;
                        if visit(Seen::Record(&record))?.is_break() {
                            return Ok(End { at: end, tail: Tail::Clean });
                        }
                        reader.skip(len);
                        continue;
                    }
                    Ok(Parsed::Blank(_)) => {
                        end = segment.end();
                        break;
                    }
                    Err(fault) => fault.to_string(),
                },
                Err(error) => format!("cannot be read: {error}"),
            };
            let here = next_record(segment, at, segment.end()).unwrap_or(None);
            let resumes = match here {
                Some((place, _)) => Some(place),
                None => first_record(later)?,
            };
            let Some(resumes) = resumes else {
                return Ok(End { at, tail: tail(segment, later, at)? });
            };
            let damage = LogDamage {
                path: segment.path.clone(),
                at: at - segment.base,
                offset: LogOffset(at),
                fault,
                resumes: LogOffset(resumes.min(segment.end())),
            };
            if visit(Seen::Damage(damage))?.is_break() {
                return Ok(End { at, tail: Tail::Clean });
            }
            if here.is_none() {
                break;
            }
            reader = Reader::new(segment, resumes);
        }
    }
    Ok(End { at: end, tail: Tail::Clean })
}

/// Place of the first record in these segments.
fn first_record(segments: &[Arc<Segment>]) -> io::Result<Option<u64>> {
    for segment in segments {
        let mut reader = Reader::new(segment, segment.base);
        let check = Check::full(LogOffset(segment.base));
        if let Some(bytes) = reader.record()?
            && let Ok(Parsed::Record(_)) = RecordView::parse(bytes, check)
        {
            return Ok(Some(segment.base));
        }
        if let Some((place, _)) = next_record(segment, segment.base, segment.end())? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// How far bytes that are not zero reach behind the end.
fn tail(segment: &Segment, later: &[Arc<Segment>], at: u64) -> io::Result<Tail> {
    let mut last = None;
    let parts = std::iter::once((segment, at)).chain(later.iter().map(|s| (&**s, s.base)));
    for (segment, from) in parts {
        last = last_written(segment, from)?.or(last);
    }
    Ok(last.map_or(Tail::Clean, |last| Tail::Torn { bytes: last + 1 - at }))
}

/// Place of the last byte from `from` on that is not zero.
fn last_written(segment: &Segment, from: u64) -> io::Result<Option<u64>> {
    const STEP: u64 = 1024 * 1024;
    let (mut at, mut last) = (from, None);
    let mut bytes = Vec::new();
    while at < segment.end() {
        let len = (segment.end() - at).min(STEP);
        bytes.resize(usize::try_from(len).unwrap_or(0), 0);
        // What cannot be read is not zero either.
        if segment.file.read_exact_at(at - segment.base, &mut bytes).is_err() {
            last = Some(at);
        } else if let Some(place) = bytes.iter().rposition(|byte| *byte != 0) {
            last = Some(at + u64::try_from(place).unwrap_or(0));
        }
        at += len;
    }
    Ok(last)
}
