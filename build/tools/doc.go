// Package tools pins the programs that make dunlin's packages, in a module of
// its own: none of them is a dependency of dunlin.
package tools
