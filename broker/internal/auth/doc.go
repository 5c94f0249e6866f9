// Package auth says who a client is and what it may do: users files, tokens,
// certificates, enhanced authentication (SCRAM), and access rules.
//
// It answers three questions. Authenticate and Exchange: which identity does a
// CONNECT or AUTH prove? Authorize: may that identity publish to, subscribe to
// or receive from a topic? Generation: do earlier answers of Authorize still
// hold? The broker asks; this package never looks at sessions or sockets.
//
// The principal is the proven identity, never the Client Identifier.
//
// # Users files
//
// One USER:HASH a line; lines that start with # are comments. A user has one
// password, one token and one SCRAM verifier of each kind at most:
//
//	$6$SALT$HASH                           SHA-512 of password and salt (mosquitto before 2.0)
//	$7$ITERATIONS$SALT$HASH                PBKDF2-HMAC-SHA512 (mosquitto 2.0)
//	$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH
//	$dunlin1$HASH                          SHA-256 of a token: dt1_ and 160 random bits
//	$scram-sha-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY    RFC 5803 in lower case
//	$scram-sha-512$ITERATIONS:SALT$STOREDKEY:SERVERKEY
//
// With one mistake nothing of a file is used. What one check may cost is
// bounded when the file is read; see parseSecret.
//
// # How an answer is found
//
//	Authenticate: identify -> secretFor -> checker.check (cache, one slot, bounded line)
//	Authorize:    identity -> its grants, compiled from the rules at the first question -> find
//
// The rules of a client are compiled once, templates filled in, and hang on
// its identity. A filter is granted when one rule covers all that it can match
// (cover.go); refusals in front of that rule make each message a question of
// its own.
//
// Options are read into a state that never changes; Reload puts another one in
// its place. Locks: Auth.reload orders Reloads; checker.cache guards the
// remembered passwords. Neither is held while a password is hashed or another
// lock is taken.
package auth
