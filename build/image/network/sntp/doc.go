// Package sntp sets the board's clock from time servers (RFC 4330, packets of
// RFC 5905), and keeps the time over a restart on boards without a clock chip.
//
// Each round asks up to eight servers once. A reply counts only if it carries
// the random cookie of the request, comes from a synchronized server, and took
// less than two seconds. Of three and more servers a majority has to agree
// within their errors; two have to agree with each other; one is believed. An
// error above half a second is stepped, a smaller one slewed. A server that
// sends a kiss of death is left alone.
//
// dunlin itself notices steps of the clock: nothing is told to it.
package sntp
