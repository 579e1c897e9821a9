//! Configuration files.

use proptest::prelude::{Strategy, prop_oneof};
use tasklock::config::{self, Settings};
use tasklock::exit::Code;

use super::bytes::{Bytes, mutated, random, word};
use super::{fit_to_read, fuzz, without_secret};
use crate::support::scratch::Scratch;

const GOOD: &[&str] = &[
    "url = \"redis://:S3cr3t@127.0.0.1:1\"\nttl = \"60s\"\n\n[lock.job]\nwait = \"5m\"\nslots = 3\n",
    "url = [\"redis://a\", \"redis://b\", \"redis://c\"]\nquiet = true\n[lock.\"a b\"]\nonce-per = \"1h\"\n",
    "log-format = \"json\"\n[lock.job]\nttl = 90\nkill-after = 5\nconflict-exit-code = 0\nlost-exit-code = 1\n",
    "key-prefix = \"x:\"\nstore-timeout = \"200ms\"\ntls-ca = \"/nonexistent\"\nholder = \"pod\"\n",
    "[lock.job]\nsignal = \"INT\"\non-lost = \"continue\"\non-unavailable = \"skip\"\nmin-hold = \"1m\"\n",
];

fn file() -> impl Strategy<Value = Bytes> {
    let line = prop_oneof![
        "(url|ttl|wait|slots|quiet|holder|reason|signal) = [-0-9a-z\"{}\\[\\]:/.]{0,24}",
        "[a-z-]{1,8} *= *[-+0-9a-zT:.\"'\\[\\]{}_]{0,20}",
        "\\[{1,2}[a-z.\"' ]{0,12}\\]{0,2}",
        "\\PC{0,12}",
    ];
    let lines =
        proptest::collection::vec(line, 0..12).prop_map(|lines| Bytes::from(lines.join("\n")));
    prop_oneof![
        1 => random(200),
        4 => mutated(word(GOOD)),
        2 => lines,
        // Nesting, and one line that does not end.
        1 => ("[\\[{=\"'a.]", 1..5000usize).prop_map(|(piece, times)| Bytes::from(piece.repeat(times))),
        1 => ("[\\[{]", 1..5000usize).prop_map(|(piece, times)| Bytes::from(format!("a={}", piece.repeat(times)))),
    ]
}

#[test]
fn a_file_gives_settings_or_one_line() {
    let home = Scratch::new();
    fuzz("config_file", file(), |content| {
        let path = home.write("config.toml", &content.0);
        let path = path.to_str().unwrap();
        for words in [
            vec!["tasklock", "status", "--config", path, "job"],
            vec!["tasklock", "config", "--config", path, "job"],
            vec!["tasklock", "--config", path, "--name", "job", "true"],
        ] {
            match config::read(words.into_iter().map(Into::into)) {
                Ok(Settings::Run(run)) => without_secret(&run.lock.target.to_string())?,
                Ok(Settings::Status(status)) => {
                    without_secret(&status.places[0].target.to_string())?;
                }
                Ok(Settings::Config(effective, _)) => without_secret(&format!("{effective:?}"))?,
                Ok(other) => return Err(format!("{other:?}")),
                Err(error) if error.code == Code::Config => fit_to_read(&error.text)?,
                Err(error) => return Err(format!("{:?}: {error}", error.code)),
            }
        }
        Ok(())
    });
}
