//! Durations as users write and read them.

use std::time::Duration;

/// What a duration looks like, for error messages.
pub const FORM: &str = "a number of seconds, or with units like 500ms, 30s, 5m, 1h30m, 1d";

/// The longest duration that is accepted: a hundred years. Beyond it sums of
/// durations and the milliseconds of a store would overflow, and nobody means it.
pub const MAX_SECS: u64 = 100 * 366 * 86_400;

/// Reads `30`, `0.5`, `500ms`, `1h30m`. A bare number is seconds, decimals are
/// allowed, as in sleep(1) and timeout(1). Zero is a duration here; whether it
/// makes sense is for the flag to say.
///
/// # Errors
/// What is wrong, fit to stand after the name of the flag.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration: give {FORM}");
    if text.is_empty() {
        return Err(wrong());
    }
    let mut seconds = 0.0;
    let mut rest = text;
    let mut largest_unit = f64::INFINITY;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            // Only a number that stands alone may do without.
            "" if number.len() == text.len() => 1.0,
            _ => return Err(wrong()),
        };
        // Each unit once, the larger first: "1m1h" and "1s2s" are slips.
        if unit >= largest_unit {
            return Err(wrong());
        }
        largest_unit = unit;
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(wrong());
        }
        seconds += number.parse::<f64>().map_err(|_| wrong())? * unit;
        rest = tail;
    }
    if seconds > MAX_SECS as f64 {
        return Err(format!("{text:?} is too long: the limit is 100 years"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Reads what [`parse`] reads, and `forever` or `infinity` as [`Duration::MAX`].
///
/// # Errors
/// What is wrong, fit to stand after the name of the flag.
pub fn parse_or_forever(text: &str) -> Result<Duration, String> {
    match text {
        "forever" | "infinity" => Ok(Duration::MAX),
        _ => parse(text).map_err(|error| error + ", or forever"),
    }
}

/// A duration for people: `14m`, `1h30m`, `52s`, `2.5s`, `80ms`. Two units at most.
#[must_use]
pub fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    if millis < 10_000 && !millis.is_multiple_of(1000) {
        return format!("{:.1}s", duration.as_secs_f64()).replace(".0s", "s");
    }
    let seconds = (millis + 500) / 1000;
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    let parts = [(days, 'd'), (hours, 'h'), (minutes, 'm'), (seconds, 's')];
    let first = parts
        .iter()
        .position(|(count, _)| *count > 0)
        .unwrap_or(parts.len() - 1);
    parts[first..]
        .iter()
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_sleep_and_timeout_read_them() {
        for (text, millis) in [
            ("30", 30_000),
            ("0.5", 500),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1m1s1ms", 61_001),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_form_that_would_be_right() {
        for text in [
            "", "-1", "+1", "1x", "ms", "1 s", "1m1h", "1s1s", "1h30", ".5s", "1..5", "nan", "inf",
            "1e3", "٣",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("500ms"), "{error}");
        }
        assert!(
            parse("99999999999999999999")
                .unwrap_err()
                .contains("too long")
        );
    }

    #[test]
    fn forever_is_longer_than_every_duration() {
        for text in ["forever", "infinity"] {
            assert_eq!(parse_or_forever(text), Ok(Duration::MAX));
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse_or_forever("0"), Ok(Duration::ZERO));
        let error = parse_or_forever("-1").unwrap_err();
        assert!(error.ends_with("1h30m, 1d, or forever"), "{error}");
    }

    #[test]
    fn durations_are_shown_in_at_most_two_units() {
        for (millis, text) in [
            (80, "80ms"),
            (2500, "2.5s"),
            (2000, "2s"),
            (2004, "2s"),
            (52_400, "52s"),
            (14 * 60_000, "14m"),
            (14 * 60_000 + 5000, "14m5s"),
            (5_400_000, "1h30m"),
            (90_061_000, "1d1h"),
        ] {
            assert_eq!(show(Duration::from_millis(millis)), text);
        }
    }
}
