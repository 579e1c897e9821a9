//! `tasklock refresh`: let the lease of a lock that is held by its token run from now.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::deadline::Deadline;
use super::token::{ask, asked_for, not_held};
use crate::clock::{self, Tick};
use crate::config::{Form, Refresh};
use crate::exit::{Code, Ending};
use crate::lease::{Lease, Terms};
use crate::message::json_line;
use crate::output;
use crate::store::{Checked, Tenure};

/// Prints the new deadline and exits 0 if the lock is still held; else 79, and who has it.
///
/// # Errors
/// [`crate::store::StoreError`] when that is unknown; or the deadline cannot be printed.
pub fn refresh(refresh: &Refresh) -> Result<Ending> {
    let owned = &refresh.owned;
    let mut sent_at = clock::now();
    let answer = ask(owned, |store, timeout| {
        sent_at = clock::now();
        store.extend(&owned.lock.name, &owned.token, refresh.ttl, timeout)
    })?;
    match answer {
        Checked::Held(tenure) => {
            let text = text(refresh, deadline(refresh, &tenure, sent_at));
            output::all(&text).context("cannot print the new deadline")?;
            Ok(Code::Ok.into())
        }
        Checked::Revoked { by } => Ok(asked_for(owned, &by)),
        Checked::NotHeld(by) => Ok(not_held(owned, by.as_ref())),
    }
}

fn deadline(refresh: &Refresh, tenure: &Tenure, sent_at: Tick) -> Deadline {
    if tenure.remaining.is_none() {
        return Deadline::NONE;
    }
    let terms = Terms::new(tenure.ttl, Some(Duration::ZERO), refresh.store_timeout);
    Deadline::at(Lease::granted(terms, sent_at).deadline())
}

fn text(refresh: &Refresh, deadline: Deadline) -> String {
    match refresh.form {
        Form::Plain => deadline.words(),
        Form::Env => deadline.variable(),
        Form::Json => {
            let mut object = Map::new();
            let name = refresh.owned.lock.name.as_str();
            object.insert("name".to_owned(), json!(name));
            deadline.put_in(&mut object);
            json_line(&Value::Object(object))
        }
    }
}
