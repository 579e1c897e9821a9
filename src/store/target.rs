//! From the URL a user wrote to the store it names.
