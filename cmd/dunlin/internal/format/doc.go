// Package format prints messages as mosquitto_sub's -F does: % sequences for
// parts of the message, @ sequences for the time, backslash escapes.
//
// Parse checks a format once; Append renders a message with it. The package
// does no I/O and knows no clock: the caller passes the time. It refuses
// formats that mosquitto_sub refuses. It differs where mosquitto_sub writes
// something broken: the time in JSON is RFC 3339, hexadecimal output is not
// cut in half by a field width, and a payload that is not UTF-8 still gives
// valid JSON.
package format
