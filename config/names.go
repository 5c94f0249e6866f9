package config

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// nameFault says why s cannot be one level of a topic, "" when it can.
func nameFault(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > 64:
		return "is longer than 64 bytes"
	case strings.ContainsAny(s, "/+#"):
		return "may not hold /, + or #: it is one level of a topic"
	case s[0] == '$':
		return "may not start with $: such topics are the server's own"
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == '{' || r == '}' }):
		return "may not hold braces or control characters"
	case strings.TrimSpace(s) != s:
		return "may not start or end with a space"
	}
	return ""
}

// filterFault says why s is no Topic Filter, "" when it is one.
func filterFault(s string) string {
	if topic.ValidFilter(s) == nil {
		return ""
	}
	_, rest, isShared := topic.Share(s)
	levels := strings.Split(rest, "/")
	for i, l := range levels {
		if strings.Contains(l, "#") && (l != "#" || i != len(levels)-1) {
			return "may have '#' only as its last level"
		}
		if strings.Contains(l, "+") && l != "+" {
			return "may have '+' only as a whole level"
		}
	}
	switch {
	case s == "":
		return "is empty"
	case isShared:
		return "is not a valid shared one: $share/GROUP/FILTER"
	}
	return "holds characters that MQTT forbids, or is too long"
}

// topicFault says why s is no Topic Name, "" when it is one.
func topicFault(s string) string {
	switch {
	case topic.ValidName(s) == nil:
		return ""
	case s == "":
		return "is empty"
	case strings.ContainsAny(s, "+#"):
		return "may not hold + or #"
	}
	return "holds characters that MQTT forbids, or is too long"
}

// portFault says why s is no port number, "" when it is one.
func portFault(s string) string {
	if _, err := strconv.ParseUint(s, 10, 16); err != nil {
		return "needs a port from 0 to 65535"
	}
	return ""
}
