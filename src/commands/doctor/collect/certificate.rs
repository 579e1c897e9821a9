//! How long a certificate is good for.
//!
//! All that is read of it is one field, which stands at a fixed place (RFC 5280,
//! 4.1). A library for the rest would make the program a tenth larger, and every
//! run loads the program. Whether a certificate is to be trusted is for rustls to say.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::commands::doctor::facts::Seen;

const SECS_PER_DAY: i64 = 24 * 60 * 60;

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Whole days until the end of a certificate (DER); negative: it has ended.
pub(super) fn days_left(der: &[u8]) -> Seen<i64> {
    let end = not_after(der).ok_or("the certificate cannot be read")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    Ok((end - now).div_euclid(SECS_PER_DAY))
}

/// `notAfter`, in seconds since 1970.
fn not_after(der: &[u8]) -> Option<i64> {
    let certificate = Der(der).expect(SEQUENCE)?;
    let mut fields = Der(Der(certificate).expect(SEQUENCE)?);
    let (tag, _) = fields.next()?;
    if tag == VERSION {
        fields.next()?; // the serial number
    }
    fields.expect(SEQUENCE)?; // the signature's algorithm
    fields.expect(SEQUENCE)?; // the issuer
    let mut validity = Der(fields.expect(SEQUENCE)?);
    validity.next()?; // notBefore
    let (tag, text) = validity.next()?;
    let text = str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    seconds(tag, text.strip_suffix('Z')?)
}

/// `YYMMDDHHMMSS` or `YYYYMMDDHHMMSS` in UTC, in seconds since 1970.
fn seconds(tag: u8, text: &str) -> Option<i64> {
    let years = match tag {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    };
    let (year, rest) = text.split_at_checked(years)?;
    let year: i16 = year.parse().ok()?;
    let year = match (tag, year) {
        (UTC_TIME, ..50) => year + 2000,
        (UTC_TIME, _) => year + 1900,
        _ => year,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let (month, day, hour, minute, second) = (part(0)?, part(2)?, part(4)?, part(6)?, part(8)?);
    let time = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

/// What is left to read of a row of DER values.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The tag and the content of the next value.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let bytes;
            (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            // Four bytes are more than any certificate needs.
            length = (bytes.len() <= 4).then(|| {
                let shift = |length: usize, &byte: &u8| length << 8 | usize::from(byte);
                bytes.iter().fold(0, shift)
            })?;
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next value, which has this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.next()?;
        (found == tag).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1975, 1, 1);
        params.not_after = date_time_ymd(year, 3, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms_of_a_time() {
        for (year, seconds) in [
            (1999, 920_246_400),
            (2024, 1_709_251_200),
            (2049, 2_498_169_600),
            (2050, 2_529_705_600),
            (9999, 253_375_862_400),
        ] {
            assert_eq!(not_after(&certificate(year)), Some(seconds), "{year}");
        }
        assert!(days_left(&certificate(2001)).unwrap() < -9000);
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = certificate(2030);
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        let mut odd = whole.clone();
        for at in 0..odd.len() {
            for value in [0, 0x7F, 0x80, 0x84, 0xFF] {
                let byte = std::mem::replace(&mut odd[at], value);
                // No matter what comes of it, it comes.
                let _ = not_after(&odd);
                odd[at] = byte;
            }
        }
        assert_eq!(seconds(GENERALIZED_TIME, "20230230000000"), None);
        assert_eq!(seconds(UTC_TIME, "2302"), None);
        assert_eq!(seconds(SEQUENCE, "230201000000"), None);
    }
}
