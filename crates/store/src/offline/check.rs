//! Reading everything and comparing it.

use super::Offline;
use super::index::IndexCheck;
use super::layout;
use super::queues::Queues;
use super::report::{LogReport, Report, SegmentReport};
use super::walk::{Seen, walk};
use crate::checkpoint;
use crate::recovery::scan::{add_entries, tags_code_of};
use rmq_model::LogOffset;
use rmq_model::name::SCHEDULE_TOPIC;
use rmq_record::layout::RecordView;
use rmq_record::properties;
use std::io;
use std::ops::ControlFlow;

/// Most damaged places that are named.
const DAMAGE_MAX: usize = 100;

impl Offline {
    /// Reads the log from end to end, queues and index, and compares them. Changes nothing.
    /// `progress` is told how many bytes of the log were read, of how many.
    ///
    /// A queue without files whose topic `is_known` does not know was deleted: nothing of it is
    /// missed.
    ///
    /// # Errors
    /// When directories, queue files or index files cannot be read. A log that cannot be read is
    /// damage.
    pub fn check(
        &self,
        is_known: &dyn Fn(&str) -> bool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> io::Result<Report> {
        let (disk, config) = (&*self.disk, &self.config);
        let layout::Segments { good: segments, missing, mut foreign } =
            layout::segments(disk, config)?;
        let mut queues = Queues::find(disk, config)?;
        foreign.append(&mut queues.foreign);
        let mut index = IndexCheck::find(disk, config, &mut foreign)?;
        let mut reports: Vec<SegmentReport> = segments
            .iter()
            .map(|segment| SegmentReport {
                path: segment.path.clone(),
                base: LogOffset(segment.base),
                records: 0,
                bytes: 0,
                first_time: None,
                last_time: None,
            })
            .collect();
        let min = segments.first().map_or(0, |first| first.base);
        let all = segments.last().map_or(0, |last| last.end() - min);
        let mut log = LogReport { missing_files: missing, ..LogReport::default() };
        log.min = LogOffset(min);
        let (mut number, mut told) = (0, 0);
        let end = walk(&segments, 0, &mut |seen| {
            match seen {
                Seen::Record(record) => {
                    while segments.get(number).is_some_and(|s| s.end() <= record.log_offset.0) {
                        number += 1;
                    }
                    if let Some(report) = reports.get_mut(number) {
                        count(report, record);
                    }
                    log.records += 1;
                    let known = properties::Known::of(record.properties);
                    if record.is_queued() {
                        // When a delayed message is due follows from the settings of that time.
                        let by_tags = record.topic != SCHEDULE_TOPIC;
                        let tags_code = by_tags.then(|| tags_code_of(config, record, &known));
                        queues.record(record, tags_code)?;
                    }
                    let mut keys = Vec::new();
                    add_entries(record, &known, &mut keys);
                    index.record(record.log_offset.0, keys)?;
                    let done = record.log_offset.0 - min;
                    if 16 * 1024 * 1024 <= done - told {
                        told = done;
                        progress(done, all);
                    }
                }
                Seen::Damage(damage) => {
                    log.damaged_places += 1;
                    log.damaged_bytes += damage.resumes.0.saturating_sub(damage.offset.0);
                    if log.damage.len() < DAMAGE_MAX {
                        log.damage.push(damage);
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        (log.end, log.tail) = (LogOffset(end.at), end.tail);
        let mut queues = queues.finish(end.at)?;
        queues.retain(|queue| 0 < queue.files || is_known(&queue.topic));
        let value = checkpoint::read(disk, &config.checkpoint_path())?;
        Ok(Report {
            unclean: self.exists("abort")?,
            segments: reports,
            log,
            queues,
            index: index.finish()?,
            foreign,
            checkpoint: (value.physic, value.logics),
        })
    }
}

fn count(report: &mut SegmentReport, record: &RecordView<'_>) {
    report.records += 1;
    report.bytes += u64::try_from(record.bytes.len()).unwrap_or(0);
    report.first_time.get_or_insert(record.store_timestamp);
    report.last_time = Some(record.store_timestamp);
}
