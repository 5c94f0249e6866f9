// Package auth says who a client is and what it may do: users files, tokens,
// certificates, enhanced authentication (SCRAM), and access rules.
//
// It answers three questions. Authenticate and Exchange: which identity does a
// CONNECT or AUTH prove? Authorize: may that identity publish to, subscribe to
// or receive from a topic? Generation: do earlier answers of Authorize still
// hold? The broker asks; this package never looks at sessions or sockets.
//
// The principal is the proven identity, never the Client Identifier.
package auth
