//! Plain commands to one server, for whoever looks at the server itself and not
//! at a lock (`tasklock doctor`). Logs in as a run does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;

use super::answer::shown;
use super::wire::{Connection, error_text};
use super::{Address, Server, failure};
use crate::store::{StoreError, StoreErrorKind};

/// A connection to one server. Does not dial again once it has failed.
pub(crate) struct Probe {
    server: Arc<Server>,
    connection: Result<Connection, StoreError>,
    timeout: Duration,
}

/// An answer to a plain command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Nil,
    Int(i64),
    Text(String),
    List(Vec<Answer>),
}

/// Why there is no answer to a plain command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// As for a run that met with this.
    pub(crate) kind: StoreErrorKind,
    /// What the server said, without passwords; or why it said nothing.
    pub(crate) text: String,
}

/// What protects a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Protection {
    /// `TLSv1_3`
    pub(crate) protocol: String,
    /// The certificate that the server showed, DER.
    pub(crate) certificate: Vec<u8>,
}

impl Probe {
    /// Connects and logs in.
    ///
    /// # Errors
    /// As a run would be told.
    pub(crate) fn dial(server: &Arc<Server>, timeout: Duration) -> Result<Probe, StoreError> {
        let connection = Connection::dial(server, Instant::now() + timeout);
        let connection = connection.map_err(|fault| failure::of_fault(server, fault, timeout))?;
        Ok(Probe {
            server: Arc::clone(server),
            connection: Ok(connection),
            timeout,
        })
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Sends a command and returns its answer.
    pub(crate) fn ask(&mut self, words: &[&str]) -> Result<Answer, Refusal> {
        let mut command = redis::Cmd::new();
        command.arg(words);
        let deadline = Instant::now() + self.timeout;
        let connection = self.connection.as_mut().map_err(|error| Refusal {
            kind: error.kind,
            text: error.text.clone(),
        })?;
        match connection.exchange(&command.get_packed_command(), deadline) {
            Ok([Value::ServerError(error)]) => {
                let text = error_text(&error);
                Err(Refusal {
                    kind: failure::of_answer(&self.server, &text).kind,
                    text: shown(&self.server.without_password(&text)),
                })
            }
            Ok([value]) => Ok(Answer::from(value)),
            Err(fault) => {
                let error = failure::of_fault(&self.server, fault, self.timeout);
                let refusal = Refusal {
                    kind: error.kind,
                    text: error.text.clone(),
                };
                self.connection = Err(error);
                Err(refusal)
            }
        }
    }

    /// Why nothing is answered any more. None: the connection stands.
    pub(crate) fn failure(&self) -> Option<&StoreError> {
        self.connection.as_ref().err()
    }

    /// What protects the connection. None: nothing.
    pub(crate) fn protection(&self) -> Option<Protection> {
        self.connection.as_ref().ok()?.protection()
    }
}

impl Server {
    /// Another server that is logged in to as this one is. Without a host it is that of this one.
    pub(crate) fn beside(&self, host: Option<&str>, port: u16) -> Server {
        let own = match &self.address {
            Address::Tcp { host, .. } => host,
            Address::Unix(_) => "",
        };
        Server {
            address: Address::Tcp {
                host: host.unwrap_or(own).to_owned(),
                port,
            },
            tls: self.tls.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            database: self.database,
            named_by: None,
        }
    }
}

impl From<Value> for Answer {
    fn from(value: Value) -> Answer {
        match value {
            Value::Int(number) => Answer::Int(number),
            Value::BulkString(bytes) => Answer::Text(String::from_utf8_lossy(&bytes).into_owned()),
            Value::SimpleString(text) => Answer::Text(text),
            Value::Okay => Answer::Text("OK".to_owned()),
            Value::Array(values) => Answer::List(values.into_iter().map(Answer::from).collect()),
            _ => Answer::Nil,
        }
    }
}

impl Answer {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Answer::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Answer::Int(number) => Some(*number),
            Answer::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The parts of a list; of anything else none.
    pub(crate) fn list(&self) -> &[Answer] {
        match self {
            Answer::List(list) => list,
            _ => &[],
        }
    }
}
