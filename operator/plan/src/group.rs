//! Names of broker groups.

/// Name of the group with `index`, counted from zero: `<prefix>-a` to `<prefix>-z`, then
/// `<prefix>-aa` and so on. Clients see it as `brokerName`.
pub fn group_name(prefix: &str, index: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(index) + 1;
    while 0 < rest {
        // Digits run from 1 to 26: there is no letter for zero.
        let digit = u8::try_from((rest - 1) % 26).unwrap_or(0);
        letters.push(char::from(b'a' + digit));
        rest = (rest - 1) / 26;
    }
    let suffix: String = letters.iter().rev().collect();
    format!("{prefix}-{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_follow_the_alphabet() {
        for (index, name) in [
            (0, "x-a"),
            (1, "x-b"),
            (25, "x-z"),
            (26, "x-aa"),
            (27, "x-ab"),
            (51, "x-az"),
            (52, "x-ba"),
            (63, "x-bl"),
            (701, "x-zz"),
            (702, "x-aaa"),
            (u32::MAX, "x-mwlqkwv"),
        ] {
            assert_eq!(group_name("x", index), name);
        }
    }

    #[test]
    fn no_two_groups_share_a_name() {
        let names: std::collections::BTreeSet<_> = (0..800).map(|i| group_name("x", i)).collect();
        assert_eq!(names.len(), 800);
    }
}
