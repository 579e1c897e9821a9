//! Which names are meant: a pattern as the shell has them.

/// A pattern for names: `*` any characters, `?` one, `[a-z]` one of these, `[^a]`
/// or `[!a]` none of these; a backslash takes the next character as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Is(char),
    In {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

impl Pattern {
    /// Reads `text`. A bracket that is never closed stands for itself.
    #[must_use]
    pub fn new(text: &str) -> Pattern {
        let chars: Vec<char> = text.chars().collect();
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            let (piece, next) = match chars[at] {
                '*' => (Piece::Any, at + 1),
                '?' => (Piece::One, at + 1),
                '\\' if at + 1 < chars.len() => (Piece::Is(chars[at + 1]), at + 2),
                '[' => class(&chars, at).unwrap_or((Piece::Is('['), at + 1)),
                other => (Piece::Is(other), at + 1),
            };
            // Two stars mean no more than one.
            if piece != Piece::Any || pieces.last() != Some(&Piece::Any) {
                pieces.push(piece);
            }
            at = next;
        }
        Pattern(pieces)
    }

    /// The pattern of all names.
    #[must_use]
    pub fn all() -> Pattern {
        Pattern(vec![Piece::Any])
    }

    /// Whether it matches the whole of `name`. Takes at most as many steps as the
    /// lengths of both, multiplied.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut in_name) = (0, 0);
        // Behind the last star, and what it has taken up to now.
        let mut star = None;
        while in_name < name.len() {
            match self.0.get(at) {
                Some(Piece::Any) => {
                    star = Some((at + 1, in_name));
                    at += 1;
                }
                Some(piece) if piece.is_met_by(name[in_name]) => {
                    at += 1;
                    in_name += 1;
                }
                _ => {
                    let Some((behind, taken)) = star else {
                        return false;
                    };
                    star = Some((behind, taken + 1));
                    (at, in_name) = (behind, taken + 1);
                }
            }
        }
        self.0[at..].iter().all(|piece| *piece == Piece::Any)
    }
}

/// `text` as a pattern that it alone matches, here and in a Redis server.
pub(crate) fn literal(text: &str) -> String {
    text.chars().fold(String::new(), |mut pattern, c| {
        if matches!(c, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
        pattern
    })
}

impl Piece {
    fn is_met_by(&self, c: char) -> bool {
        match self {
            Piece::Any | Piece::One => true,
            Piece::Is(one) => *one == c,
            Piece::In { ranges, negated } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
            }
        }
    }
}

/// The class that opens at `at`, and what comes after it.
fn class(chars: &[char], at: usize) -> Option<(Piece, usize)> {
    let negated = matches!(chars.get(at + 1), Some('^' | '!'));
    let start = at + 1 + usize::from(negated);
    let mut ranges = Vec::new();
    let mut next = start;
    loop {
        let mut from = *chars.get(next)?;
        // A bracket that comes first is one of those meant.
        if from == ']' && next > start {
            return Some((Piece::In { ranges, negated }, next + 1));
        }
        if from == '\\' {
            next += 1;
            from = *chars.get(next)?;
        }
        let to = match (chars.get(next + 1), chars.get(next + 2)) {
            (Some('-'), Some(&to)) if to != ']' => {
                next += 2;
                to
            }
            _ => from,
        };
        ranges.push((from.min(to), from.max(to)));
        next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names_as_in_the_shell() {
        for (pattern, yes, no) in [
            ("backup", "backup", "backup2"),
            ("*", "", "\u{0}never"),
            ("b*p", "backup", "backups"),
            ("*a*b*", "xxaxxbxx", "xxbxxaxx"),
            ("?x", "üx", "x"),
            ("[a-c]1", "b1", "d1"),
            ("[c-a]1", "b1", "d1"),
            ("[^a-c]", "d", "a"),
            ("[!a]", "b", "a"),
            ("[]x]", "]", "y"),
            ("[a-]", "-", "b"),
            ("[\\]]", "]", "\\"),
            ("a\\*", "a*", "ab"),
            ("[a", "[a", "a"),
            ("a\\", "a\\", "a"),
            ("", "", "a"),
        ] {
            assert!(Pattern::new(pattern).matches(yes), "{pattern} {yes}");
            let all = pattern == "*";
            assert_eq!(Pattern::new(pattern).matches(no), all, "{pattern} {no}");
        }
        assert!(Pattern::all().matches("anything"));
    }

    #[test]
    fn a_literal_matches_itself_only_whatever_it_contains() {
        assert_eq!(literal("task_lock:"), "task_lock:");
        assert_eq!(literal("a*?[b]\\"), "a\\*\\?\\[b]\\\\");
        let pattern = Pattern::new(&literal("a*[b-c]\\?"));
        assert!(pattern.matches("a*[b-c]\\?"));
        assert!(!pattern.matches("axb\\?"));
    }

    #[test]
    fn a_pattern_of_many_stars_is_decided_at_once() {
        let hostile = Pattern::new(&"a*".repeat(100));
        assert!(!hostile.matches(&("a".repeat(199) + "b").replace('a', "b")));
        assert!(!Pattern::new(&("*a".repeat(50) + "c")).matches(&"a".repeat(200)));
    }
}
