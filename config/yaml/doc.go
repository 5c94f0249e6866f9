// Package yaml reads the YAML 1.2 that configuration files are written in, and
// says where each value stands.
//
// It understands block and flow collections, plain, quoted and block scalars,
// comments, anchors, aliases and tags. It refuses what a configuration has no
// use for: keys that are not plain text ("? key"), and a second document. It
// gives no value a type: what was written without quotes is marked Plain.
//
// A mistake is reported where it was made, not where it was noticed. After
// most mistakes reading goes on, so that one run finds them all.
//
// Reading is linear in the length of the text and holds nothing but the tree.
// Aliases are left to the caller, who can bound what they multiply.
package yaml
