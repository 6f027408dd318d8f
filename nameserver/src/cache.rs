//! Encoded routes, ready to be sent.

use crate::routes::Effects;
use bytes::Bytes;
use parking_lot::RwLock;
use rmq_host::metrics::Counter;
use std::collections::HashMap;

/// How a route is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Numeric keys in quotes, other than ASCII escaped.
    Standard,
    /// Numeric keys bare, as fastjson writes and old clients expect.
    Fastjson,
}

/// Bytes of encoded routes that are kept.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// What an entry costs besides its text.
const ENTRY_BYTES: usize = 128;

#[derive(Debug, Default)]
struct Bodies {
    standard: Option<Bytes>,
    fastjson: Option<Bytes>,
}

impl Bodies {
    fn of(&self, form: Form) -> Option<&Bytes> {
        match form {
            Form::Standard => self.standard.as_ref(),
            Form::Fastjson => self.fastjson.as_ref(),
        }
    }
}

#[derive(Debug, Default)]
struct Kept {
    routes: HashMap<Box<str>, Bodies>,
    bytes: usize,
}

/// Routes by topic and form.
///
/// Whoever puts a route must hold the tables' read lock since before the route was built, and
/// whoever changes the tables must forget under their write lock: then nothing stale is kept.
#[derive(Debug, Default)]
pub struct RouteCache {
    kept: RwLock<Kept>,
    /// Routes that were there.
    pub hits: Counter,
    /// Routes that had to be built.
    pub misses: Counter,
}

impl RouteCache {
    /// The encoded route, if it is there.
    pub fn get(&self, topic: &str, form: Form) -> Option<Bytes> {
        let body = self.kept.read().routes.get(topic).and_then(|bodies| bodies.of(form)).cloned();
        if body.is_some() {
            self.hits.increment();
        } else {
            self.misses.increment();
        }
        body
    }

    /// Keeps an encoded route.
    pub fn put(&self, topic: &str, form: Form, body: &Bytes) {
        let cost = body.len() + topic.len() + ENTRY_BYTES;
        if BYTES_MAX < cost {
            return;
        }
        let mut kept = self.kept.write();
        if kept.routes.get(topic).is_some_and(|bodies| bodies.of(form).is_some()) {
            return; // another reader built the same one
        }
        if BYTES_MAX < kept.bytes + cost {
            *kept = Kept::default();
        }
        let bodies = kept.routes.entry(topic.into()).or_default();
        let place = match form {
            Form::Standard => &mut bodies.standard,
            Form::Fastjson => &mut bodies.fastjson,
        };
        *place = Some(body.clone());
        kept.bytes += cost;
    }

    /// Forgets what a change of the tables made stale.
    pub fn forget(&self, effects: &Effects) {
        if effects.all_routes {
            self.forget_all();
        } else if !effects.routes.is_empty() {
            let mut kept = self.kept.write();
            for topic in &effects.routes {
                let Some(gone) = kept.routes.remove(&**topic) else { continue };
                let bodies = [gone.standard, gone.fastjson];
                let cost = |body: Bytes| body.len() + topic.len() + ENTRY_BYTES;
                let cost: usize = bodies.into_iter().flatten().map(cost).sum();
                kept.bytes = kept.bytes.saturating_sub(cost);
            }
        }
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        let mut kept = self.kept.write();
        if !kept.routes.is_empty() {
            *kept = Kept::default();
        }
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.kept.read().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &RouteCache, topic: &str, form: Form, body: &'static [u8]) {
        cache.put(topic, form, &Bytes::from_static(body));
    }

    #[test]
    fn forms_are_kept_apart_and_forgotten_together() {
        let cache = RouteCache::default();
        put(&cache, "A", Form::Standard, b"{\"0\"}");
        assert_eq!(cache.get("A", Form::Fastjson), None);
        put(&cache, "A", Form::Fastjson, b"{0}");
        put(&cache, "B", Form::Standard, b"{}");
        assert_eq!(cache.get("A", Form::Fastjson).as_deref(), Some(&b"{0}"[..]));
        assert_eq!(cache.get("A", Form::Standard).as_deref(), Some(&b"{\"0\"}"[..]));
        assert_eq!((cache.hits.value(), cache.misses.value()), (2, 1));
        cache.forget(&Effects { routes: vec!["A".into(), "X".into()], ..Effects::default() });
        assert_eq!(cache.get("A", Form::Standard), None);
        assert!(cache.get("B", Form::Standard).is_some());
        cache.forget(&Effects::default());
        assert!(cache.get("B", Form::Standard).is_some());
        cache.forget(&Effects { all_routes: true, ..Effects::default() });
        assert_eq!((cache.get("B", Form::Standard), cache.bytes()), (None, 0));
    }

    #[test]
    fn the_bytes_kept_are_counted_and_bounded() {
        let cache = RouteCache::default();
        let quarter = Bytes::from(vec![b'x'; BYTES_MAX / 4]);
        for topic in ["a", "b", "c"] {
            cache.put(topic, Form::Standard, &quarter);
            cache.put(topic, Form::Standard, &quarter);
        }
        let three = cache.bytes();
        assert!(BYTES_MAX / 4 * 3 < three && three < BYTES_MAX);
        cache.put("d", Form::Standard, &quarter);
        assert!(cache.get("d", Form::Standard).is_some(), "there is always room for the newest");
        assert!(cache.bytes() < three);
        cache.put("huge", Form::Standard, &Bytes::from(vec![b'x'; BYTES_MAX]));
        assert_eq!(cache.get("huge", Form::Standard), None);
        cache.forget(&Effects { routes: vec!["d".into()], ..Effects::default() });
        assert_eq!(cache.bytes(), 0);
    }
}
