// Package settings reads the small text files that a user puts on the card's
// drive, on whatever computer and with whatever editor: lines of "key = value".
//
//	# a comment
//	ssid = Home
//	passphrase = "with spaces at its end "
//
// Keys are not case-sensitive. A value may stand in double quotes, and then
// begins and ends there; nothing is escaped. CRLF and a byte order mark are
// fine; UTF-16, a key that is not known, twice there or without a value are
// errors that name the file and the line.
package settings
