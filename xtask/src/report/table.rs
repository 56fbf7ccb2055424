//! Plain tables that fit a terminal of 80 columns.

/// Columns two spaces apart, each as wide as its widest cell; the last one is not padded.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = line(header.iter().copied(), &widths);
    for row in rows {
        out += &line(row.iter().map(String::as_str), &widths);
    }
    out
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let padded: Vec<String> = cells.zip(widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

/// `850 ms`, `4.2 s`, `3 min 05 s`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 100.0 {
        format!("{seconds:.1} s")
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a duration in whole seconds"
        )]
        let whole = seconds.round() as u64;
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "long cell".to_owned()], vec!["bb".to_owned(), "c".to_owned()]];
        assert_eq!(table(&["x", "y"], &rows), "x   y\na   long cell\nbb  c\n");
    }

    #[test]
    fn units_are_chosen_for_people() {
        assert_eq!([seconds(0.0421), seconds(4.23), seconds(185.2)], ["42 ms", "4.2 s", "3 min 05 s"]);
    }
}
