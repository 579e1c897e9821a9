//! What the command of a run is told of the store, so that it finds the same lock there
//! (`tasklock check`): what stood on our command line, as the variables for it. What came
//! from elsewhere the command finds where we found it.

use std::ffi::OsString;
use std::path::{self, PathBuf};

use super::reader::Reader;
use super::{ConfigError, prefix};
use crate::cli::StoreArgs;
use crate::message::plain;

/// A variable to set, or to remove where there is no value.
pub type Change = (&'static str, Option<OsString>);

impl Reader<'_> {
    pub(super) fn exports(&self, args: &StoreArgs) -> Result<Vec<Change>, ConfigError> {
        let mut changes: Vec<Change> = Vec::new();
        if self.on_command_line("url") {
            changes.push(("TASKLOCK_URL", Some(args.url.join(" ").into())));
            changes.push(("TASKLOCK_URL_FILE", None));
        }
        if self.on_command_line("url_file") {
            changes.push(("TASKLOCK_URL", None));
        }
        if self.on_command_line("key_prefix") {
            let prefix = args.key_prefix.as_deref().map(prefix::to_variable);
            changes.push(("TASKLOCK_KEY_PREFIX", prefix.map(OsString::from)));
        }
        for (id, variable, file) in [
            ("url_file", "TASKLOCK_URL_FILE", &args.url_file),
            ("tls_ca", "TASKLOCK_TLS_CA", &args.tls_ca),
            ("tls_cert", "TASKLOCK_TLS_CERT", &args.tls_cert),
            ("tls_key", "TASKLOCK_TLS_KEY", &args.tls_key),
        ] {
            // That one is empty is said elsewhere.
            let given = |file: &&PathBuf| self.on_command_line(id) && !file.as_os_str().is_empty();
            if let Some(file) = file.as_ref().filter(given) {
                // The command may look from another directory.
                let file = path::absolute(file).map_err(|error| self.wrong(id, &plain(&error)))?;
                changes.push((variable, Some(file.into())));
            }
        }
        if let Some(file) = &self.files.named {
            changes.push(("TASKLOCK_CONFIG", Some(file.into())));
        }
        Ok(changes)
    }
}
