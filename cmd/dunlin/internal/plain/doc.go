// Package plain takes the program's own files, which are embedded compressed
// with gzip, apart for clients that do not take gzip: RFC 1951 and 1952, for
// whole files in memory that are known to be good. Package compress/flate would
// make the program 50 kB larger.
package plain
