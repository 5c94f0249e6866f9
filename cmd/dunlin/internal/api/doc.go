// Package api is the control plane: what people, scripts and the command line
// ask of a running gateway, over HTTP on a Unix socket and, if configured, a
// port.
//
//	http1.Server -> API.serve -> door (who is it, may it) -> routes -> document
//
// routes.go is the table: method, path, role, what it is for, what it answers.
// The OpenAPI document is made from it. Documents are structs, written and read
// with encoding/json; the command line decodes the same types. Fields are only
// ever added in v1. Every error is application/problem+json (RFC 9457).
//
// Whoever can open the socket is an admin: the kernel asks for write permission
// (owner, group or root), and the audit log has the user's name (SO_PEERCRED).
// On a port a bearer token says who it is, or the cookie of a login at the page
// (login.go); requests from pages of other origins
// and under names that are not this machine's are refused.
//
// It never shows secrets, and payloads only of retained messages that were
// asked for. The page itself (package page) is served beside the table. The
// numbers of the recent past (past.go) are sampled by Remember; everything else
// is only made for who asks, and for as long as it reads.
//
// Locks: door's, logins', watchers', losses' and the pulse's, all leaves.
package api
