//! Tables as kubectl prints them.

use std::fmt::Write as _;

/// `rows` under `head`, in columns two blanks apart. Empty cells show as `-`.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        let mut padded = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let cell = if cell.is_empty() { "-" } else { cell };
            write!(padded, "{cell:<width$}  ").expect("a String takes everything");
        }
        text.push_str(padded.trim_end());
        text.push('\n');
    };
    line(head);
    for row in rows {
        line(row.each_ref().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "long é".to_owned()], [String::new(), "x".to_owned()]];
        assert_eq!(table(["NAME", "B"], &rows), "NAME  B\na     long é\n-     x\n");
    }
}
