//! A bar whose length is a duration.

use std::time::Duration;

/// The eighths of a character cell.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// How a run that failed is filled.
const FAILED: char = '▒';

/// A bar for `part`, where `whole` is `width` characters long. Never empty:
/// a run that took no time was a run. One that failed is filled in another way.
pub(super) fn bar(part: Duration, whole: Duration, width: usize, success: bool) -> String {
    let share = if whole.is_zero() {
        0.0
    } else {
        (part.as_secs_f64() / whole.as_secs_f64()).min(1.0)
    };
    // A share of a bar: neither negative nor anywhere near what a usize holds.
    let eighths = ((share * (width * 8) as f64).round() as usize).max(1);
    let (full, rest) = (eighths / 8, eighths % 8);
    if !success {
        return FAILED
            .to_string()
            .repeat((full + usize::from(rest >= 4)).max(1));
    }
    let mut bar = "█".repeat(full);
    if rest > 0 {
        bar.push(EIGHTHS[rest - 1]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(success: bool) -> Vec<String> {
        let seconds = Duration::from_secs;
        [0, 1, 4, 6, 8]
            .map(|part| bar(seconds(part), seconds(8), 4, success))
            .into()
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bars(true), ["▏", "▌", "██", "███", "████"]);
        assert_eq!(bars(false), ["▒", "▒", "▒▒", "▒▒▒", "▒▒▒▒"]);
    }

    #[test]
    fn where_no_run_took_any_time_each_has_the_shortest_bar() {
        assert_eq!(bar(Duration::ZERO, Duration::ZERO, 4, true), "▏");
    }
}
