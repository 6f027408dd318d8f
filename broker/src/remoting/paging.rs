//! Tables in portions.

use super::front::Call;
use rmq_model::DataVersion;
use rmq_remoting::json;

/// Which part of a table a caller wants (21, 201).
pub(super) struct Page {
    from: usize,
    count: usize,
}

impl Page {
    /// Everything, unless paging is on and asked for. A caller with an old version starts over.
    pub(super) fn of(
        call: &Call<'_>,
        seq: Option<i32>,
        max: Option<i32>,
        known: Option<&str>,
        version: DataVersion,
    ) -> Self {
        let settings = call.broker().settings();
        let Some(seq) = seq.filter(|_| settings.enable_split_metadata) else {
            return Self { from: 0, count: usize::MAX };
        };
        let known = known.and_then(|text| json::from_slice::<DataVersion>(text.as_bytes()).ok());
        let current = known.is_some_and(|known| known == version);
        let from = if current { usize::try_from(seq).unwrap_or(0) } else { 0 };
        let limit = usize::try_from(settings.split_metadata_size).unwrap_or(usize::MAX);
        let asked = max.and_then(|max| usize::try_from(max).ok()).filter(|max| 0 < *max);
        Self { from, count: asked.unwrap_or(limit).min(limit) }
    }

    pub(super) fn cut<T>(&self, sorted: Vec<T>) -> impl Iterator<Item = T> {
        sorted.into_iter().skip(self.from).take(self.count)
    }
}
