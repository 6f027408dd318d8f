//! Random names.

use std::hash::{BuildHasher as _, RandomState};

/// 32 hexadecimal digits, random: no two processes ever have the same.
pub fn random_id() -> String {
    // Its keys come from the system's random numbers.
    let half = |salt: u8| RandomState::new().hash_one(salt);
    format!("{:016x}{:016x}", half(1), half(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_have_one_form() {
        let (one, other) = (random_id(), random_id());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
