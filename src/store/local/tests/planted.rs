//! What somebody plants under the names of the files beside a lock.

use super::super::file_name::{line_file, once_file};
use super::*;

/// Plants each kind of thing under the name of a file of a lock that is called like it.
fn plant(scratch: &Scratch, file_name: impl Fn(&LockName) -> String) -> Vec<(Claim, PathBuf)> {
    let victim = scratch.0.join("victim");
    let kinds = ["symlink", "dangling", "hardlink", "fifo", "directory"];
    let planted = kinds.map(|kind| {
        let claim = claim(kind);
        let path = scratch.locks().join(file_name(&claim.name));
        match kind {
            "symlink" => symlink(&victim, &path).unwrap(),
            "dangling" => symlink(scratch.0.join("absent"), &path).unwrap(),
            "hardlink" => fs::hard_link(&victim, &path).unwrap(),
            "fifo" => mkfifo(&path, Mode::S_IRWXU).unwrap(),
            _ => fs::create_dir(&path).unwrap(),
        }
        (claim, path)
    });
    planted.into()
}

#[track_caller]
fn assert_refused(answer: Result<Acquire, StoreError>, path: &Path) {
    let error = answer.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured, "{error}");
    assert!(error.text.contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn what_is_planted_in_place_of_a_line_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    for (run, path) in plant(&scratch, line_file) {
        let before = listing(&scratch.0, Path::new("/"));
        let mut store = scratch.store();
        assert_refused(store.acquire(&run, Ask::default(), NO_TIMEOUT), &path);
        assert_refused(store.acquire(&run, IN_LINE, NO_TIMEOUT), &path);
        assert_eq!(listing(&scratch.0, Path::new("/")), before);
    }
}

#[test]
fn what_is_planted_in_place_of_a_line_while_somebody_waits_is_refused_to_that_one_too() {
    let scratch = Scratch::new();
    let (mut holder, mut store, run) = (scratch.store(), scratch.store(), claim("backup"));
    granted(&mut holder, &claim("backup"));
    queued(&mut store, &run);
    let path = scratch.locks().join(line_file(&run.name));
    fs::remove_file(&path).unwrap();
    symlink(scratch.0.join("victim"), &path).unwrap();
    assert_refused(store.acquire(&run, IN_LINE, NO_TIMEOUT), &path);
    assert_eq!(
        fs::read_to_string(scratch.0.join("victim")).unwrap(),
        "untouched\n"
    );
    fs::remove_file(&path).unwrap();
    queued(&mut store, &run);
}

#[test]
fn what_is_planted_in_place_of_a_once_record_is_refused_to_those_who_need_it() {
    let scratch = Scratch::new();
    for (run, path) in plant(&scratch, once_file) {
        let before = listing(&scratch.0, Path::new("/"));
        let mut store = scratch.store();
        let bound = Claim {
            once: Once {
                per: None,
                key: Some("monday".to_owned()),
            },
            ..run.clone()
        };
        for ask in [Ask::default(), IN_LINE] {
            assert_refused(store.acquire(&bound, ask, NO_TIMEOUT), &path);
        }
        assert_eq!(listing(&scratch.0, Path::new("/")), before);
        granted(&mut store, &run);
    }
}

#[test]
fn what_is_planted_in_place_of_another_place_is_refused_when_it_is_tried() {
    let scratch = Scratch::new();
    for (run, path) in plant(&scratch, |name| lock_file(name, 1)) {
        let (mut store, mut others) = (scratch.store(), scratch.store());
        let both = Claim {
            slots: 2,
            token: Token::fresh().unwrap(),
            ..run.clone()
        };
        granted(&mut store, &run);
        assert_refused(others.acquire(&both, Ask::default(), NO_TIMEOUT), &path);
        assert!(others.inspect(&run.name, NO_TIMEOUT).is_err());
        assert_eq!(release(&mut store, &run), Release::Released);
    }
    assert_eq!(
        fs::read_to_string(scratch.0.join("victim")).unwrap(),
        "untouched\n"
    );
}
