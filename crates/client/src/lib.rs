//! A remoting client: routes, send, pull and the admin calls.
