//! Whatever a file holds, there are settings or one line.

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

use super::{Host, write};

/// Pieces of files, right and wrong.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z-]{1,8} = ",
        "\\[[a-z.\"]{0,12}\\]\n",
        Just("[lock.job]\n".to_owned()),
        prop_oneof![
            Just("ttl"),
            Just("slots"),
            Just("url"),
            Just("quiet"),
            Just("wait")
        ]
        .prop_map(|key| format!("{key} = ")),
        "\"[^\"\\\\\n]{0,9}\"\n",
        "-?[0-9]{1,30}\n",
        "[0-9]\\.[0-9]e[0-9]{1,3}\n",
        prop_oneof![
            Just("true\n"),
            Just("inf\n"),
            Just("{}\n"),
            Just("[1, \"\"]\n")
        ]
        .prop_map(str::to_owned),
        "\\PC{0,6}",
        "[\\[\\]{}\"'=.#\\\\\n]{1,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_give_settings_or_one_line(bytes in vec(any::<u8>(), 0..200)) {
        settings_or_one_line(&bytes);
    }

    #[test]
    fn random_files_give_settings_or_one_line(pieces in vec(piece(), 0..12)) {
        settings_or_one_line(pieces.concat().as_bytes());
    }
}

fn settings_or_one_line(content: &[u8]) {
    let host = Host::new();
    let file = write(&host.home.file("random"), content);
    let run = host
        .at_home()
        .args(["config", "job"])
        .arg("--config")
        .arg(&file)
        .run();
    if run.code == Some(0) {
        run.expect_silent();
        return;
    }
    run.expect_code(78).expect_stdout("");
    assert_eq!(run.stderr.lines().count(), 1, "{run}");
    let controls = run.stderr.chars().filter(|c| c.is_control());
    assert_eq!(controls.count(), 1, "{run}");
    run.expect_stderr(&file.display().to_string());
}
