// Package config reads dunlin.yaml. It knows YAML, positions and units, and
// nothing of the components: those have Options of their own, and only
// cmd/dunlin translates between the two. The options of drivers and filters
// are structs of other packages, which arrive through [Tables] and are filled
// in by reflection.
//
// # How a file becomes a Config
//
//	text -> parse.go (go-yaml's parser) -> *node, with file, line and column
//	     -> load.go, tree.go (include: maps merge, lists append, a later scalar wins)
//	     -> bind.go  (struct tags say the keys; scalar.go the units, ${ENV},
//	                  secrets and templates)
//	     -> check, one file a top-level block (what one key says about another)
//	     -> Config, or every mistake at once, sorted by position
//
// Each top-level block has its file: the struct, its defaults (written once,
// in setDefaults) and its checks.
//
// # What it refuses to do
//
// It guesses nothing: unknown and repeated keys, numbers without a unit, yes
// for true, and environment variables that are not set are mistakes, each
// with a place and, where there is one, a cure. It never opens hardware or
// sockets; the only files it reads are those that include and file: secrets
// name. It never prints a secret: the type [Secret] formats as ***, and the
// source lines of messages have literal secrets starred out.
//
// # Decisions
//
//   - The binder is ours, on go-yaml's AST. The library's decoder turns the
//     text 0403 into "259" and names Go fields in its messages; and no decoder
//     reports all mistakes of a file.
//   - The AST is copied into a small tree at once. That resolves anchors under
//     a budget, lets two files merge without losing positions, and keeps
//     go-yaml in one file.
//   - ${NAME} is filled in after parsing, so a value cannot change the
//     structure of the file.
//   - A syntax mistake of the kind that MQTT provokes (a value that starts
//     with *, #, % or @) is reported and mended in memory, so that the rest of
//     the file is still checked.
//   - A listener says anonymous: true to let everyone in. Unset, it is true
//     only for loopback addresses and Unix sockets, and only while nothing is
//     configured under auth.
//
// Loading is one call, and a Config is not changed after. One lock, a leaf,
// guards the tree that is parsed again for messages (kept.go).
package config
